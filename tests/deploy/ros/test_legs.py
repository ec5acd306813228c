"""A robot with legs and its policy node as real processes: it stands up slowly, and whatever ends it lays it down."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
from ros_processes import LEGS
from std_msgs.msg import Float64MultiArray
from untrained import MAX_AGE_S

from isthmus_deploy.ros import qos
from isthmus_sim.robots.quadruped.description import ROBOT

pytestmark = pytest.mark.ros

COMMAND = ROBOT.commands[0]
PERIOD_S = ROBOT.control_period_s
STANDBY, SAFE = np.array(COMMAND.standby), np.array(COMMAND.safe)
assert COMMAND.transition_rate is not None
STEP = np.array(COMMAND.transition_rate) * PERIOD_S


def lies(operator):
    return operator.position[2] < 0.1 and operator.up > 0.9


def stands(operator):
    return operator.position[2] > 0.23 and operator.up > 0.95


def check_slow(commands):
    """The way took its time: who watches may miss some commands, but not all that lie between two poses."""
    assert (np.abs(np.diff(np.array(commands), axis=0)) <= 10.0 * STEP).all()


def test_it_stands_up_follows_the_operator_and_is_laid_down_by_the_end_of_the_node(start, standing, walker):
    robot = start(*LEGS)
    node = start("node.policy_node", standing)
    node.wait_for("ready: quadruped at 50 Hz")
    walker.wait("robot on the ground", lambda: lies(walker))
    walker.wait("readiness to arm", lambda: walker.ask("arm").success)
    answer = walker.ask("start")
    assert not answer.success
    assert "cannot start yet" in answer.message
    walker.wait("stand-by", lambda: walker.ask("start").success)
    check_slow(walker.commands)
    assert np.abs(walker.commands[0] - SAFE).max() < 0.5, "from where the robot lies"
    assert walker.wait_state("running")["silent_topics"] == "cmd_vel", "nobody has said anything yet"
    assert stands(walker)

    walker.ask_to_walk(0.3)
    walker.wait("the node to hear", lambda: walker.diagnostics[-1]["silent_topics"] == "")
    walker.wait("silence", lambda: walker.diagnostics[-1]["silent_topics"] == "cmd_vel")
    assert walker.state == "running", "it stands until it is told something again"

    before = len(walker.commands) - 1
    node.signal(signal.SIGTERM)
    walker.wait("the end of the node", lambda: node.ended)
    assert node.exit_status() == 0, node.output
    assert "ended by SIGTERM in state running" in node.output
    assert "cmd_vel silent: zero in its place" in node.output
    walker.wait("the last command", lambda: np.array_equal(walker.commands[-1], SAFE), 5.0)
    check_slow(walker.commands[before:])
    walker.wait("rest", lambda: lies(walker), 5.0)
    robot.wait_for("dead-man: no command for 0.2 s, joints damped only", 5.0)


@pytest.mark.parametrize(
    ("fault", "cause", "patience_s"),
    [
        ("nan@3.5", "joint_position.FL_hip_joint: not finite", 0.0),
        ("silence@3.5", "joint_position: stale", MAX_AGE_S),
    ],
)
def test_a_sensor_fault_lays_it_down(start, standing, walker, tmp_path, fault, cause, patience_s):
    robot = start(*LEGS, "--fault", fault, "--log", tmp_path / "robot.json")
    start("node.policy_node", standing)
    walker.stand_up()
    assert cause in walker.wait_state("fault")["cause"]
    assert "cannot reset yet: the safe command is reached in" in walker.ask("reset").message
    walker.wait("the safe command", lambda: np.array_equal(walker.commands[-1], SAFE), 5.0)
    walker.wait("rest", lambda: lies(walker), 5.0)
    assert walker.ask("reset").success
    assert robot.end() == 0
    after = json.loads((tmp_path / "robot.json").read_text())["after_fault"]
    assert after["moving_commands"] <= 2 + patience_s / PERIOD_S
    assert after["stopped_after_s"] < patience_s + 1.0, "2 periods, and some for a busy machine"
    assert 0.3 < after["safe_after_s"] - after["stopped_after_s"] < 3.0, "slowly"


def test_a_node_that_is_killed_leaves_limp_legs(start, standing, walker):
    robot = start(*LEGS)
    node = start("node.policy_node", standing)
    walker.stand_up()
    walker.wait_state("running")
    walker.wait("robot on its feet", lambda: stands(walker))
    node.kill()
    robot.wait_for("dead-man: no command for 0.2 s, joints damped only", 5.0)
    walker.wait("the ground", lambda: walker.position[2] < 0.1, 10.0)


def test_whoever_begins_to_command_it_too_is_named_and_it_is_laid_down(start, standing, walker):
    start(*LEGS)
    start("node.policy_node", standing)
    walker.stand_up()
    walker.wait_state("running")
    topic = "forward_position_controller/commands"
    walker.link.node.create_publisher(Float64MultiArray, topic, qos.COMMAND)  # it need not even send
    cause = walker.wait_state("fault")["cause"]
    assert cause.startswith(f"/operator already sends commands on /{topic}")
    walker.wait("the safe command", lambda: np.array_equal(walker.commands[-1], SAFE), 5.0)
