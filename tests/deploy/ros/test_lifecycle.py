"""A lifecycle manager configures a policy node, activates it and takes it back. ROS parameters say what the command
line would."""

from __future__ import annotations

import os

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter
from ros_processes import LEGS

from isthmus_sim.robots.quadruped.description import ROBOT

pytestmark = pytest.mark.ros

SAFE = np.array(ROBOT.commands[0].safe)
FIFTH = ["--ros-args", "-p", "ramp_s:=0.2", "-p"]


def change(operator, label):
    return operator.call(ChangeState, "change_state", ChangeState.Request(transition=Transition(label=label))).success


def stage(operator):
    return operator.call(GetState, "get_state", GetState.Request()).current_state.label


def set_parameter(operator, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    (result,) = operator.call(SetParameters, "set_parameters", request).results
    return result


def configure(operator):
    """It is refused until a watchdog from before has let go of the robot, or the policy before is forgotten."""
    operator.wait("configuration", lambda: change(operator, "configure"))


def activate(operator):
    operator.wait("activation", lambda: change(operator, "activate"))


@pytest.fixture
def managed(start, standing, walker):
    start(*LEGS)
    node = start("node.policy_node", "--managed", *FIFTH, f"policy:={standing}")
    node.wait_for("unconfigured: waiting for a lifecycle manager")
    return node


def test_a_manager_leads_the_robot_through_all_of_it_twice(managed, walker):
    for _ in range(2):
        assert stage(walker) == "unconfigured"
        configure(walker)
        assert stage(walker) == "inactive"
        activate(walker)
        assert stage(walker) == "active"
        walker.wait_state("ready")
        assert walker.ask("start").success
        walker.wait_state("running")
        assert change(walker, "deactivate")
        walker.wait("the safe command", lambda: np.array_equal(walker.commands[-1], SAFE))
        walker.wait_state("passive")
        walker.wait("the end of the policy", lambda: change(walker, "cleanup"))
    assert change(walker, "shutdown")
    assert managed.exit_status() == 0
    managed.wait_for("ended by cleanup in state passive")


def test_what_does_not_fit_the_state_is_refused_and_ends_nothing(managed, walker):
    for label in ("activate", "deactivate", "cleanup", "dance"):
        assert not change(walker, label)
    managed.wait_for("cannot make the transition activate in state unconfigured; allowed here: configure")
    configure(walker)
    assert not change(walker, "configure")
    assert stage(walker) == "inactive"


def test_arming_and_disarming_move_the_lifecycle_too(managed, walker):
    configure(walker)
    walker.wait("arming", lambda: walker.ask("arm").success)
    assert stage(walker) == "active"
    walker.wait_state("ready")
    assert walker.ask("disarm").success
    walker.wait("rest", lambda: stage(walker) == "inactive")
    assert "cannot stop in state passive" in walker.ask("stop").message


def test_a_policy_that_cannot_be_run_leaves_the_node_unconfigured_and_another_one_may_follow(managed, standing, walker):
    assert set_parameter(walker, "policy", os.fspath(standing.with_name("none.onnx"))).successful
    assert not change(walker, "configure")
    managed.wait_for("cannot configure:")
    assert stage(walker) == "unconfigured"
    assert set_parameter(walker, "policy", os.fspath(standing)).successful
    configure(walker)


def test_parameters_are_typed_bounded_and_left_alone_while_they_are_used(managed, walker):
    (value,) = walker.call(GetParameters, "get_parameters", GetParameters.Request(names=["ramp_s"])).values
    assert value.double_value == 0.2
    for name, wrong, reason in (
        ("ramp_s", 11.0, "out of range"),
        ("ramp_s", "soon", "expected 'Type.DOUBLE'"),
        ("hold_to_run", 64, "out of range"),
        ("managed", False, "read-only"),
        ("also", ["a b.onnx"], "different names"),
        ("on_alarm", "wave", "on_alarm is one of tell, hold, stop, not wave"),
    ):
        result = set_parameter(walker, name, wrong)
        assert not result.successful
        assert reason in result.reason
    configure(walker)
    result = set_parameter(walker, "ramp_s", 0.4)
    assert result.reason == "ramp_s: read when the node is configured, so clean it up first"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("ramp_s:=11.0", "parameter ramp_s"),
        ("ramp_s:=soon", "parameter ramp_s"),
        ("rampe_s:=0.2", "no parameter is called rampe_s; there are also,"),
        ("hang_s:=0.000001", "parameter hang_s"),
        ("on_alarm:=stop", "cannot stop on an alarm: the policy standing has no monitor"),
    ],
)
def test_wrong_parameters_are_refused_before_a_robot_is_looked_for(start, standing, given, problem):
    node = start("node.policy_node", standing, "--ros-args", "-p", given)
    assert node.exit_status() == 2
    assert f"isthmus-deploy: refused: {problem}" in node.output
    assert "Traceback" not in node.output


def test_without_a_policy_nothing_starts(start):
    node = start("node.policy_node")
    assert node.exit_status() == 2
    assert "refused: no policy file is named: isthmus-deploy POLICY, or the ROS parameter policy" in node.output
