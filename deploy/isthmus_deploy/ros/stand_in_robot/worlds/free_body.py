"""What is read of a free body in MuJoCo, whichever robot it carries."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from isthmus_deploy.ros.stand_in_robot.worlds.world import Array
from isthmus_deploy.ros.truth import Truth
from isthmus_sim.engines.mujoco_model import base_joint

LEVEL, UPSIDE_DOWN = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)


class FreeBody:
    """A body with a free joint: where it is and how it moves; new arrays.

    Raises:
        ValueError: the body has no free joint.
    """

    def __init__(self, model: mujoco.MjModel, body: str) -> None:
        self._q, self._v = base_joint(model, body)

    def position(self, data: mujoco.MjData) -> Array:
        """(3,) m, world."""
        return data.qpos[self._q : self._q + 3].copy()

    def orientation(self, data: mujoco.MjData) -> Array:
        """(4,) wxyz, world_from_body."""
        return data.qpos[self._q + 3 : self._q + 7].copy()

    def velocity(self, data: mujoco.MjData) -> Array:
        """(3,) m/s in its own axes."""
        velocity, inverse = np.empty(3), np.empty(4)
        mujoco.mju_negQuat(inverse, data.qpos[self._q + 3 : self._q + 7])
        mujoco.mju_rotVecQuat(velocity, data.qvel[self._v : self._v + 3], inverse)
        return velocity

    def turning(self, data: mujoco.MjData) -> Array:
        """(3,) rad/s in its own axes."""
        return data.qvel[self._v + 3 : self._v + 6].copy()

    def truth(self, data: mujoco.MjData) -> Truth:
        """All of it."""
        return Truth(
            position=self.position(data),
            orientation=self.orientation(data),
            linear_velocity=self.velocity(data),
            angular_velocity=self.turning(data),
        )

    def hold(self, data: mujoco.MjData, height: float, orientation: Sequence[float] = LEVEL) -> None:
        """Put it at rest, `height` m above the origin; `orientation` is wxyz."""
        data.qpos[self._q : self._q + 7] = (0.0, 0.0, height, *orientation)
        data.qvel[self._v : self._v + 6] = 0.0


def turned(orientation: Array, rotation_vector: Array) -> Array:
    """`orientation` (4,) wxyz after a turn by `rotation_vector` (3,) rad about the body's axes."""
    result = orientation.copy()
    mujoco.mju_quatIntegrate(result, rotation_vector, 1.0)
    return result
