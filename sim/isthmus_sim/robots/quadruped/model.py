"""Where the quadruped's model comes from: this project's own, MuJoCo Menagerie's, or a user's MJCF or URDF.

Whatever the source, joints, motors and feet bear this robot's names, and its legs bend as this robot's do.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from isthmus_sim.description import RobotSpec
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.jointed import Drive
from isthmus_sim.models.legged import load_legged
from isthmus_sim.models.limits import narrow_joints
from isthmus_sim.models.reading import OWN, LoadedModel
from isthmus_sim.robots.quadruped.description import (
    DEFAULT_POSE,
    FEET,
    FOOT_RADIUS,
    FRONT,
    JOINTS,
    LEFT,
    LEGS,
    LINKS,
    MOTORS,
    SPEC,
    Motor,
)
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf

_MOTORS: dict[str, Motor] = {name: MOTORS[name.split("_")[1]] for name in JOINTS}
_LAST_JOINTS = {foot: f"{foot}_calf_joint" for foot in FEET}
_MOST_ASKEW = np.cos(np.radians(25))  # how far a link may point elsewhere than this robot's


def load_model(
    source: str = OWN,
    *,
    joints: Mapping[str, str] | None = None,
    feet: Mapping[str, str] | None = None,
    base_link: str | None = None,
    robot: RobotSpec = SPEC,
    motors: Mapping[str, Drive] = _MOTORS,
    scene: bool = False,
    timestep: float = 0.005,
) -> LoadedModel:
    """The quadruped's model, as `load_legged` makes it, or as this project ships it.

    Args:
        source: "own"; "menagerie:NAME", as "menagerie:unitree_go2"; or the path of an MJCF or URDF file.
        joints: The model's joint for each of `JOINTS` whose names differ.
        feet: The model's site, geom or body for each of `FEET` whose names differ.
        base_link: See `load_jointed`.
        robot: The description whose poses the model's limits must hold.
        motors: What drives each of `JOINTS`.
        scene: Keep, or for "own" add, what only pictures need.
        timestep: s.

    Raises:
        ModelError: no such source; or the model lacks joints, limits, masses or feet, or its legs are another
            robot's: the message lists all of them.
    """
    if source == OWN:
        return LoadedModel(spec=mujoco.MjSpec.from_string(quadruped_mjcf(scene=scene, timestep=timestep)))
    loaded = load_legged(
        source, motors, _LAST_JOINTS, foot_radius=FOOT_RADIUS, feet=feet,
        joints=joints, base_link=base_link, scene=scene, timestep=timestep,
    )  # fmt: skip
    try:
        model = loaded.spec.compile()
        narrow_joints(robot, model, loaded.velocity_limits)
        _check_legs(model)
    except ModelError as error:
        raise ModelError(f"model {source}: {error}") from error
    return loaded


def _check_legs(model: mujoco.MjModel) -> None:
    """With equal joint angles the links point the same way as this robot's; or else axes or zeros differ."""
    data = mujoco.MjData(model)
    hip = 0.3  # away from zero, where its sign would not show
    pose = {name: hip if "hip" in name else angle for name, angle in zip(JOINTS, DEFAULT_POSE, strict=True)}
    for name, angle in pose.items():
        data.qpos[model.joint(name).qposadr[0]] = angle
    data.qpos[:7] = (0, 0, 0, 1, 0, 0, 0)
    mujoco.mj_kinematics(model, data)
    wrong = [leg for leg in LEGS if not _leg_is_usual(model, data, leg, pose)]
    if wrong:
        raise ModelError(
            f"at equal joint angles these legs are elsewhere than they should be: {', '.join(wrong)}. With x forward, "
            "y left, z up, a leg at zero is straight down; positive angles turn hips to the left, thighs and calves to "
            "the rear. Check axes and zeros of the joints"
        )


def _leg_is_usual(model: mujoco.MjModel, data: mujoco.MjData, leg: str, pose: dict[str, float]) -> bool:
    hip, thigh, calf = (data.xanchor[model.joint(f"{leg}_{link}_joint").id] for link in LINKS)
    roll, first, second = (pose[f"{leg}_{link}_joint"] for link in LINKS)
    in_its_corner = hip[0] * FRONT[leg] > 0 and hip[1] * LEFT[leg] > 0
    foot = data.site(leg).xpos
    return in_its_corner and _points(calf - thigh, roll, first) and _points(foot - calf, roll, first + second)


def _points(link: np.ndarray, hip: float, angle: float) -> bool:
    """Whether `link` (3,) hangs within 25° of how it should at the hip's and its own angle, in rad."""
    across = np.cos(angle)
    should = np.array((-np.sin(angle), np.sin(hip) * across, -np.cos(hip) * across))
    return bool(link @ should > _MOST_ASKEW * np.linalg.norm(link))
