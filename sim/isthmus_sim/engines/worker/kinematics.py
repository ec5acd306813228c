"""Where sites of a robot are, and how fast, from its base and joints alone: for simulators that have no sites."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_sim.worker.rotations import cross, product, rotate

Array = NDArray[np.floating]


class Kinematics:
    """Sites `names` of a model whose first joint is free and whose others are hinges, in n worlds.

    `joints` are the hinges' names in the order of what is given.
    """

    def __init__(self, model: mujoco.MjModel, joints: tuple[str, ...], names: tuple[str, ...]) -> None:
        self._model = model
        self._sites = [int(model.site(name).id) for name in names]
        self._column = {int(model.joint(name).id): i for i, name in enumerate(joints)}
        self._needed: list[int] = []
        for site in self._sites:
            self._note(int(model.site_bodyid[site]))

    def _note(self, body: int) -> None:
        """The body and those that it hangs on, parents first."""
        if body == 0 or body in self._needed:
            return
        self._note(int(self._model.body_parentid[body]))
        self._needed.append(body)

    def __call__(self, root: Array, positions: Array, velocities: Array) -> tuple[Array, Array]:
        """Positions m and velocities m/s (n, s, 3) in the world, of root (n, 13) as workers have it (its angular
        velocity in the base) and joint positions rad and velocities rad/s (n, j)."""
        frames = {}
        for body in self._needed:
            joint, parent = int(self._model.body_jntadr[body]), int(self._model.body_parentid[body])
            if joint == 0:
                turning = rotate(root[:, 3:7], root[:, 10:13])
                frames[body] = (root[:, :3], root[:, 3:7], root[:, 7:10], turning)
            else:
                column = self._column.get(joint)
                moved = (positions[:, column], velocities[:, column]) if column is not None else None
                frames[body] = self._hung(body, joint, frames[parent], moved)
        places, speeds = [], []
        for site in self._sites:
            position, orientation, linear, angular = frames[int(self._model.site_bodyid[site])]
            arm = rotate(orientation, self._model.site_pos[site])
            places.append(position + arm)
            speeds.append(linear + cross(angular, arm))
        return np.stack(places, axis=1), np.stack(speeds, axis=1)

    def _hung(
        self, body: int, joint: int, parent: tuple[Array, ...], moved: tuple[Array, Array] | None
    ) -> tuple[Array, ...]:
        """Position, orientation, linear and angular velocity of a body that hangs on its parent."""
        model, (position, orientation, linear, angular) = self._model, parent
        here = np.broadcast_to(model.body_quat[body], orientation.shape)
        arm = rotate(orientation, model.body_pos[body])
        turned = product(orientation, here)
        place, speed = position + arm, linear + cross(angular, arm)
        if moved is None:
            return place, turned, speed, angular
        axis, (angle, rate) = model.jnt_axis[joint], moved
        half = np.concatenate((np.cos(angle / 2)[:, None], np.sin(angle / 2)[:, None] * axis), axis=1)
        after, anchor = product(turned, half), model.jnt_pos[joint]
        faster = angular + rate[:, None] * rotate(turned, axis)
        # The anchor stays where it was, and the body turns about it.
        to_anchor = rotate(turned, anchor)
        back = -rotate(after, anchor)
        return place + to_anchor + back, after, speed + cross(angular, to_anchor) + cross(faster, back), faster
