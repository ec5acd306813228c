"""The way to the safe command keeps tools out of what they are kept out of, and comes to its end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from untrained import contract_for

from isthmus_deploy.contracts.borders import Borders
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.kinematics import Kinematics
from isthmus_deploy.contracts.safety_data import Sphere
from isthmus_deploy.safety.chain import SafetyChain
from isthmus_deploy.safety.descent import Descent
from isthmus_deploy.safety.supervisor import State
from isthmus_deploy.safety.transition import Transition
from isthmus_sim.robots.so101.description import ROBOT as ARM

TARGET = "joint_position_target"


@pytest.fixture
def arm() -> Contract:
    return contract_for(ARM, "any")


def least_distance(contract: Contract, joints: np.ndarray) -> float:
    """m from the tool to the nearest border."""
    assert contract.safety is not None
    (tool,) = contract.safety.tools
    place = Kinematics(tool.links, tool.point).place(joints[:5].tolist())
    return min(Borders(tool).distances(place.point))


def way(contract: Contract, make: type, start: np.ndarray) -> list[np.ndarray]:
    """What is sent from `start` to the safe command."""
    period_s, safe = contract.control_period_s, {TARGET: np.array(contract.commands[0].safe)}
    mover, ruler, last, sent = make(contract, period_s), Transition(contract, period_s), {TARGET: start}, []
    while ruler.left_s(safe, last) > 0.0:
        last = mover.towards(safe, last)
        sent.append(last[TARGET])
        assert len(sent) < 1000
    np.testing.assert_array_equal(sent[-1], safe[TARGET])
    return sent


def starts(contract: Contract, number: int) -> list[np.ndarray]:
    """Poses above the table from which a straight line of the joints leads the tool 1 cm into it, or further."""
    random, command, found = np.random.default_rng(0), contract.commands[0], []
    low, high, safe = map(np.array, (command.minimum, command.maximum, command.safe))
    while len(found) < number:
        joints = random.uniform(low, high)
        line = [joints + (safe - joints) * share for share in np.linspace(0.0, 1.0, 20)]
        if least_distance(contract, joints) > 0.0 and min(least_distance(contract, each) for each in line) < -0.01:
            found.append(joints)
    return found


def test_a_tool_does_not_pass_through_the_table_on_its_way_to_rest(arm: Contract):
    for start in starts(arm, 5):
        straight, led = way(arm, Transition, start), way(arm, Descent, start)
        assert min(least_distance(arm, joints) for joints in straight) < -0.01
        assert min(least_distance(arm, joints) for joints in led) >= 0.0
        assert len(led) <= 2 * len(straight)


def test_a_safe_pose_beyond_a_border_is_reached_all_the_same(arm: Contract):
    assert arm.safety is not None
    (tool,) = arm.safety.tools
    rest = Kinematics(tool.links, tool.point).place(list(arm.commands[0].safe[:5])).point
    tool = dataclasses.replace(tool, spheres=(Sphere(center=rest, radius=0.01),))
    blocked = dataclasses.replace(arm, safety=dataclasses.replace(arm.safety, tools=(tool,)))
    standby = np.array(arm.commands[0].standby)
    straight = way(blocked, Transition, standby)
    assert len(straight) < len(way(blocked, Descent, standby)) <= 3 * len(straight) + 1


def test_a_chain_that_trips_goes_that_way(arm: Contract):
    (start,) = starts(arm, 1)
    chain, now_ns, period_ns = SafetyChain(arm), 0, round(1e9 * arm.control_period_s)
    readings = {"joint_position": start.astype(np.float32), "joint_velocity": np.zeros(6, np.float32)}
    chain.arm(now_ns)
    chain.drive(readings, dict.fromkeys(readings, 0.0), now_ns, lambda: None)
    chain.fault(now_ns, "tried out")
    while not chain.may_end:
        now_ns += period_ns
        sent = chain.drive({}, {}, now_ns, lambda: None)
        assert least_distance(arm, sent[TARGET]) >= 0.0
    assert chain.state is State.FAULT
