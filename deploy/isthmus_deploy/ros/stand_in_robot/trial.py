"""A mission's walk in one process, faster than real time: the same policy file, safety chain, operator and judge.

For statistics over many bodies, of any robot that walks. What is different from a walk over ROS is only the transport:
here a command reaches the drives in the period of its readings, and the body's own latency is all there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import numpy as np

from isthmus_deploy.contracts.robot_interface import interface_of
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.choice import driver_of
from isthmus_deploy.policy.chunk_inference import InLoop
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros.missions.log import MissionLog
from isthmus_deploy.ros.missions.walk import Options, Walk
from isthmus_deploy.ros.missions.walk_plan import WalkPlan
from isthmus_deploy.ros.stand_in_robot.worlds.described import DescribedWorld, bare_scene
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array
from isthmus_deploy.ros.truth import Truth
from isthmus_deploy.safety.supervisor import ACTIVE, State
from isthmus_sim.description import RobotDescription

_GRAVITY = 9.81  # m/s²
_STAND_S = 0.5  # to come to rest in stand-by before the policy starts, and on the ground at the end


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How one walk went, from the policy's start to its stop."""

    seed: int
    hidden: dict[str, object]
    """What the policy was not told of the body."""
    failures: tuple[str, ...]
    """Why the walk failed, in words: a fall, a fault, or what the mission's judge says. Nothing: it succeeded."""
    fell: bool
    """Whether the base touched the ground, or the mission says that the robot fell, in stand-by or walking."""
    fault: str | None
    """Why the safety chain stopped it; None when it did not."""
    walked_s: float
    """Shorter than the plan after a fall or a fault."""
    distance_m: float
    """Length of the base's path over the ground."""
    away_m: float | None
    """Distance of the end from where it should have been; None for a walk that did not get there."""
    velocity_error: float | None
    """Mean distance of the velocity in the body's plane from the wanted one, m/s, over the legs of the walk, each
    without its start; None where there is no more of them."""
    yaw_rate_error: float | None
    """Mean distance of the turning rate from the wanted one, rad/s, likewise."""
    energy_j: float
    """Mechanical work of the drives; what they brake is lost."""
    cost_of_transport: float
    """Energy over weight and distance; 0 for a robot that went nowhere."""
    clipped_steps: int
    rate_limited_steps: int


def walk(runtime: Runtime, robot: RobotDescription, seed: int, plan: WalkPlan | None = None) -> Trial:
    """Stand up, walk the plan as `isthmus-walk` does, stop and lie down, on the body of a seed.

    Args:
        runtime: The loaded policy; used by one trial at a time.
        robot: The contract's robot, with a free base.
        seed: Draws body and noise.
        plan: What the operator asks for; by default the mission's square.

    Raises:
        ContractMismatch: the policy is not for this robot.
        Refusal: the robot does not take a walk's goals.
    """
    runtime.contract.check_robot(interface_of(robot))
    mission = Walk(Options(plan=plan or WalkPlan()))
    mission.meet(interface_of(robot))
    return _Trial(runtime, robot, seed, mission).run()


class _Trial:
    """One robot, its safety chain, its operator, and what is recorded of them."""

    def __init__(self, runtime: Runtime, robot: RobotDescription, seed: int, mission: Walk) -> None:
        contract = runtime.contract
        self._seed, self._mission = seed, mission
        self._world = DescribedWorld(bare_scene(robot), seed)
        # No real time passes here: a policy of chunks infers within the loop.
        self._controller = PolicyController({"policy": driver_of(runtime, InLoop)})
        self._period_s = contract.control_period_s
        self._steps = round(contract.control_period_s / self._world.timestep_s)
        self._fresh = {signal.name: 0.0 for signal in contract.signals}
        self._log = MissionLog(asked=mission.columns)
        self._periods = 0
        self._distance_m = 0.0

    def run(self) -> Trial:
        self._stand_up()
        energy_j = self._world.energy_j
        failure = self._lead()
        energy_j = self._world.energy_j - energy_j
        fell, fault = self._fall() is not None, self._fault()
        self._lie_down()
        return self._result(energy_j, fell, fault, failure)

    def _stand_up(self) -> None:
        self._controller.arm(self._now_ns())
        self._tick()
        while self._controller.state is State.STAND_UP:
            self._tick()
        for _ in range(round(_STAND_S / self._period_s)):
            self._tick()
        if self._controller.state is State.READY and not self._fall():
            self._controller.start(self._now_ns())

    def _lead(self) -> str | None:
        """Ask what the mission asks until it is over; returns why it ended early, or None."""
        truth = self._world.truth()
        self._mission.begin(truth)
        while (asked := self._mission.ask(self._walked_s, truth)) is not None:
            if failure := self._fall() or self._fault() or self._mission.failure(truth):
                return failure
            self._record(truth, asked)
            self._tick(asked)
            self._periods += 1
            truth = self._world.truth()
            self._distance_m += float(np.hypot(*truth.linear_velocity[:2])) * self._period_s
        return self._fall() or self._fault()

    def _lie_down(self) -> None:
        if self._controller.state in ACTIVE:
            self._controller.stop(self._now_ns())
        while not self._controller.may_end:
            self._tick()
        for _ in range(round(_STAND_S / self._period_s)):
            self._tick()

    def _tick(self, asked: Array | None = None) -> None:
        goals = self._mission.goals(self._mission.rest(self._world.truth()) if asked is None else asked)
        commands = self._controller.tick({**self._world.sense(), **goals}, self._fresh, self._now_ns())
        self._world.step(commands, self._steps)

    def _record(self, truth: Truth, asked: Array) -> None:
        row = (truth.position, truth.orientation, truth.linear_velocity, truth.angular_velocity, asked)
        self._log.truth.append((self._walked_s, *np.concatenate(row).tolist()))

    @property
    def _walked_s(self) -> float:
        return self._periods * self._period_s

    def _fall(self) -> str | None:
        if self._world.base_touches:
            return f"fell: the base touches the ground in {self._mission.phase}"
        return self._mission.fall(self._world.truth())

    def _fault(self) -> str | None:
        return self._controller.cause if self._controller.state is State.FAULT else None

    def _result(self, energy_j: float, fell: bool, fault: str | None, failure: str | None) -> Trial:
        judgement = self._mission.judge(self._log, self._world.truth())
        legs, end = judgement.facts["following"].values(), judgement.facts["end"]
        weight_m = self._world.mass * _GRAVITY * self._distance_m
        return Trial(
            seed=self._seed,
            hidden=self._world.hidden(),
            failures=(failure,) if failure else tuple(judgement.failures),
            fell=fell,
            fault=fault,
            walked_s=self._walked_s,
            distance_m=self._distance_m,
            away_m=end["away_m"] if end else None,
            velocity_error=fmean(leg["error_mps"] for leg in legs) if legs else None,
            yaw_rate_error=fmean(leg["turning_error_radps"] for leg in legs) if legs else None,
            energy_j=energy_j,
            cost_of_transport=energy_j / weight_m if weight_m else 0.0,
            clipped_steps=self._controller.clipped_steps,
            rate_limited_steps=self._controller.rate_limited_steps,
        )

    def _now_ns(self) -> int:
        return round(self._world.time_s * 1e9)
