"""Flights with real processes: a stand-in robot and the policy node over DDS, and all that ends one early."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from ros_processes import QUADROTOR
from untrained import MAX_AGE_S

pytestmark = pytest.mark.ros

PERIOD_S = 0.01


@pytest.fixture
def node(start, policy):
    """The policy node, still waiting for its robot."""
    return start("node.policy_node", policy)


def test_a_mission_flies_lands_and_is_recorded(start, policy, tmp_path: Path):
    robot = start(*QUADROTOR, "--log", tmp_path / "robot.json")
    node = start("node.policy_node", policy, "--log", tmp_path / "node.json")
    plan = {"climb-s": 1.2, "hover-s": 1.8, "laps": 1, "period-s": 3.0, "size-m": 0.15}
    arguments = [item for name, value in plan.items() for item in (f"--plan.{name}", value)]
    mission = start("missions.flight", *arguments, "--limits.hover-m", 0.3, "--log", tmp_path / "flight")

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
        assert arrays["command/rotor_speed"].shape[1] == 4
    latency = json.loads((tmp_path / "robot.json").read_text())["sensor_to_command"]
    assert latency["count"] > 800
    assert json.loads((tmp_path / "node.json").read_text())["reading_to_command"]["count"] > 800


def check_aftermath(log: Path, patience_s: float) -> None:
    """The motors stopped within two control periods of the first faulty reading, or of the time-out for silence."""
    after = json.loads(log.read_text())["after_fault"]
    assert after["moving_commands"] <= 2 + patience_s / PERIOD_S, "one command comes each control period"
    assert after["stopped_after_s"] < patience_s + 1.0, "2 periods, and some for a busy machine"


@pytest.mark.parametrize(
    ("fault", "cause", "options", "patience_s"),
    [
        ("jump@1.2", "position.x: jumped", (), 0.0),
        ("silence@1.2", "stale", (), MAX_AGE_S),
        ("freeze:imu@1.2", "angular_velocity: frozen", (), 0.25),
        ("late:imu@1.2", "no reading came to a command within 45 ms", ("--max-latency-s", 0.045), 0.3),
        ("silence:imu@1.2", "angular_velocity: stale, 0.4", ("--timeout-s", 0.4), 0.4),  # stricter than the contract
    ],
)
def test_a_sensor_fault_stops_the_motors(start, policy, operator, tmp_path, fault, cause, options, patience_s):
    log = tmp_path / "robot.json"
    robot = start(*QUADROTOR, "--fault", fault, "--log", log)
    node = start("node.policy_node", policy, *options)
    operator.launch()
    report = operator.wait_state("fault")
    assert cause in report["cause"]
    assert not operator.ask("arm").success, "the fault is latched"
    assert operator.ask("reset").success
    operator.wait_state("passive")

    assert robot.end() == 0
    check_aftermath(log, patience_s)
    assert node.end() == 0, node.output
    assert f"[ERROR] policy_node: fault: {report['cause']}" in node.output


def test_killing_the_node_lets_the_robots_dead_man_stop_the_motors(start, node, operator):
    robot = start(*QUADROTOR)
    operator.take_off()
    node.kill()
    robot.wait_for("dead-man: no command for 0.2 s, motors off", 5.0)
    operator.wait("landing by gravity", lambda: operator.position[2] < 0.1, 10.0)


def test_a_robot_that_dies_in_flight_faults_the_node(start, node, operator):
    robot = start(*QUADROTOR)
    operator.take_off()
    robot.kill()
    assert "stale" in operator.wait_state("fault")["cause"]
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)
    assert not operator.ask("arm").success, "the fault is latched"
    assert not node.ended


def test_stop_start_again_and_terminate(start, node, operator):
    start(*QUADROTOR)
    operator.take_off()
    assert operator.ask("stop").message == "stopped"
    assert operator.wait_state("stopped")["cause"] == "stop requested"
    refused = operator.ask("start")
    assert not refused.success
    assert "cannot start in state stopped" in refused.message
    assert operator.ask("reset").success
    operator.wait("landing by gravity", lambda: operator.position[2] < 0.05)

    operator.take_off()
    assert operator.commands[-1].any()
    node.signal(signal.SIGTERM)
    assert node.exit_status() == 0
    assert "ended by SIGTERM in state running" in node.output
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)


def test_a_mission_with_a_sensor_that_gives_nan_fails_and_says_so(start, policy, tmp_path):
    robot = start(*QUADROTOR, "--fault", "nan@1.2", "--log", tmp_path / "robot.json")
    start("node.policy_node", policy)
    mission = start("missions.flight", "--log", tmp_path)
    assert mission.exit_status() == 1, mission.output
    assert "flight failed: node fault: position.x: not finite" in mission.output
    flight = json.loads((tmp_path / "flight.json").read_text())
    assert not flight["success"]
    assert "position.x: not finite" in flight["failures"][0]
    assert "position.x: not finite" in flight["diagnostics"][-1]["cause"]
    assert robot.end() == 0
    check_aftermath(tmp_path / "robot.json", 0.0)
