"""What a robot asks of the safety chain: it travels, is checked, and is what whoever drives is held to."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from planar_arm import ELBOW, FORWARD, PERIOD_S, arm_limits, arm_tool

from isthmus_deploy.contracts.consistency import InconsistentContract
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Limits, limits_of
from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.contracts.safety_data import Box, CommandSafety, HalfSpace, Link, Safety, Sphere, Tool, safety_of
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.safety.chain import SafetyChain
from isthmus_deploy.safety.commands.filter import SafetyFilter
from isthmus_deploy.safety.supervisor import TransitionError

HELD = CommandSafety(
    command="joint_command", max_acceleration=(100.0, 50.0), soft_maximum=(1.5, 0.5), approach_rate=4.0
)
HIP = Link(joint="hip", offset=(0.0, 0.0, 0.5), axis=(0.0, 1.0, 0.0))
FOOT = Tool(
    name="foot", command="joint_command", links=(HIP,), point=(0.0, 0.0, -0.4), approach_rate=5.0,
    workspace=Box(minimum=(-1.0, -1.0, 0.0), maximum=(1.0, 1.0, 1.0)),
    spheres=(Sphere(center=(0.5, 0.0, 0.5), radius=0.1),), boxes=(Box(minimum=(0.6, 0, 0), maximum=(0.9, 1, 1)),),
    half_spaces=(HalfSpace(normal=(0.0, 0.0, 1.0), offset=0.05),),
)  # fmt: skip
ALL = Safety(commands=(HELD,), tools=(FOOT,))


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"comands": []}, r"safety\.comands: unknown; valid are commands, tools"),
        ({"commands": [{"command": "x", "max_accel": (1.0,)}]}, r"safety\.commands\[0\]\.max_accel: unknown"),
        ({"commands": [{"max_acceleration": (1.0,)}]}, r"safety\.commands\[0\]\.command: missing"),
        ({"tools": [{"name": "tip"}]}, r"safety\.tools\[0\]\.command: missing"),
    ],
)
def test_a_limit_that_is_misspelt_is_named(document: dict[str, Any], path: str):
    """It would hold nothing, and nobody would know."""
    with pytest.raises(ContractError, match=path):
        safety_of(document)


def test_it_comes_back_from_json_with_contract_and_robot(contract: Contract):
    whole = dataclasses.replace(contract, safety=ALL)
    assert Contract.from_json(whole.to_json()) == whole
    robot = whole.interface()
    assert RobotInterface.from_json(robot.to_json()) == robot
    assert limits_of(robot).safety == ALL


def test_who_says_nothing_writes_nothing(contract: Contract):
    """So a file from before it was kept still opens, and an older reader opens a file without it."""
    assert "safety" not in json.loads(contract.to_json())
    assert Contract.from_json(contract.to_json()).safety is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d["commands"][0].update(max_acceleration=[0.0, 1.0]), r"max_acceleration\[0\]: 0.0 is not above 0"),
        (lambda d: d["tools"][0]["links"][0].update(axis=[0.0, 1.0]), r"axis: needs at least 3 item"),
        (lambda d: d["tools"][0]["links"][0].update(axis=[0.0, 1.0, 0.0, 0.0]), r"axis: has 4 items, at most 3"),
        (lambda d: d["tools"][0].update(keepout=[]), r"keepout: unknown; valid are name, command, links"),
    ],
)
def test_another_form_is_refused_with_its_place(contract: Contract, change, named: str):
    document = json.loads(dataclasses.replace(contract, safety=ALL).to_json())
    change(document["safety"])
    with pytest.raises(ContractError, match=named):
        Contract.from_json(json.dumps(document))


NOWHERE = Sphere(center=(float("nan"), 0.0, 0.0), radius=0.1)
UPSIDE_DOWN = Box(minimum=(-1.0, -1.0, 1.0), maximum=(1.0, 1.0, 0.0))
TURNED = dataclasses.replace(ELBOW, axis=(0.0, 0.0, 2.0))


@pytest.mark.parametrize(
    ("held", "tool", "named"),
    [
        ({"command": "speed"}, {}, r"safety.commands\[0\].command: 'speed' is none of target"),
        ({"max_acceleration": (1.0,)}, {}, r"max_acceleration: 1 values for 2 elements"),
        ({"soft_minimum": (-1.0, -1.0)}, {}, r"approach_rate: null, but there is a soft_minimum to approach"),
        ({"approach_rate": 1.0, "soft_maximum": (0.5, 1.0)}, {}, r"shoulder needs minimum .* < 0.5 <= maximum 2.0"),
        ({"approach_rate": 1.0, "soft_maximum": (2.5, 1.0)}, {}, r"shoulder needs minimum .* < 2.5 <= maximum 2.0"),
        ({}, {"links": (FORWARD, FORWARD)}, r"tools\[0\].links: a joint stands twice"),
        ({}, {"links": (FORWARD, TURNED)}, r"links\[1\].axis: is of length 2, not 1"),
        ({}, {"links": (dataclasses.replace(ELBOW, joint="hip"),)}, r"'hip' is none of shoulder, elbow"),
        ({"max_acceleration": (float("nan"), 1.0)}, {}, r"commands\[0\].max_acceleration: nan is not above 0"),
        ({}, {"boxes": (UPSIDE_DOWN,)}, r"tools\[0\].boxes\[0\].minimum: 1.0 for z is not below its maximum 0.0"),
        ({}, {"workspace": UPSIDE_DOWN}, r"tools\[0\].workspace.minimum: 1.0 for z is not below"),
        ({}, {"spheres": (NOWHERE,)}, r"tools\[0\]: stand-by puts it nan m past a border \(sphere\)"),
        ({}, {"half_spaces": ()}, r"has neither a workspace nor anything that it is kept out of"),
        ({}, {"spheres": (Sphere(center=(0.7, 0.7, 0.0), radius=0.1),)}, r"puts it 0.05\d* m past .* \(sphere\)"),
    ],
)  # fmt: skip
def test_what_contradicts_the_robot_is_named(held: dict[str, Any], tool: dict[str, Any], named: str):
    item = CommandSafety(**{"command": "target", **held})
    with pytest.raises(InconsistentContract, match=named):
        dataclasses.replace(arm_limits(), safety=Safety(commands=(item,), tools=(arm_tool(**tool),)))


def test_efforts_are_limited_only_where_joints_and_readings_are_known():
    item = CommandSafety(command="target", limit_effort=True)
    blind = dataclasses.replace(arm_limits(), signals=arm_limits().signals[:1])
    with pytest.raises(InconsistentContract, match="position and velocity of what target sets must both be measured"):
        dataclasses.replace(blind, safety=Safety(commands=(item,)))
    soft = {name: dataclasses.replace(joint, stiffness=0.0) for name, joint in arm_limits().joints.items()}
    with pytest.raises(InconsistentContract, match="shoulder has no stiffness"):
        dataclasses.replace(arm_limits(), joints=soft, safety=Safety(commands=(item,)))


def test_two_tools_that_share_a_joint_are_refused():
    with pytest.raises(InconsistentContract, match=r"tools\[1\].links: elbow moves another tool"):
        dataclasses.replace(arm_limits(), safety=Safety(tools=(arm_tool(), arm_tool())))


def drive(chain: SafetyChain, ticks: int) -> list[float]:
    """What is sent to the shoulder that is wanted at 2 rad; the arm is ready at stand-by."""
    readings = {"angle": np.array([0.5, 0.5]), "speed": np.zeros(2)}
    sent, now_ns = [], 0
    chain.arm(now_ns)
    while len(sent) < ticks:
        if chain.may_start:
            chain.start(now_ns)
        commands = chain.drive(readings, dict.fromkeys(readings, 0.0), now_ns, lambda: {"target": np.full(2, 2.0)})
        sent.append(float(commands["target"][0]))
        now_ns += round(1e9 * PERIOD_S)
    return sent


def test_the_robots_own_word_holds_whoever_drives():
    """The limits of a policy say nothing; the robot announces an acceleration limit: 0.008 rad in the first period."""
    limits: Limits = arm_limits()
    chain = SafetyChain(limits, ramp_s=0.0)
    assert drive(chain, 1) == pytest.approx([0.1])
    chain = SafetyChain(limits, ramp_s=0.0)
    chain.hold_to(arm_limits(max_acceleration=(20.0, 20.0)).safety)
    sent = drive(chain, 60)
    assert sent[:3] == pytest.approx([0.008, 0.024, 0.048])
    assert sent[-1] == 2.0, "stand-by is reached, and then what is wanted"
    assert chain.counters["target.acceleration.steps"] != 0
    with pytest.raises(TransitionError, match="cannot hold the robot to other limits now: running, not passive"):
        chain.hold_to(arm_limits(max_acceleration=(30.0, 30.0)).safety)
    chain.hold_to(None)
    assert "target.acceleration.steps" in chain.counters, "a robot that says nothing changes nothing"


def test_a_stop_goes_to_the_safe_command_whatever_is_limited():
    chain = SafetyChain(arm_limits(max_acceleration=(20.0, 20.0)), ramp_s=0.0)
    drive(chain, 60)
    chain.stop(0)
    assert chain.drive({}, {}, 0, dict)["target"].tolist() == [0.0, 0.0]


def test_every_stage_reports_how_often_and_how_much_it_changed():
    """Steps of 0.1 rad are allowed, and 2 rad at most."""
    chain = SafetyFilter(arm_limits(), PERIOD_S)
    for shoulder in (0.05, 0.4, 3.0):
        chain.apply({"target": np.array([shoulder, 0.0])})
    assert chain.counters == {
        "target.range.steps": 1,
        "target.range.largest": 1.0,
        "target.rate.steps": 2,
        "target.rate.largest": pytest.approx(1.75),
    }
    for _ in range(300):
        chain.apply({"target": np.array([3.0, 0.0])})
    assert chain.counters["target.range.steps"] == chain.clipped_steps == 301
    assert chain.rate_limited_steps == 2 + 17
