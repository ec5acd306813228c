"""What is read of a free body in MuJoCo, whichever robot it carries."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import numpy as np

from isthmus_deploy.ros.stand_in_robot.world import Array, Truth


def truth(data: mujoco.MjData) -> Truth:
    """The free body at the front of the state, as it is."""
    return Truth(
        position=data.qpos[:3].copy(),
        orientation=data.qpos[3:7].copy(),
        linear_velocity=body_velocity(data),
        angular_velocity=data.qvel[3:6].copy(),
    )


def body_velocity(data: mujoco.MjData) -> Array:
    """Its linear velocity (3,) m/s in its own axes."""
    velocity, inverse = np.empty(3), np.empty(4)
    mujoco.mju_negQuat(inverse, data.qpos[3:7])
    mujoco.mju_rotVecQuat(velocity, data.qvel[:3], inverse)
    return velocity


def turned(orientation: Array, rotation_vector: Array) -> Array:
    """`orientation` (4,) wxyz after a turn by `rotation_vector` (3,) rad about the body's axes."""
    result = orientation.copy()
    mujoco.mju_quatIntegrate(result, rotation_vector, 1.0)
    return result
