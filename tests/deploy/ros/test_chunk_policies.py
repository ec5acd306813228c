"""The policy node with a policy of chunks, as a real process: it infers beside its loop, says so, and ends."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from chunk_node import SPEED
from ros_processes import QUADROTOR, Process

pytestmark = pytest.mark.ros

HERE = Path(__file__).parent


@pytest.fixture
def start_node(domain):
    """`start_node(log, …)` runs `chunk_node`; it ends with the test."""
    paths = [HERE, HERE.parents[1] / "helpers", os.environ.get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    processes = []

    def launch(*arguments):
        processes.append(Process("chunk_node", *arguments, environment=environment))
        return processes[-1]

    yield launch
    for process in processes:
        process.kill()


def test_it_runs_on_chunks_from_a_worker_and_reports_them(start, start_node, operator, tmp_path):
    start(*QUADROTOR)
    node = start_node(tmp_path / "node.json")
    node.wait_for("ready: crazyflie")
    operator.launch()
    operator.wait("the policy's command", lambda: bool(operator.commands) and operator.commands[-1][0] > 0.0)
    operator.wait("its full speed", lambda: np.allclose(operator.commands[-1], SPEED))
    operator.wait("a few chunks", lambda: int(operator.diagnostics[-1]["inferences"]) > 2)
    values = operator.diagnostics[-1]
    assert values["state"] == "running"
    assert (values["refused_chunks"], values["last_refusal"]) == ("0", "")
    assert int(values["inference_p50_us"]) > 0
    assert int(values["tolerated_latency_us"]) == 1_900_000
    node.signal(signal.SIGTERM)
    assert node.exit_status() == 0, node.output
    assert "hangs" not in node.output
    summary = json.loads((tmp_path / "node.json").read_text())
    assert summary["inferences"] > 2
    assert summary["clipped_steps"] == summary["clamped_goals"] == 0


def test_a_policy_that_raises_is_a_fault_and_the_node_goes_on(start, start_node, operator, tmp_path):
    start(*QUADROTOR)
    node = start_node(tmp_path / "node.json", 3)
    node.wait_for("ready: crazyflie")
    operator.launch()
    assert "no more chunks" in operator.wait_state("fault")["cause"]
    assert operator.ask("reset").success
    assert node.end() == 0, node.output


def test_an_alarm_is_told_and_the_robot_flies_on(start, start_node, operator, tmp_path):
    start(*QUADROTOR)
    node = start_node(tmp_path / "node.json", 3, "tell")
    node.wait_for("ready: crazyflie")
    operator.launch()
    operator.wait("an alarm", lambda: operator.diagnostics[-1]["monitor_alarm"] == "True")
    values = operator.diagnostics[-1]
    assert (values["state"], values["monitor_alarms"]) == ("running", "1")
    assert (values["monitor_novelty"], values["monitor_novelty_threshold"]) == ("2.0", "1.0")
    assert values["cause"] == "the policy is out of its depth: novelty 2, threshold 1"


def test_an_alarm_stops_the_robot_where_it_shall(start, start_node, operator, tmp_path):
    start(*QUADROTOR)
    node = start_node(tmp_path / "node.json", 3, "stop")
    node.wait_for("ready: crazyflie")
    operator.launch()
    operator.wait("the stop", lambda: operator.diagnostics[-1]["state"] == "stopped")
    assert operator.diagnostics[-1]["cause"] == "the policy is out of its depth: novelty 2, threshold 1"


def test_a_robot_in_the_air_cannot_be_held(start_node, tmp_path):
    node = start_node(tmp_path / "node.json", 3, "hold")
    assert node.exit_status() == 2
    assert "refused: cannot hold on an alarm: crazyflie has no stand-by to rest in" in node.output


def test_a_policy_of_chunks_and_one_of_steps_take_each_others_place(start, start_node, operator, policy, tmp_path):
    start(*QUADROTOR)
    node = start_node(tmp_path / "node.json", 0, "", policy)
    node.wait_for("ready: crazyflie")
    operator.launch()
    operator.wait("its full speed", lambda: bool(operator.commands) and np.allclose(operator.commands[-1], SPEED))
    operator.wait("its name", lambda: operator.diagnostics[-1]["policy"] == "stand_in")
    first = operator.diagnostics[-1]["policy_sha256"]
    assert operator.ask("select/hand_made").message == "running"
    operator.wait("flight", lambda: operator.position[2] > 0.1 or operator.state == "fault")
    operator.wait("the other's name", lambda: operator.diagnostics[-1]["policy"] == "hand_made")
    assert operator.diagnostics[-1]["policy_sha256"] != first
    assert "inferences" not in operator.diagnostics[-1]
    assert operator.ask("select/stand_in").message == "running"
    operator.wait("its speed again", lambda: np.allclose(operator.commands[-1], SPEED) or operator.state == "fault")
    operator.wait("its name again", lambda: operator.diagnostics[-1]["policy_sha256"] == first)
    assert node.end() == 0, node.output
    assert "Traceback" not in node.output
