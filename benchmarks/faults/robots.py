"""The robots of the campaign, the policies that drive them (hand-made, no training), and what happens to each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import hand_made_policy
import standing_policy
from ros_processes import LEGS, QUADROTOR, Operator

from faults import operator_kinds, process_kinds, sensor_kinds, start_kinds
from faults.system import RobotUnderTest
from faults.trial import Kind
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.policy.policy_file import seal
from isthmus_policies.export.conditions import Margins
from isthmus_policies.export.contract import conditions_of
from isthmus_sim.tasks import make_task

_TRAINED = {"reference_position": ((-1.0, -1.0, 0.2), (1.0, 1.0, 1.5)), "reference_velocity": ((-1.0,) * 3, (1.0,) * 3)}
"""What the hand-made controller may be asked."""
_BORNE_S = 0.02
"""A latency that the hand-made controllers bear: what training would have seen."""


def under_test(robot: str, folder: Path) -> tuple[RobotUnderTest, Path]:
    """A robot, and the file of its policy, which is written into `folder`."""
    policy = folder / f"{robot}.onnx"
    policy.write_bytes(_policy_file(robot))
    return (_quadrotor() if robot == "quadrotor" else _quadruped()), policy


def kinds_of(robot: str, folder: Path) -> list[Kind]:
    """What happens to a robot; kinds for which the node is told the same stand together."""
    flying = _flying()
    files = {name: folder / f"{name}.onnx" for name in ("raising", "not_a_number", "of_another_robot")}
    for name in ("raising", "not_a_number"):
        model, replay = hand_made_policy.model(), hand_made_policy.replay()
        files[name].write_bytes(start_kinds.trapped(model, flying, replay, raises=name == "raising"))
    files["of_another_robot"].write_bytes(_policy_file("quadruped"))
    kinds = (*sensor_kinds.KINDS, *operator_kinds.KINDS, *process_kinds.KINDS, *start_kinds.kinds(**files))
    return [kind for kind in kinds if kind.robot == robot]


def _flying() -> Contract:
    """The hand-made controller's contract, as impatient as the robot's description, with what it may be asked."""
    return _impatient(hand_made_policy.contract())


def _impatient(contract: Contract) -> Contract:
    return replace(contract, trained_latency_s=_BORNE_S, signals=tuple(map(_held, contract.signals)))


def _held(signal: Signal) -> Signal:
    low, high = _TRAINED.get(signal.name, (None, None))
    age_s = None if signal.max_age_s is None else sensor_kinds.AGE_S
    return replace(signal, max_age_s=age_s, trained_minimum=low, trained_maximum=high)


def _standing() -> Contract:
    return _impatient(standing_policy.contract())


def _policy_file(robot: str) -> bytes:
    """The hand-made policy, with the conditions of the task that would train one."""
    made, contract = (hand_made_policy, _flying()) if robot == "quadrotor" else (standing_policy, _standing())
    task = make_task(robot)
    margins = Margins(task)
    contract = replace(contract, conditions=conditions_of(task))
    replay = [replace(step, margins=margins.of(step.signals)) for step in made.replay()]
    return seal(made.model(), contract, replay, margins.model)


def _quadrotor() -> RobotUnderTest:
    return RobotUnderTest(
        name="quadrotor",
        stand_in=QUADROTOR[1:],
        contract=_flying(),
        height_m=(0.3, 1.2),
        goal_m=(0.0, 0.0, 0.8),
        ask=lambda operator: operator.give_goal(0.0, 0.0, 0.8),
        go=Operator.launch,
    )


def _quadruped() -> RobotUnderTest:
    return RobotUnderTest(
        name="quadruped",
        stand_in=LEGS[1:],
        contract=_standing(),
        height_m=(0.23, 0.6),
        goal_m=None,
        ask=lambda _: None,
        go=Operator.stand_up,
    )
