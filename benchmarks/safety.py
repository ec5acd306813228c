"""`make bench-safety`: adversarial commands through the safety filter of three robots, and what a call costs.

Every robot has its own ranges and rates, and beyond them accelerations, soft ends, efforts (where it has joints) and,
for the arm, places where its tool must not go. What is sent is judged here, by the numbers and by MuJoCo's kinematics.
"""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from common import BenchOptions, Row, parse, report

import mujoco
import numpy as np

from isthmus_deploy.contracts.limits import Limits, limits_of
from isthmus_deploy.contracts.robot_interface import interface_of
from isthmus_deploy.contracts.safety_data import Box, CommandSafety, HalfSpace, Safety, Sphere
from isthmus_deploy.safety.commands.filter import SafetyFilter, UnsafeCommand
from isthmus_sim.description import RobotDescription
from isthmus_sim.robots.quadrotor.description import ROBOT as QUADROTOR
from isthmus_sim.robots.quadruped.description import ROBOT as QUADRUPED
from isthmus_sim.robots.so101.description import ROBOT as ARM
from isthmus_sim.robots.so101.links import TIP

_BLOCK = 50  # commands of one kind in a row
_ROUNDING = 1e-9  # fraction of a range
_APPROACH_RATE = 8.0  # 1/s
_RAMP_S = 0.1  # from rest to the largest rate
# Where the arm's tool stays, and where it must not go, m from its base; the table below it is in its own description.
WORKSPACE = Box(minimum=(-0.1, -0.3, -0.02), maximum=(0.35, 0.3, 0.4))
BALL = Sphere(center=(0.25, 0.2, 0.1), radius=0.06)
POST = Box(minimum=(0.2, -0.25, -0.1), maximum=(0.26, -0.15, 0.25))


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Send adversarial commands through the safety filter."""

    commands: int = 1_200_000
    """How many, over all robots."""
    calls: int = 20_000
    """How many of each robot's are timed."""
    seed: int = 0


QUICK = Options(commands=6_000, calls=1_000)


@dataclass(kw_only=True)
class Outside:
    """Sent commands outside a limit."""

    value: int = 0
    rate: int = 0
    acceleration: int = 0
    soft_end: int = 0
    workspace: int = 0


def held(robot: RobotDescription) -> Limits:
    """The robot's limits, with all that the chain can hold it to: soft ends 1 % of the range inside the hard ones, but
    not where its stand-by is at an end, as that of rotors is."""
    limits = limits_of(interface_of(robot))
    (command,) = limits.commands
    margin = 0.01 * np.subtract(command.maximum, command.minimum)
    low, high = np.add(command.minimum, margin), np.subtract(command.maximum, margin)
    inside = bool(((low < command.standby) & (high > command.standby)).all())
    item = CommandSafety(
        command=command.name,
        max_acceleration=tuple((np.array(command.max_rate) / _RAMP_S).tolist()),
        soft_minimum=tuple(low.tolist()) if inside else None,
        soft_maximum=tuple(high.tolist()) if inside else None,
        approach_rate=_APPROACH_RATE if inside else None,
        limit_effort=bool(limits.joints),
    )
    tools = limits.safety.tools if limits.safety else ()
    tools = tuple(replace(tool, workspace=WORKSPACE, spheres=(BALL,), boxes=(POST,)) for tool in tools)
    return replace(limits, safety=Safety(commands=(item,), tools=tools))


