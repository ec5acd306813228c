"""Flights with real processes: a stand-in robot and the policy node over DDS, and all that ends one early."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from ros_processes import ROBOT

pytestmark = pytest.mark.ros

MAX_AGE_S = 0.05  # of the robot's readings, in the contract
PERIOD_S = 0.01


@pytest.fixture
def node(start, policy):
    """The policy node, still waiting for its robot."""
    return start("policy_node", policy)


def test_a_mission_flies_lands_and_is_recorded(start, policy, tmp_path: Path):
    robot = start(*ROBOT, "--log", tmp_path / "robot.json")
    node = start("policy_node", policy, "--log", tmp_path / "node.json")
    plan = {"climb-s": 1.5, "hover-s": 2.0, "laps": 1, "period-s": 4.0, "size-m": 0.2}
    arguments = [item for name, value in plan.items() for item in (f"--plan.{name}", value)]
    mission = start("mission", *arguments, "--limits.hover-m", 0.3, "--log", tmp_path / "flight")

    assert mission.exit_status(90.0) == 0, mission.output
    assert node.end() == 0, node.output
    assert robot.end() == 0, robot.output

    flight = json.loads((tmp_path / "flight" / "flight.json").read_text())
    assert flight["success"]
    assert set(flight["tracking_m"]) == {"take-off", "hover", "enter", "figure-eight", "leave", "landing"}
    states = [entry["state"] for entry in flight["diagnostics"]]
    assert {"ramp_in", "running", "stopped"} <= set(states)
    with np.load(tmp_path / "flight" / "flight.npz", allow_pickle=False) as arrays:
        assert arrays["position"].shape == arrays["reference_position"].shape == (len(arrays["time"]), 3)
        assert arrays["position"][:, 2].max() > 0.7
        assert arrays["command"].shape[1] == 4
    latency = json.loads((tmp_path / "robot.json").read_text())["sensor_to_command"]
    assert latency["count"] > 800
    assert json.loads((tmp_path / "node.json").read_text())["reading_to_command"]["count"] > 800


@pytest.mark.parametrize(
    ("fault", "cause", "patience_s"),
    [
        ("nan@1.5", "position.x: not finite", 0.0),
        ("jump@1.5", "position.x: jumped", 0.0),
        ("nan:imu@1.5", "angular_velocity.x: not finite", 0.0),
        ("silence@1.5", "stale", MAX_AGE_S),
        ("silence:imu@1.5", "angular_velocity: stale", MAX_AGE_S),
    ],
)
def test_a_sensor_fault_in_flight_stops_the_motors(start, node, operator, tmp_path, fault, cause, patience_s):
    log = tmp_path / "robot.json"
    robot = start(*ROBOT, "--fault", fault, "--log", log)
    operator.take_off()
    report = operator.wait_state("fault")
    assert cause in report["cause"]
    assert not operator.ask("arm").success, "the fault is latched"
    assert operator.ask("reset").success
    operator.wait_state("idle")

    assert robot.end() == 0
    after = json.loads(log.read_text())["after_fault"]
    assert after["moving_commands"] <= 2 + patience_s / PERIOD_S, "one command a control period"
    assert after["stopped_after_s"] < patience_s + 0.1, "even on a busy machine"
    assert node.end() == 0, node.output
    assert f"[ERROR] policy_node: fault: {report['cause']}" in node.output


def test_a_stricter_timeout_wins_over_the_contract(start, policy, operator, tmp_path):
    robot = start(*ROBOT, "--fault", "silence@1.5", "--log", tmp_path / "robot.json")
    start("policy_node", policy, "--timeout-s", 0.03)
    operator.take_off()
    assert "at most 0.03 s" in operator.wait_state("fault")["cause"]
    robot.end()


def test_terminating_the_node_sends_the_safe_command(start, node, operator):
    start(*ROBOT)
    operator.take_off()
    assert any(operator.commands[-1])
    node.signal(signal.SIGTERM)
    assert node.exit_status() == 0
    assert "ended by SIGTERM" in node.output
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)


def test_killing_the_node_lets_the_robots_dead_man_stop_the_motors(start, node, operator):
    robot = start(*ROBOT)
    operator.take_off()
    node.kill()
    robot.wait_for("dead-man: no command for 0.2 s, motors off", 5.0)
    operator.wait("landing by gravity", lambda: operator.position[2] < 0.1, 10.0)


def test_a_robot_that_dies_in_flight_faults_the_node(start, node, operator):
    robot = start(*ROBOT)
    operator.take_off()
    robot.kill()
    assert "stale" in operator.wait_state("fault")["cause"]
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)
    assert not operator.ask("arm").success, "the fault is latched"
    assert not node.ended


def test_the_operator_stops_a_flight_and_starts_again(start, node, operator):
    start(*ROBOT)
    operator.take_off()
    assert operator.ask("stop").message == "stopped"
    assert operator.wait_state("stopped")["cause"] == "stop requested"
    refused = operator.ask("start")
    assert not refused.success
    assert "cannot start in state stopped" in refused.message
    assert operator.ask("reset").success
    operator.wait("landing by gravity", lambda: operator.position[2] < 0.05)
    operator.take_off(0.4)
    operator.wait_state("running")


def test_a_mission_whose_robot_fails_says_so(start, policy, tmp_path):
    start(*ROBOT, "--fault", "nan@1.5")
    start("policy_node", policy)
    mission = start("mission", "--log", tmp_path)
    assert mission.exit_status() == 1, mission.output
    assert "flight failed: node fault: position.x: not finite" in mission.output
    flight = json.loads((tmp_path / "flight.json").read_text())
    assert not flight["success"]
    assert "position.x: not finite" in flight["failures"][0]
