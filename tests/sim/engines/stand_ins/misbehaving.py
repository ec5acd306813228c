"""Simulators for the tests of the protocol: one that does next to nothing, and some that do it wrong."""

import os
import time

import numpy as np

from isthmus_sim.worker.physics import State


class Floating:
    """Nothing moves but joints, which turn by a thousandth of a radian for each N·m and step."""

    def __init__(self, robot, heights, origins):
        self.joints, self.versions = list(reversed(robot.joints)), {"floating": "1"}
        n, joints = robot.num_envs, len(robot.joints)
        self._position, self._joints = origins.copy(), np.zeros((n, joints), np.float32)
        self._feet = np.zeros((n, len(robot.feet)), np.float32)

    def change(self, worlds, bodies):
        pass

    def reset(self, worlds, state):
        self._position[worlds] = state.position
        self._joints[worlds] = state.joint_position

    def step(self, joint_torque, force, torque):
        self._joints += np.float32(1e-3) * joint_torque

    def joint_motion(self):
        return self._joints, np.zeros_like(self._joints)

    def state(self):
        level = np.tile(np.array([1.0, 0.0, 0.0, 0.0], np.float32), (len(self._position), 1))
        still = np.zeros_like(self._position)
        return State(self._position, level, still, still, *self.joint_motion())

    def foot_force(self):
        return self._feet


class DiesAtBirth(Floating):
    def __init__(self, robot, heights, origins):
        print("no licence found")
        os.abort()


class DiesAtWork(Floating):
    def step(self, joint_torque, force, torque):
        os._exit(7)


class Raises(Floating):
    def step(self, joint_torque, force, torque):
        raise ArithmeticError("the solver does not converge")


class Hangs(Floating):
    def step(self, joint_torque, force, torque):
        time.sleep(3600)


class HangsAtBirth(Floating):
    def __init__(self, robot, heights, origins):
        time.sleep(3600)


class OtherRobot(Floating):
    def __init__(self, robot, heights, origins):
        super().__init__(robot, heights, origins)
        self.joints = ["left_wheel", "right_wheel"]


class Lacking(Floating):
    def __init__(self, robot, heights, origins):
        import a_package_that_nobody_has  # noqa: F401  # pyright: ignore[reportMissingImports]
