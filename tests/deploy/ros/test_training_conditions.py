"""What ended training stops the robot, and what training never asked is not followed: with real processes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import hand_made_policy
import pytest
from linear_margins import margin_graph, margins_of
from nav_msgs.msg import Odometry
from ros_processes import QUADROTOR, Operator

from isthmus_deploy.contracts.contract import Condition
from isthmus_deploy.policy.policy_file import seal
from isthmus_deploy.ros import qos

pytestmark = pytest.mark.ros

LIMIT = 0.25  # rad
ROWS = [({"orientation": (1.0, 0.0, 0.0, 0.0)}, -math.cos(LIMIT / 2))]


@pytest.fixture
def careful(tmp_path: Path) -> Path:
    """The hand-made policy, as if training had ended at 0.25 rad and had asked for places within 1 m."""
    lean = Condition(name="lean", unit="1", description="turns by at most 0.25 rad", holds=("standby", "driven"))
    contract = hand_made_policy.contract()
    box = {"trained_minimum": (-1.0, -1.0, -0.1), "trained_maximum": (1.0,) * 3, "trained_around": "position"}
    signals = tuple(
        replace(signal, **box) if signal.name == "reference_position" else signal for signal in contract.signals
    )
    contract = replace(contract, signals=signals, conditions=(lean,))
    replay = [replace(step, margins=margins_of(ROWS, step.signals)) for step in hand_made_policy.replay()]
    path = tmp_path / "careful.onnx"
    path.write_bytes(seal(hand_made_policy.model(), contract, replay, margin_graph(contract, ROWS)))
    return path


def test_a_quadrotor_on_its_back_is_not_armed(start, careful, operator: Operator):
    start(*QUADROTOR, "--upside-down")
    doctor = start("node.policy_node", "doctor", careful, "--watch-s", 0.5)
    assert doctor.exit_status() == 1
    doctor.wait_for(r"readings: lean: .* \(turns by at most 0\.25 rad\)", 1.0)
    start("node.policy_node", careful).wait_for("ready: ")
    operator.give_goal(0.0, 0.0, 0.8)
    operator.wait("the goal's arrival", lambda: "never received" not in operator.ask("arm").message)
    answer = operator.ask("arm")
    assert not answer.success
    assert answer.message.startswith("cannot arm: lean: ")
    assert answer.message.endswith("beyond what training had (turns by at most 0.25 rad)")
    assert "cannot start in state passive" in operator.ask("start").message
    assert operator.state == "passive"
    assert not operator.commands, "nothing was sent to the motors"


def test_one_that_leans_too_far_in_flight_is_stopped(start, careful, operator: Operator):
    start(*QUADROTOR)
    node = start("node.policy_node", careful)
    operator.take_off()
    reference = operator.link.node.create_publisher(Odometry, "reference", qos.SENSOR)
    operator.wait("node that takes references", reference.get_subscription_count)
    message = Odometry(child_frame_id="world")
    message.header.frame_id = "world"
    message.pose.pose.position.z, message.twist.twist.linear.x = 0.8, 5.0  # it leans by 0.39 rad for that

    def faulted() -> bool:
        reference.publish(message)
        return operator.state == "fault"

    operator.wait("fault", faulted)
    report = operator.diagnostics[-1]
    assert report["cause"].startswith("lean: ")
    assert float(report["least_margin_lean"]) < 0.0
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)
    node.wait_for("fault: lean: ")


def test_a_place_that_training_never_asked_for_is_not_flown_to(start, careful, operator: Operator):
    start(*QUADROTOR)
    start("node.policy_node", careful)
    operator.take_off()
    operator.give_goal(15.0, 0.0, 0.8)
    operator.wait("the border", lambda: operator.position[0] > 0.7 or operator.state == "fault")
    flown = len(operator.commands)
    operator.wait("3 s more", lambda: len(operator.commands) > flown + 300 or operator.state == "fault")
    assert operator.state == "running", operator.diagnostics[-1]
    assert operator.position[0] < 1.6
    assert int(operator.diagnostics[-1]["clamped_goals"]) > 100
