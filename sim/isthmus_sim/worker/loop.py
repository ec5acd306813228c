"""A control period in a worker: resets, the drives at every physics step, what is told afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus_sim.actuator_formulas import dry_friction, lagged, motor_torque, pd_effort
from isthmus_sim.worker.physics import Array, Bodies, Physics, State
from isthmus_sim.worker.robot import Drive, Robot
from isthmus_sim.worker.rotations import inverse, rotate

SPEED_LIMIT = 1e6
"""m/s or rad/s, as `isthmus_sim.engine` has it: a world past it has diverged."""


class Worlds:
    """n worlds between the shared `arrays` and a simulator."""

    def __init__(self, robot: Robot, arrays: dict[str, Array], physics: Physics, origins: Array) -> None:
        self._arrays, self._physics, self._origins = arrays, physics, origins
        self._substeps = robot.substeps
        # In the description's order what the simulator has in its own, and the other way round.
        self._ours = np.array([physics.joints.index(name) for name in robot.joints], int)
        self._theirs = np.argsort(self._ours)
        motors = np.array(robot.drives, np.float32).reshape(-1, len(Drive._fields)).T
        self._effort_limit, self._saturation, self._no_load_speed, self._friction, self._viscous = motors[:5]

    def reset(self) -> None:
        """Put the worlds that `begin` into their states. One whose state is no state fails, and stays as it is."""
        a = self._arrays
        worlds = np.flatnonzero(a["begin"])
        rows = np.concatenate([a[name][worlds] for name in ("root", "joint_position", "joint_velocity")], axis=1)
        sound = (np.abs(rows) < SPEED_LIMIT).all(1)  # what is no number is not less either
        a["failed"][worlds] = ~sound
        for name in ("joint_torque", "joint_power", "foot_force"):
            a[name][worlds] = 0.0
        self._change()
        self._place(worlds[sound])

    def _change(self) -> None:
        a = self._arrays
        worlds = np.flatnonzero(a["changed"])
        if len(worlds):
            self._physics.change(
                worlds, Bodies(*(a[name][worlds] for name in ("mass", "inertia", "centre", "friction")))
            )
            a["changed"][:] = 0

    def _place(self, worlds: Array) -> None:
        a = self._arrays
        root, theirs = a["root"][worlds], self._theirs
        state = State(
            position=root[:, :3] + self._origins[worlds],
            orientation=root[:, 3:7],
            linear_velocity=root[:, 7:10],
            angular_velocity=rotate(root[:, 3:7], root[:, 10:13]),
            joint_position=a["joint_position"][worlds][:, theirs],
            joint_velocity=a["joint_velocity"][worlds][:, theirs],
        )
        if len(worlds):
            self._physics.reset(worlds, state)

    def advance(self) -> None:
        """One control period with the command held."""
        a, physics = self._arrays, self._physics
        self._change()
        before, target = a["target"].copy(), a["command"].copy()
        torques, powers = np.zeros_like(target), np.zeros_like(target)
        orientation, turned = a["root"][:, 3:7], a["torque"].any() or a["set_point"].size
        for k in range(self._substeps):
            if turned and k:
                orientation = physics.state().orientation
            force, torque = self._wrench(orientation)
            position, velocity = (value[:, self._ours] for value in physics.joint_motion())
            given = self._torque(np.where(k < a["delay"], before, target), position, velocity)
            self._fail(~np.isfinite(given).all(1))
            given[a["failed"] != 0] = 0.0
            torques += given
            powers += given * velocity
            loss = dry_friction(velocity, self._friction) + self._viscous * velocity
            physics.step((given - loss)[:, self._theirs], force, torque)
        a["target"][:] = target
        a["joint_torque"][:] = torques / self._substeps
        a["joint_power"][:] = powers / self._substeps
        self.tell()

    def _wrench(self, orientation: Array) -> tuple[Array, Array]:
        """What acts on the base over the next physics step, in the world: what pushes it, and its rotors."""
        a = self._arrays
        if not a["set_point"].size:
            return a["force"], rotate(orientation, a["torque"])
        before, after = a["rotor_speed"], lagged(a["rotor_speed"], a["set_point"], a["rising"], a["falling"])
        mean = 0.5 * (before + after)  # thrust goes with the square of the speed, taken at its mean
        lift = np.einsum("nr,nrk->nk", a["thrust"] * mean * mean, a["allocation"])
        a["rotor_speed"][:] = after
        self._fail(~np.isfinite(lift).all(1))
        lift[a["failed"] != 0] = 0.0
        return a["force"] + rotate(orientation, lift[:, :3]), rotate(orientation, a["torque"] + lift[:, 3:])

    def _torque(self, target: Array, position: Array, velocity: Array) -> Array:
        a = self._arrays
        wanted = pd_effort(target, position, velocity, a["stiffness"], a["damping"])
        return motor_torque(
            wanted, velocity, a["strength"], self._effort_limit, self._saturation, self._no_load_speed
        ).astype(np.float32)

    def _fail(self, worlds: Any) -> None:
        self._arrays["failed"][:] |= worlds.astype(np.uint8)

    def tell(self) -> None:
        """Write where all worlds are."""
        a, state = self._arrays, self._physics.state()
        rows = (state.position - self._origins, state.orientation, state.linear_velocity)
        a["root"][:] = np.concatenate(
            (*rows, rotate(inverse(state.orientation), state.angular_velocity)), axis=1
        )
        a["joint_position"][:] = state.joint_position[:, self._ours]
        a["joint_velocity"][:] = state.joint_velocity[:, self._ours]
        a["foot_force"][:] = self._physics.foot_force()
        speeds = np.concatenate((a["root"][:, 7:], a["joint_velocity"]), axis=1)
        self._fail(~(np.abs(speeds) < SPEED_LIMIT).all(1) | ~np.isfinite(a["root"].sum(1)))
