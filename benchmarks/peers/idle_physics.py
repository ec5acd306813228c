"""A simulator that does nothing, in a worker: what is left is what a process of its own costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus_sim.worker.physics import Array, Bodies, State
from isthmus_sim.worker.robot import Robot


class IdlePhysics:
    """`Physics` that stands still."""

    def __init__(self, robot: Robot, heights: Array, origins: Array) -> None:
        self.joints, self.versions = list(robot.joints), {}
        n, zero = robot.num_envs, np.zeros_like(origins)
        joints = np.zeros((n, len(robot.joints)), np.float32)
        level = np.tile(np.array([1.0, 0.0, 0.0, 0.0], np.float32), (n, 1))
        self._state = State(origins, level, zero, zero, joints, joints)
        self._feet = np.zeros((n, len(robot.feet)), np.float32)

    def change(self, worlds: Array, bodies: Bodies) -> None:
        """Nothing changes."""

    def reset(self, worlds: Array, state: State) -> None:
        """Nothing begins."""

    def step(self, joint_torque: Array, force: Array, torque: Array) -> None:
        """Nothing moves."""

    def joint_motion(self) -> Any:
        return self._state.joint_position, self._state.joint_velocity

    def state(self) -> State:
        return self._state

    def foot_force(self) -> Array:
        return self._feet