def wishes(limits: Limits, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Flat commands of an adversary, without end: block after block of another kind."""
    (command,) = limits.commands
    low, high = np.array(command.minimum), np.array(command.maximum)
    size, span = len(low), high - low
    kinds: list[Callable[[], np.ndarray]] = [
        lambda: low + span * (0.5 + np.cumsum(rng.normal(0.0, 0.05, (_BLOCK, size)), axis=0)),
        lambda: rng.uniform(low - span, high + span, (_BLOCK, size)),
        lambda: np.where(rng.random((_BLOCK // 10, size)) < 0.5, low, high).repeat(10, axis=0),
        lambda: np.where(rng.random((_BLOCK, size)) < 0.5, low, high) + rng.normal(0.0, 1e-6, (_BLOCK, size)),
        lambda: rng.uniform(low, high, (1, size)).repeat(_BLOCK, axis=0),
        lambda: rng.normal(0.0, 1.0, (_BLOCK, size)) * 10.0 ** rng.uniform(-30.0, 300.0, (_BLOCK, 1)),
        lambda: np.where(rng.random((_BLOCK, size)) < 0.05, rng.choice([np.nan, np.inf, -np.inf]), low + 0.5 * span),
    ]
    while True:
        yield from kinds[rng.integers(len(kinds))]()


class Trial:
    """One robot's filter, its adversary, and a robot that is more or less where it was sent."""

    def __init__(self, robot: RobotDescription, seed: int):
        self.limits = held(robot)
        self.command = self.limits.commands[0]
        self.filter = SafetyFilter(self.limits, self.limits.control_period_s)
        self._rng = np.random.default_rng(seed)
        self._wishes = wishes(self.limits, self._rng)
        self.filter.reset({self.command.name: np.array(self.command.standby)})
        self._readings = {s.name: s for s in self.limits.signals if s.shape == self.command.shape}

    def ask(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The next wish, and readings."""
        noise = self._rng.normal(0.0, 0.1, self.command.shape)
        signals = {name: noise.astype(np.float32) for name in self._readings}
        if measured := self.limits.measured(self.command):
            signals[measured.name] = (self.filter.last[self.command.name] + noise).astype(np.float32)
        return {self.command.name: next(self._wishes).reshape(self.command.shape)}, signals

    def run(self, calls: int) -> tuple[np.ndarray, int, np.ndarray]:
        """What was sent, stand-by first and refused calls left out; how many wishes that are not finite came through;
        and ns of each call."""
        sent, times = [np.array(self.command.standby)], np.zeros(calls)
        passed = 0
        for index in range(calls):
            asked, signals = self.ask()
            begun = time.perf_counter_ns()
            try:
                commands = self.filter.apply(asked, signals)
            except UnsafeCommand:
                continue
            times[index] = time.perf_counter_ns() - begun
            passed += not np.isfinite(asked[self.command.name]).all()
            sent.append(commands[self.command.name])
        return np.array(sent), passed, times[times > 0.0]


def judge(trial: Trial, sent: np.ndarray, model: mujoco.MjModel | None) -> Outside:
    """Count what lies outside, by the numbers of the limits."""
    command, period_s = trial.command, trial.limits.control_period_s
    assert trial.limits.safety is not None
    item = trial.limits.safety.commands[0]
    span = np.subtract(command.maximum, command.minimum)
    low, high = np.array(item.soft_minimum or command.minimum), np.array(item.soft_maximum or command.maximum)
    steps = np.diff(sent, axis=0)
    changes = np.diff(steps, axis=0, prepend=0.0)

    def count(excess: np.ndarray) -> int:
        return int((excess > _ROUNDING * span).any(axis=1).sum())

    return Outside(
        value=int(((sent < command.minimum) | (sent > command.maximum) | ~np.isfinite(sent)).any(axis=1).sum()),
        rate=count(np.abs(steps) - np.array(command.max_rate) * period_s),
        acceleration=count(np.abs(changes) - np.array(item.max_acceleration) * period_s**2),
        soft_end=count(np.maximum(low - sent, sent - high)),
        workspace=0 if model is None else strayed(model, sent),
    )


def strayed(model: mujoco.MjModel, sent: np.ndarray) -> int:
    """How many targets put the tool where it must not be, by MuJoCo's kinematics."""
    data, tip = mujoco.MjData(model), model.site(TIP).id
    places = np.empty((len(sent), 3))
    for place, joints in zip(places, sent, strict=True):
        data.qpos[: len(joints)] = joints
        mujoco.mj_kinematics(model, data)
        place[:] = data.site_xpos[tip]
    floor = max(half.offset for half in table_of(ARM))
    outside = (places < WORKSPACE.minimum).any(axis=1) | (places > WORKSPACE.maximum).any(axis=1)
    outside |= places[:, 2] < floor
    outside |= np.linalg.norm(places - BALL.center, axis=1) < BALL.radius
    outside |= ((places > POST.minimum) & (places < POST.maximum)).all(axis=1)
    return int(outside.sum())


def table_of(robot: RobotDescription) -> tuple[HalfSpace, ...]:
    """The half-spaces that the robot's description keeps its tool out of."""
    safety = interface_of(robot).safety
    return safety.tools[0].half_spaces if safety else ()


def clip_us(limits: Limits, calls: int) -> float:
    """Median of a bare np.clip of the same commands, µs."""
    (command,) = limits.commands
    low, high = np.array(command.minimum), np.array(command.maximum)
    values, times = np.random.default_rng(0).uniform(2 * low, 2 * high, (calls, len(low))), np.empty(calls)
    for index, value in enumerate(values):
        begun = time.perf_counter_ns()
        np.clip(value, low, high)
        times[index] = time.perf_counter_ns() - begun
    return float(np.median(times)) / 1e3


def rows(name: str, robot: RobotDescription, options: Options) -> list[Row]:
    """All of one robot."""
    trial, asked = Trial(robot, options.seed), options.commands // 3
    model: Any = None
    if trial.limits.safety and trial.limits.safety.tools and robot.model is not None:
        model = mujoco.MjModel.from_xml_string(robot.model(False))
    sent, passed, times = trial.run(asked)
    count, outside = len(sent) - 1, judge(trial, sent, model)
    kinds = {"value": "range", "rate": "rate", "acceleration": "acceleration", "soft_end": "soft ends"}
    if model is not None:
        kinds["workspace"] = "workspace, or where it must not go"
    found = [
        Row(metric=f"{name}: outside its {kind}", value=getattr(outside, field), unit="", seeds=count, must="<= 0")
        for field, kind in kinds.items()
    ]
    found.append(
        Row(metric=f"{name}: not finite and not refused", value=passed, unit="", seeds=asked - count, must="<= 0")
    )
    p50, p99 = np.percentile(times[: options.calls] / 1e3, (50, 99)).tolist()
    peer = f"bare np.clip {clip_us(trial.limits, options.calls):.1f} µs"
    found.append(Row(metric=f"{name}: a call, p50", value=p50, unit="µs", seeds=options.calls, must="<= 50", peer=peer))
    found.append(Row(metric=f"{name}: a call, p99", value=p99, unit="µs", seeds=options.calls))
    if model is not None:
        braked = trial.filter.counters["held_steps"]
        found.append(Row(metric=f"{name}: calls that could only brake", value=braked, unit="", seeds=count))
    return found


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # on one core, as the number is stated
    robots = {"quadrotor": QUADROTOR, "quadruped, 12 joints": QUADRUPED, "arm and its tool, 6 joints": ARM}
    return report("safety", [row for name, robot in robots.items() for row in rows(name, robot, options)], options)


if __name__ == "__main__":
    sys.exit(main())
