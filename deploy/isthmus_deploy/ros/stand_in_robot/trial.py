"""A walk in one process, faster than real time: the same policy file, the same safety chain, any robot that walks.

For statistics over many bodies. What is different from a walk over ROS is only the transport: here a command reaches
the drives in the period of its readings, and the body's own latency is all there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.robot_interface import interface_of
from isthmus_deploy.ros.stand_in_robot.described import DescribedWorld, bare_scene
from isthmus_deploy.ros.stand_in_robot.world import Array, Truth
from isthmus_deploy.runtime import Runtime
from isthmus_deploy.supervisor import ACTIVE, State
from isthmus_sim.description import RobotDescription

_GRAVITY = 9.81  # m/s²
_STAND_S = 0.5  # to come to rest in stand-by before the policy starts, and on the ground at the end
_UPRIGHT = 0.5  # least cosine of the tilt: 60°
_STILL = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a walk: for `duration_s`, at `vx` and `vy` m/s and `yaw_rate` rad/s in the body."""

    duration_s: float
    vx: float = 0.0
    vy: float = 0.0
    yaw_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How one walk went, from the policy's start to its stop."""

    seed: int
    hidden: dict[str, object]
    """What the policy was not told of the body."""
    fell: bool
    """Whether the base touched the ground or tilted by more than 60°, in stand-by or walking."""
    fault: str | None
    """Why the safety chain stopped it; None when it did not."""
    walked_s: float
    """Shorter than the plan after a fall or a fault."""
    distance_m: float
    """Length of the base's path over the ground."""
    velocity_error: float | None
    """Mean distance of the velocity in the body's plane from the wanted one, m/s, without the start of each segment;
    None where there is no more of it."""
    yaw_rate_error: float | None
    """Mean distance of the turning rate from the wanted one, rad/s, likewise."""
    energy_j: float
    """Mechanical work of the drives; what they brake is lost."""
    cost_of_transport: float
    """Energy over weight and distance; 0 for a robot that went nowhere."""
    clipped_steps: int
    rate_limited_steps: int


def walk(
    runtime: Runtime, robot: RobotDescription, seed: int, plan: Sequence[Segment], *, settle_s: float = 0.5
) -> Trial:
    """Stand up, walk the plan, stop and lie down, on the body of a seed.

    Args:
        runtime: The loaded policy; used by one trial at a time.
        robot: The contract's robot, with a free base.
        seed: Draws body and noise.
        plan: What the operator asks for, one segment after the other.
        settle_s: Start of each segment that is left out of the errors, s.

    Raises:
        ContractMismatch: the policy is not for this robot.
    """
    runtime.contract.check_robot(interface_of(robot))
    return _Walk(runtime, robot, seed, settle_s).run(plan)


class _Walk:
    """One robot, its safety chain, and what is recorded of them."""

    def __init__(self, runtime: Runtime, robot: RobotDescription, seed: int, settle_s: float) -> None:
        contract = runtime.contract
        self._seed, self._settle_s = seed, settle_s
        self._world = DescribedWorld(bare_scene(robot), seed)
        self._controller = PolicyController(runtime)
        self._period_s = contract.control_period_s
        self._steps = round(contract.control_period_s / self._world.timestep_s)
        self._fresh = {signal.name: 0.0 for signal in contract.signals}
        self._fell = False
        self._errors: list[tuple[float, float]] = []
        self._periods = 0
        self._distance_m = 0.0

    def run(self, plan: Sequence[Segment]) -> Trial:
        self._stand_up()
        energy_j = self._world.energy_j
        for segment in plan:
            self._follow(segment)
        energy_j = self._world.energy_j - energy_j
        fault = self._controller.cause if self._controller.state is State.FAULT else None
        self._lie_down()
        return self._result(energy_j, fault)

    def _stand_up(self) -> None:
        self._controller.arm(self._now_ns())
        self._tick(_STILL)
        while self._controller.state is State.STANDBY and not self._controller.may_start:
            self._tick(_STILL)
        for _ in range(round(_STAND_S / self._period_s)):
            self._tick(_STILL)
        self._fell = self._down()
        if self._controller.state is State.STANDBY:
            self._controller.start(self._now_ns())

    def _follow(self, segment: Segment) -> None:
        wanted = (segment.vx, segment.vy, segment.yaw_rate)
        for index in range(round(segment.duration_s / self._period_s)):
            if self._fell or self._controller.state not in ACTIVE:
                return
            self._tick(wanted)
            self._record(self._world.truth(), wanted, settled=index * self._period_s >= self._settle_s)

    def _lie_down(self) -> None:
        if self._controller.state in ACTIVE:
            self._controller.stop(self._now_ns())
        while not self._controller.may_end:
            self._tick(_STILL)
        for _ in range(round(_STAND_S / self._period_s)):
            self._tick(_STILL)

    def _tick(self, wanted: tuple[float, float, float]) -> None:
        signals = {**self._world.sense(), **_goal(wanted)}
        commands = self._controller.tick(signals, self._fresh, self._now_ns())
        self._world.step(commands, self._steps)

    def _record(self, truth: Truth, wanted: tuple[float, float, float], *, settled: bool) -> None:
        self._fell = self._down()
        self._periods += 1
        self._distance_m += float(np.hypot(*truth.linear_velocity[:2])) * self._period_s
        if settled:
            missed = truth.linear_velocity[:2] - wanted[:2]
            self._errors.append((float(np.hypot(*missed)), abs(float(truth.angular_velocity[2]) - wanted[2])))

    def _down(self) -> bool:
        _, x, y, _ = self._world.truth().orientation
        return self._world.base_touches or bool(1.0 - 2.0 * (x * x + y * y) < _UPRIGHT)

    def _result(self, energy_j: float, fault: str | None) -> Trial:
        velocity_error, yaw_rate_error = np.mean(self._errors, axis=0).tolist() if self._errors else (None, None)
        weight_m = self._world.mass * _GRAVITY * self._distance_m
        return Trial(
            seed=self._seed,
            hidden=self._world.hidden(),
            fell=self._fell,
            fault=fault,
            walked_s=self._periods * self._period_s,
            distance_m=self._distance_m,
            velocity_error=velocity_error,
            yaw_rate_error=yaw_rate_error,
            energy_j=energy_j,
            cost_of_transport=energy_j / weight_m if weight_m else 0.0,
            clipped_steps=self._controller.clipped_steps,
            rate_limited_steps=self._controller.rate_limited_steps,
        )

    def _now_ns(self) -> int:
        return round(self._world.time_s * 1e9)


def _goal(wanted: tuple[float, float, float]) -> Mapping[str, Array]:
    vx, vy, yaw_rate = wanted
    return {"linear_velocity_command": np.array((vx, vy)), "yaw_rate_command": np.array((yaw_rate,))}
