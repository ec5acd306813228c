"""What a simulator's worker must do: one physics step of n worlds, states set and read."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

Array = np.ndarray


class State(NamedTuple):
    """n worlds. position m, orientation wxyz and linear velocity m/s of the base's origin, and its angular velocity
    rad/s, all in the world; joint positions rad and velocities rad/s in the simulator's own order."""

    position: Array
    orientation: Array
    linear_velocity: Array
    angular_velocity: Array
    joint_position: Array
    joint_velocity: Array


class Bodies(NamedTuple):
    """k worlds: mass (k, b) kg, inertia (k, b, 3) kg·m², centre (k, b, 3) m of every body in the robot's order, and
    friction (k,) of the ground below."""

    mass: Array
    inertia: Array
    centre: Array
    friction: Array


class Physics(Protocol):
    """n worlds of a robot in one simulator, made as `Physics(robot, heights, origins)`: heights (rows, columns) m of
    the terrain, (0, 0) for flat ground, and origins (n, 3) m at which the worlds begin. All places are absolute."""

    joints: list[str]
    """Names, in the simulator's order: that of every array of joints here."""
    versions: dict[str, str]
    """What simulates, for the record."""

    def change(self, worlds: Array, bodies: Bodies) -> None:
        """Set what bodies worlds (k,) have, before they are reset or while they go on."""
        ...

    def reset(self, worlds: Array, state: State) -> None:
        """Put worlds (k,) into a state, k rows."""
        ...

    def step(self, joint_torque: Array, force: Array, torque: Array) -> None:
        """One physics step with these torques (n, j) N·m held, and force (n, 3) N at the base's origin and torque
        (n, 3) N·m, both in the world."""
        ...

    def joint_motion(self) -> tuple[Array, Array]:
        """Positions and velocities of joints, (n, j) each."""
        ...

    def state(self) -> State:
        """Where all worlds are."""
        ...

    def foot_force(self) -> Array:
        """(n, f) N: the normal forces on each foot's body in the last step."""
        ...
