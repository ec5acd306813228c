"""A scripted operator of pick and place: it knows where cube and zone are, and leads the tool from one to the other.

The target of an `ArmGuide` goes from waypoint to waypoint at an even speed. The cube is taken by the two faces that
need the wrist turned least; where it is not in the hand after the lift, all begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.robot import Observation, RobotFeatures
from isthmus_datasets.recording.scripted import ScriptedOperator
from isthmus_datasets.teleop.operators.arm_guide import ArmGuide
from isthmus_policies.demonstrate.env_robot import ENVIRONMENT
from isthmus_policies.demonstrate.features import robot_features
from isthmus_sim.robots.so101.description import GRIP_WIDTH, JOINTS, NO_LOAD_SPEED, OFFSET, RANGE, ROBOT, grip_angle
from isthmus_sim.robots.so101.mjcf import so101_mjcf
from isthmus_sim.tasks.pick_place import ENVIRONMENT as NAMES

Vector = NDArray[np.float64]

_RATE_HZ = round(1 / ROBOT.control_period_s)
_ABOVE = np.array((0.0, 0.0, 0.06))  # m: so high the cube is carried over where it lay
_OPEN_GAP = 0.055  # m between the jaws around the cube
_ROOM = 0.006  # m between the fixed jaw and the cube before the other one closes
_SQUEEZE = 0.006  # m that the jaws would close further if the cube were not there
_LIFTED = 0.02  # m
_SPEED, _SLOW = 0.25, 0.1  # m/s
_CLUMSY_AIM = 0.012  # m: standard deviation of the aim of who has no skill
_SETTLE, _HOLD = 8, 12  # steps: that the arm is behind its target, and that the jaws take


def arm_guide(features: RobotFeatures) -> ArmGuide:
    """What leads the arm's tool to a target. The targets of joints go no faster than the servos do, as fast as
    commands may change."""
    return ArmGuide(
        mujoco.MjModel.from_xml_string(so101_mjcf()),  # pyright: ignore[reportAttributeAccessIssue]
        features,
        joints=JOINTS[:-1],
        gripper_joint=JOINTS[-1],
        gripper_range=RANGE["gripper"],
        rate_hz=_RATE_HZ,
        speeds=dict.fromkeys(JOINTS, NO_LOAD_SPEED),
    )


class PickPlaceScript(ScriptedOperator):
    """Puts the cube into the zone, in most episodes within 8 s.

    Args:
        steps: Longest episode.
        noise: Standard deviation of the joint targets, rad.
        skill: From 0 to 1. With less of it the hand is slower and misses the cube, or the middle of the zone, by more;
            it tries again.
        name: For the dataset.
    """

    def __init__(self, *, steps: int = 360, noise: float = 0.0, skill: float = 1.0, name: str = "script") -> None:
        if not 0.0 <= skill <= 1.0:
            raise ValueError(f"skill must be from 0 to 1, not {skill}")
        self._skill = skill
        self._guide = arm_guide(robot_features(ROBOT))
        super().__init__(steps=steps, noise=noise, name=name)

    def plan(self, observation: Observation, step: int) -> NDArray[np.float32]:
        """Joint targets (6,) rad."""
        self._around = dict(zip(NAMES, observation.simulation[ENVIRONMENT].tolist(), strict=True))
        if step == 0:
            self._guide.reset(observation)
            self._course = self._run()
        next(self._course)
        return self._guide.action(observation)

    def _run(self) -> Iterator[None]:
        """Yields when a step's target is set."""
        while True:
            yield from self._pick()
            if self._around["cube.z"] > 0.5 * self._around["cube.edge"] + _LIFTED:
                yield from self._place()

    def _pick(self) -> Iterator[None]:
        """Approach, descend, close, lift."""
        cube, turn = self._cube(), self._turn()
        jaws = np.array((math.cos(turn), math.sin(turn), 0.0))  # from the fixed to the moving one
        edge = self._around["cube.edge"]
        grasp = cube + (0.5 * GRIP_WIDTH - 0.5 * edge - _ROOM) * jaws + self._miss()
        self._wrist = turn - azimuth(grasp)
        yield from self._grip(_OPEN_GAP, 1)
        yield from self._go(grasp + _ABOVE, _SPEED)
        yield from self._go(grasp, _SLOW)
        yield from self._stay(_SETTLE)
        yield from self._grip(edge - _SQUEEZE, _HOLD)
        yield from self._go(grasp + _ABOVE, _SLOW)
        yield from self._stay(_SETTLE)
        self._held = self._guide.target[0] - self._cube()

    def _place(self) -> Iterator[None]:
        """Carry, lower, open, retreat."""
        edge = self._around["cube.edge"]
        zone = np.array((self._around["zone.x"], self._around["zone.y"], 0.5 * edge)) + self._miss()
        turned = azimuth(zone) - azimuth(self._cube())
        c, s = math.cos(turned), math.sin(turned)
        held = np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0))) @ self._held
        yield from self._go(zone + held + _ABOVE, _SPEED)
        yield from self._go(zone + held, _SLOW)
        yield from self._stay(_SETTLE)
        yield from self._grip(_OPEN_GAP, _HOLD)
        yield from self._go(zone + held + _ABOVE, _SLOW)
        yield from self._stay(_RATE_HZ)

    def _cube(self) -> Vector:
        return np.array([self._around[f"cube.{axis}"] for axis in "xyz"])

    def _turn(self) -> float:
        """rad: the direction of a side of the cube, about z, that is closest to that of the arm."""
        w, x, y, z = (self._around[f"cube.q{axis}"] for axis in "wxyz")
        yaw, ahead = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)), azimuth(self._cube())
        return ahead + math.remainder(yaw - ahead, math.pi / 2)

    def _miss(self) -> Vector:
        """(3,) m, level."""
        return np.append(_CLUMSY_AIM * (1.0 - self._skill) * self._random.standard_normal(2), 0.0)

    def _go(self, goal: Vector, speed: float) -> Iterator[None]:
        """The target goes straight to `goal` (3,) m, the gripper pointing down."""
        start = self._guide.target[0].copy()
        speed *= 0.4 + 0.6 * self._skill
        count = max(1, math.ceil(float(np.linalg.norm(goal - start)) / speed * _RATE_HZ))
        for share in np.arange(1, count + 1) / count:
            place = start + share * (goal - start)
            self._guide.goto(place, downwards(azimuth(place) + self._wrist))
            yield

    def _stay(self, steps: int) -> Iterator[None]:
        for _ in range(steps):
            yield

    def _grip(self, gap: float, steps: int) -> Iterator[None]:
        """The jaws go to `gap` m and have so many steps for it."""
        low, high = RANGE["gripper"]
        self._guide.gripper = float(np.clip((grip_angle(gap) - low) / (high - low), 0.0, 1.0))
        yield from self._stay(steps)


def azimuth(place: Vector) -> float:
    """rad: the direction from the arm's pan axis to a place (3,) m, about z."""
    return math.atan2(place[1], place[0] - OFFSET["shoulder_pan"][0])


def downwards(turn: float) -> Vector:
    """(4,) wxyz: the tool pointing down, its moving jaw in direction `turn`, rad about z, from the fixed one."""
    # Half a turn about x puts z down and leaves x; then `turn` about z.
    return np.array((0.0, math.cos(0.5 * turn), math.sin(0.5 * turn), 0.0))
