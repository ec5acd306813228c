"""A robot's own limits: what it announces is what whoever drives it is held to."""

import dataclasses

import numpy as np
import pytest

from isthmus_deploy.contracts.consistency import InconsistentContract
from isthmus_deploy.contracts.limits import limits_of
from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.safety.chain import SafetyChain
from isthmus_deploy.safety.supervisor import State

PERIOD_NS = 10_000_000
FRESH = {"joint_position": 0.0, "orientation": 0.0}


def without(interface: RobotInterface, group: str, field: str) -> RobotInterface:
    first, *rest = getattr(interface, group)
    return dataclasses.replace(interface, **{group: (dataclasses.replace(first, **{field: None}), *rest)})


def test_what_is_announced_are_the_limits_of_the_contract(contract):
    announced = limits_of(RobotInterface.from_json(contract.interface().to_json()))
    assert announced.control_period_s == contract.control_period_s
    assert announced.commands == contract.commands
    assert announced.signals == contract.signals


@pytest.mark.parametrize(
    ("group", "field"),
    [("commands", field) for field in ("max_rate", "safe", "standby")]
    + [("signals", field) for field in ("minimum", "maximum", "max_jump")],
)
def test_a_robot_that_leaves_a_limit_out_can_be_read_but_not_driven(contract, group, field):
    robot = without(contract.interface(), group, field)
    assert RobotInterface.from_json(robot.to_json()) == robot
    with pytest.raises(ContractError, match=rf"^{group}\[0\]\.{field}: the robot does not announce it for joint_"):
        limits_of(robot)


def test_limits_that_contradict_each_other_are_named(contract):
    (command,) = contract.interface().commands
    robot = dataclasses.replace(contract.interface(), commands=(dataclasses.replace(command, safe=(3.0, 0.0)),))
    with pytest.raises(ContractError, match=r"commands\[0\]\.safe: 3.0 for hip is outside \[-2.0, 2.0\]"):
        limits_of(robot)


def test_a_robot_that_changes_less_quickly_than_the_policy_may_is_refused(contract):
    (command,) = contract.interface().commands
    robot = dataclasses.replace(contract.interface(), commands=(dataclasses.replace(command, max_rate=(5.0, 10.0)),))
    assert contract.differences(robot) == ["commands.joint_command.max_rate: contract 20.0 for hip, robot 5.0"]
    assert contract.differences(without(contract.interface(), "commands", "max_rate")) == []


def test_the_rate_is_kept_at_whatever_rate_somebody_drives(contract, make_signals):
    """20 and 10 rad/s at a tick every 20 ms, of a robot whose control period is 10 ms: 0.4 and 0.2 rad a tick."""
    chain = SafetyChain(limits_of(contract.interface()), ramp_s=0.0, period_s=0.02)
    chain.arm(0)
    sent, now_ns = [], 0
    while len(sent) < 6:
        if chain.may_start:
            chain.start(now_ns)
        commands = chain.drive(make_signals(0.0, 0.0), FRESH, now_ns, lambda: {"joint_command": np.array((9.0, 9.0))})
        sent.append(commands["joint_command"].tolist())
        now_ns += 2 * PERIOD_NS
    assert chain.state is State.RUNNING
    assert sent[:4] == [pytest.approx(each) for each in ([0.4, 0.2], [0.8, 0.4], [1.2, 0.6], [1.6, 0.8])]


def test_a_late_tick_allows_for_what_has_moved_since(contract, make_signals):
    """0.5 rad a control period of 10 ms are plausible: 1.4 rad are so after 30 ms, and not after 10 ms."""
    for late, state in ((3, State.READY), (1, State.FAULT)):
        chain = SafetyChain(limits_of(contract.interface()))
        chain.arm(0)
        chain.drive(make_signals(0.0, 0.0), FRESH, 0, dict)
        chain.drive(make_signals(1.4, 0.0), FRESH, late * PERIOD_NS, dict)
        assert chain.state is state


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize(("group", "field"), [("commands", "max_rate"), ("signals", "max_jump")])
def test_a_limit_of_a_description_that_limits_nothing_is_refused(contract, group, field, value):
    """JSON is held to the schema. A description in Python is not, and not-a-number would be no limit at all."""
    first, *rest = getattr(contract, group)
    changed = dataclasses.replace(first, **{field: (value,) * len(first.order)})
    with pytest.raises(InconsistentContract, match=rf"{group}\[0\]\.{field}: {value} is not above 0"):
        dataclasses.replace(contract, **{group: (changed, *rest)})


def test_a_control_period_that_is_none_is_refused(contract):
    with pytest.raises(InconsistentContract, match=r"^control_period_s: nan is not above 0"):
        dataclasses.replace(contract, control_period_s=float("nan"))
