"""A robot that is driven only while a person holds a button, and how it is stopped in other ways."""

from __future__ import annotations

import numpy as np
import pytest
import standing_policy
from ros_processes import LEGS
from sensor_msgs.msg import Joy

from isthmus_deploy.ros import qos
from isthmus_deploy.ros.node.hold_to_run import HoldToRun
from isthmus_sim.robots.quadruped.description import ROBOT

pytestmark = pytest.mark.ros

SAFE = np.array(ROBOT.commands[0].safe)


class Clock:
    now_ns = 0

    def __call__(self):
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


def test_it_is_held_only_while_a_gamepad_says_so(clock):
    held = HoldToRun(2, clock=clock)
    assert held.problem(0) == "hold-to-run: no gamepad on joy, whose button 2 must be held"
    held.receive(Joy(buttons=[1, 1, 0]))
    assert held.problem(0) == "hold-to-run: button 2 is not held"
    held.receive(Joy(buttons=[0, 0, 1]))
    assert held.problem(0) is None
    held.receive(Joy(buttons=[1, 1]))
    assert held.problem(0) == "hold-to-run: button 2 is not held", "this gamepad has no such button"


def test_a_gamepad_that_falls_silent_has_let_go(clock):
    held = HoldToRun(0, clock=clock)
    held.receive(Joy(buttons=[1]))
    assert held.problem(299_000_000) is None
    assert held.problem(700_000_000) == "hold-to-run: the gamepad has been silent for 0.7 s"
    clock.now_ns = 800_000_000
    held.receive(Joy(buttons=[1]))
    assert held.problem(800_000_000) is None


def stand(operator):
    operator.wait("readiness to arm", lambda: operator.ask("arm").success)
    operator.wait_state("ready")


def test_a_button_that_is_let_go_stops_the_robot(start, standing, walker):
    start(*LEGS)
    start("node.policy_node", standing, "--hold-to-run", 1).wait_for("ready: quadruped")
    gamepad = walker.link.node.create_publisher(Joy, "joy", qos.SENSOR)
    pressed = False
    walker.link.node.create_timer(0.05, lambda: gamepad.publish(Joy(buttons=[0, int(pressed)])))
    stand(walker)
    walker.wait("a refusal", lambda: "button 1 is not held" in walker.ask("start").message)
    pressed = True
    walker.wait("the start", lambda: walker.ask("start").success)
    walker.wait_state("running")
    pressed = False
    walker.wait_state("stopped")
    assert "hold-to-run: button 1 is not held" in walker.diagnostics[-1]["cause"]


def test_an_emergency_stop_damps_the_legs_and_a_reset_leaves_them(start, standing, walker):
    start(*LEGS)
    start("node.policy_node", standing).wait_for("ready: quadruped")
    stand(walker)
    assert walker.ask("start").success
    walker.wait_state("running")
    assert walker.ask("emergency_stop").message == "damping"
    assert walker.wait_state("damping")["cause"] == "emergency stop"
    walker.wait("a robot on the ground", lambda: walker.position[2] < 0.12)
    assert np.abs(walker.commands[-1] - SAFE).max() > 0.05, "the targets are where the joints are"
    assert walker.ask("reset").message == "passive"


def test_another_policy_takes_over_while_it_runs(start, walker, tmp_path):
    calm, keen = tmp_path / "calm.onnx", tmp_path / "keen.onnx"
    calm.write_bytes(standing_policy.policy_file())
    keen.write_bytes(standing_policy.policy_file(trained_latency_s=0.01))
    start(*LEGS)
    start("node.policy_node", calm, "--also", keen).wait_for("ready: quadruped")
    stand(walker)
    assert walker.ask("start").success
    first = walker.wait_state("running")["policy_sha256"]
    assert walker.ask("select/keen").message == "running"
    walker.wait("the other policy", lambda: walker.diagnostics[-1]["policy_sha256"] != first)
    walker.wait("the hand-over", lambda: walker.ask("select/calm").success)
    walker.wait("the first policy", lambda: walker.diagnostics[-1]["policy_sha256"] == first)
    assert walker.state == "running"


def test_disarming_lays_it_down_and_is_passive_then(start, standing, walker):
    start(*LEGS)
    start("node.policy_node", standing).wait_for("ready: quadruped")
    stand(walker)
    assert walker.ask("disarm").message == "stopped"
    walker.wait_state("passive")
    assert walker.position[2] < 0.12
    assert walker.ask("disarm").message.startswith("cannot reset in state passive")
