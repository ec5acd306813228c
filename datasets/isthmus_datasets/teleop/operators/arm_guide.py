"""A target in space, for an arm whose action is where its joints shall be.

Differential inverse kinematics by mink: every step one quadratic programme for the change of the joints, within their
limits and speeds. An arm of five joints cannot turn its tool every way: the place counts far more than the orientation.
An arm that folds a joint to its limit on the way rests there, its tool turned otherwise than it could be: a swing to
another configuration would come unasked, and near a person. Some one in a hundred far targets leads there.
"""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import mink
import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus_datasets.recording.robot import Observation, RobotFeatures
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.operators.plane_guide import elements
from isthmus_datasets.teleop.operators.teleop_controller import ToolPose

Vector = NDArray[np.float64]

_POSITION, _ORIENTATION = 1.0, 0.02  # costs of 1 m and 1 rad: half a radian that cannot be reached costs about 1 mm
_POSTURE = 5e-4  # per rad from where the arm was at the reset: decides only what the tool leaves open
_DAMPING = 2e-5  # per rad² of a step: where the arm is singular it goes slowly instead of fast
_SAG = 0.05  # rad: so far can a joint hang below its target; more is not kept when control changes hands


class ArmGuide:
    """Joint targets that lead an arm's tool to a pose.

    They go on from the targets before, and the pose they are computed for is never farther than `leash_m` and
    `leash_rad` from the measured tool: an arm that is held back is not wound up. A target that is moved by hand is kept
    on that leash too, so that it cannot run away; one that is dragged (`goto`) stays where it was put.

    Args:
        model: The arm, and nothing that moves without it.
        features: The robot's; its action names the joints, gripper included, each in rad or m.
        joints: Names of those that move the tool.
        rate_hz: Steps per second.
        speeds: joint, gripper included -> most per second, rad/s or m/s.
        gripper_joint: Its name; None for an arm without.
        gripper_range: Where it is closed and where open; the model's range if None.
        site: The tool centre point.
        signal: What the joints are called in `column`: SIGNAL.JOINT.
        facing_rad: Which way the person looks, from the world's x anticlockwise.
        speed_m_s, turn_rad_s, grip_per_s: Speeds of the target at a full deflection of the hand.
        leash_m, leash_rad: See above.
        column: Name of the observation column.

    Raises:
        ValueError: model, action or column lack a joint, or `speeds` does.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        features: RobotFeatures,
        *,
        joints: Sequence[str],
        rate_hz: float,
        speeds: Mapping[str, float],
        gripper_joint: str | None = None,
        gripper_range: tuple[float, float] | None = None,
        site: str = "gripper_tip",
        signal: str = "joint_position",
        facing_rad: float = 0.0,
        speed_m_s: float = 0.2,
        turn_rad_s: float = 1.5,
        grip_per_s: float = 2.0,
        leash_m: float = 0.06,
        leash_rad: float = 0.5,
        column: str = "state",
    ) -> None:
        moving = [*joints, *([gripper_joint] if gripper_joint else [])]
        _check(model, features, moving, speeds, site)
        self._dt_s, self._dtype, self._column = 1.0 / rate_hz, features.action.numpy, column
        self._measured = elements(features, column, [f"{signal}.{name}" for name in moving])
        self._order = np.array([moving.index(name) for name in features.action.names or ()], dtype=np.intp)
        self._place = np.array([model.joint(name).qposadr[0] for name in moving], dtype=np.intp)
        self._dof = np.array([model.joint(name).dofadr[0] for name in joints], dtype=np.intp)
        self._low, self._high = _ranges(model, moving)
        self._most = np.array([speeds[name] for name in moving]) * self._dt_s
        if gripper_joint:
            self._closed, self._open = gripper_range or (self._low[-1], self._high[-1])
        self._has_gripper = gripper_joint is not None
        self._facing = mink.SO3.from_z_radians(facing_rad)
        self._speed_m_s, self._turn_rad_s, self._grip_per_s = speed_m_s, turn_rad_s, grip_per_s
        self._leash_m, self._leash_rad = leash_m, leash_rad
        self._site = model.site(site).id
        self._is, self._shall = mink.Configuration(model), mink.Configuration(model)  # measured, commanded
        self._frame = mink.FrameTask(site, "site", _POSITION, _ORIENTATION)
        costs = np.zeros(model.nv)
        costs[self._dof] = _POSTURE
        self._posture = mink.PostureTask(model, costs)
        self._limits = [
            mink.ConfigurationLimit(model),
            mink.VelocityLimit(model, {name: float(speeds[name]) for name in joints}),
        ]
        self.gripper = 0.0
        self._joints = np.clip(model.qpos0[self._place], self._low, self._high)
        self._start()

    def _start(self) -> None:
        """The target is where the commanded joints lead."""
        self._move_model(self._shall, self._joints)
        self._move_model(self._is, self._joints)
        self._posture.set_target_from_configuration(self._shall)
        self._target = self._tool(self._shall)

    @property
    def target(self) -> ToolPose:
        """Where the tool shall go."""
        return self._target.translation(), self._target.rotation().wxyz

    @property
    def tool(self) -> ToolPose:
        """Where the tool was measured last."""
        tool = self._tool(self._is)
        return tool.translation(), tool.rotation().wxyz

    def reset(self, observation: Observation, sent: NDArray[Any] | None = None) -> None:
        """The target is where the arm is. What `sent` keeps pressing or carrying is kept: the gripper, and a joint's
        small distance from where it shall be."""
        measured = self._read(observation)
        self._joints = measured.copy()
        if sent is not None:
            held = np.empty_like(measured)
            held[self._order] = sent
            self._joints = np.clip(held, measured - _SAG, measured + _SAG)
            if self._has_gripper:
                self._joints[-1] = held[-1]
        self._joints = np.clip(self._joints, self._low, self._high)
        if self._has_gripper:
            self.gripper = float(np.clip((self._joints[-1] - self._closed) / (self._open - self._closed), 0.0, 1.0))
        self._start()
        self._move_model(self._is, measured)

    def move(self, motion: Motion, dt_s: float) -> None:
        """The target goes along, as far as the leash."""
        linear = self._facing.apply(motion.linear) * (self._speed_m_s * dt_s)
        turn = mink.SO3.exp(self._facing.apply(motion.angular) * (self._turn_rad_s * dt_s))
        moved = mink.SE3.from_rotation_and_translation(
            turn @ self._target.rotation(), self._target.translation() + linear
        )
        if np.any(motion.linear) or np.any(motion.angular):
            self._target = self._leashed(moved)
        self.gripper = float(np.clip(self.gripper + motion.gripper * self._grip_per_s * dt_s, 0.0, 1.0))

    def goto(self, position: ArrayLike, wxyz: ArrayLike) -> None:
        """The target is there, however far."""
        rotation = mink.SO3(np.array(wxyz, dtype=np.float64)).normalize()
        self._target = mink.SE3.from_rotation_and_translation(rotation, np.array(position, dtype=np.float64))

    def action(self, observation: Observation) -> NDArray[Any]:
        """Where the joints shall be a step from now, as the robot orders them."""
        self._move_model(self._is, self._read(observation))
        self._frame.set_target(self._leashed(self._target))
        velocity = mink.solve_ik(
            self._shall, [self._frame, self._posture], self._dt_s, "daqp", damping=self._damping(), limits=self._limits
        )
        wanted = self._joints.copy()
        wanted[: len(self._dof)] += velocity[self._dof] * self._dt_s
        if self._has_gripper:
            wanted[-1] = self._closed + np.clip(self.gripper, 0.0, 1.0) * (self._open - self._closed)
        step = np.clip(wanted - self._joints, -self._most, self._most)
        self._joints = np.clip(self._joints + step, self._low, self._high)
        self._move_model(self._shall, self._joints)
        return self._joints[self._order].astype(self._dtype)

    def _damping(self) -> float:
        """The programme takes paths for straight that are arcs. Far from the target, as when it is out of reach and the
        arm is stretched, an arc matters by as much as its lever times the error; with less damping than that the joints
        would swing to and fro."""
        error = self._frame.compute_error(self._shall)
        levers = np.linalg.norm(self._shall.get_frame_jacobian(self._site, "site")[:3], axis=0)
        position = _POSITION**2 * levers.max() * np.linalg.norm(error[:3])
        return _DAMPING + float(position + _ORIENTATION**2 * np.linalg.norm(error[3:]))

    def _leashed(self, target: mink.SE3) -> mink.SE3:
        """The pose nearest to the target that is within the leash of the measured tool."""
        tool = self._tool(self._is)
        away = target.translation() - tool.translation()
        away *= min(1.0, self._leash_m / max(float(np.linalg.norm(away)), 1e-12))
        turn = (target.rotation() @ tool.rotation().inverse()).log()
        turn *= min(1.0, self._leash_rad / max(float(np.linalg.norm(turn)), 1e-12))
        return mink.SE3.from_rotation_and_translation(mink.SO3.exp(turn) @ tool.rotation(), tool.translation() + away)

    def _tool(self, configuration: mink.Configuration) -> mink.SE3:
        return configuration.get_transform_frame_to_world(self._site, "site")

    def _read(self, observation: Observation) -> Vector:
        return observation.columns[self._column][self._measured].astype(np.float64)

    def _move_model(self, configuration: mink.Configuration, joints: Vector) -> None:
        q = configuration.q
        q[self._place] = joints
        configuration.update(q)


def _check(
    model: mujoco.MjModel, features: RobotFeatures, moving: Sequence[str], speeds: Mapping[str, float], site: str
) -> None:
    there = {
        "the model's joints": [model.joint(number).name for number in range(model.njnt)],
        "`speeds`": list(speeds),
        "the robot's action": list(features.action.names or ()),
    }
    for where, names in there.items():
        lacking = [name for name in moving if name not in names]
        if lacking:
            raise ValueError(f"{where} lack {', '.join(lacking)}; there are: {', '.join(names)}")
    more = [name for name in there["the robot's action"] if name not in moving]
    if more:
        raise ValueError(f"the robot's action has {', '.join(more)}, which neither joints nor gripper_joint name")
    sites = [model.site(number).name for number in range(model.nsite)]
    if site not in sites:
        raise ValueError(f"the model has no site {site!r}; it has: {', '.join(sites)}")


def _ranges(model: mujoco.MjModel, joints: Sequence[str]) -> tuple[Vector, Vector]:
    """(n,) least and most of each; infinite where the model has no limit."""
    ranges = np.array([
        model.joint(name).range if model.jnt_limited[model.joint(name).id] else (-math.inf, math.inf) for name in joints
    ])  # fmt: skip
    return ranges[:, 0], ranges[:, 1]
