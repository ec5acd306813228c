"""Which feet of a walking robot stood, from its recorded poses."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_policies.evaluation.video import moving_robot, recorded_state
from isthmus_sim.description import RobotDescription
from isthmus_sim.engines.mujoco_model import scene_spec
from isthmus_sim.rendering.pose import Poser

_LIFTED_M = 0.012  # a foot higher than this above where it stands swings


def standing(robot: RobotDescription, arrays: Mapping[str, NDArray]) -> NDArray[np.bool_]:
    """Whether each foot stood (t, feet), in the order of the robot's legs: where the recorded joint angles put it, on
    flat ground. `arrays` are a mission's, as `recorded_state` takes them."""
    return foot_heights(robot, arrays) < _LIFTED_M


def foot_heights(robot: RobotDescription, arrays: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """Heights (t, feet) m of the feet's sites above that of the lowest one in the stance "stand", which is on the
    ground."""
    scene = moving_robot(robot)
    model = scene_spec(scene).compile()
    data, poser = mujoco.MjData(model), Poser(scene, model)
    sites = [model.site(foot).id for foot in robot.feet]

    def heights(state: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        poser.pose(data, state)
        return data.site_xpos[sites, 2].copy()

    stance, level = robot.stances["stand"], np.array((1.0, 0.0, 0.0, 0.0))
    place = np.array((0.0, 0.0, stance.height))
    stands = {"position": place, "orientation": level, "joint_position": np.array(stance.joints)}
    ground = heights(stands).min()
    state = recorded_state(robot, arrays)
    moments = range(len(arrays["time"]))
    return np.stack([heights({name: rows[i] for name, rows in state.items()}) for i in moments]) - ground
