"""The flight recorder of a real node at a stand-in robot: what is in the bag, and kill -9 of the one and the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros_processes import LEGS, QUADROTOR, Process
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from isthmus_datasets.format.reader import DatasetReader
from isthmus_deploy.flight import replay
from isthmus_deploy.flight.mcap_reader import McapReader
from isthmus_deploy.flight.recorded import Flight, read_flight
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.supervisor import State
from isthmus_sim.robots.quadrotor.description import ROBOT

pytestmark = pytest.mark.ros


def recorder_of(node: Process) -> int:
    """Number of the recorder's process: the node's child that is not its watchdog."""
    children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
    (recorder,) = [
        child for child in children if b"isthmus_deploy.flight" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return int(recorder)


def bag_of(node: Process) -> Path:
    return Path(node.wait_for(r"recording to (\S+)").group(1))


def wait_for_finished_bag(operator, folder: Path) -> Flight:
    operator.wait("finished bag", lambda: any(McapReader(file).finished for file in folder.glob("*.mcap")))
    return read_flight(folder)


def check_replay(flight: Flight, policy: Path) -> None:
    comparison = replay.compare(flight, [Runtime(policy)])
    assert comparison.compared > 50
    assert [difference.largest for difference in comparison.differences] == [0.0]


def test_a_flight_is_in_the_bag_and_replays_to_the_bit(start, policy, operator, tmp_path):
    start(*QUADROTOR)
    node = start("node.policy_node", policy, "--record-in", tmp_path / "flights", "--log", tmp_path / "node.json")
    folder = bag_of(node)
    assert folder.parent == tmp_path / "flights"
    operator.take_off()
    assert operator.diagnostics[-1]["recording"] == str(folder)
    assert operator.diagnostics[-1]["unrecorded_cycles"] == "0"
    assert operator.ask("stop").success
    operator.wait_state("stopped")
    assert operator.ask("reset").success
    operator.wait("landing by gravity", lambda: operator.position[2] < 0.05)
    operator.take_off()
    assert node.end() == 0, node.output

    flight = read_flight(folder)
    assert flight.finished
    assert {*flight.states} >= {State.PASSIVE, State.RAMP_IN, State.RUNNING, State.STOPPED}
    assert flight.numbers["activation"].max() == 2
    assert np.diff(flight.numbers["tick"]).min() == 1
    assert not flight.numbers["lost_rows"].any()
    latencies = flight.numbers["latency_ns"][flight.has_wanted]
    assert (latencies > 0).mean() > 0.5
    assert flight.signals["position"][:, 2].max() > 0.1
    seen = np.array(operator.commands)
    assert (flight.sent["rotor_speed"][flight.has_wanted][-5] == seen).all(axis=1).any(), "what went over the network"
    check_replay(flight, policy)
    check_rosbags(folder)
    check_import(folder, tmp_path / "dataset")


def check_rosbags(folder: Path) -> None:
    with AnyReader(sorted(folder.glob("*.mcap")), default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        log = [c for c in reader.connections if c.topic == "/flight/log"]
        messages: list[Any] = [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages(log)]
    # Where stand-by took less than a tick, it is in none.
    lines = [message.msg for message in messages if message.msg != "ready"]
    assert lines == ["passive", "ramp_in", "running", "stopped: stop requested", "passive", "ramp_in", "running"]


def check_import(folder: Path, dataset: Path) -> None:
    """As docs/deployment.md says it."""
    topics = ("observation.state", "/flight/signals", "action", "/flight/sent")
    cut = ("--episodes", f"/flight/tick:state={list(State).index(State.RUNNING)}")
    command = ("import", folder, dataset, "--fps", 100, "--task", "fly", "--topics", *topics, *cut)
    done = subprocess.run(
        [sys.executable, "-m", "isthmus_datasets.tools.cli", *map(str, command)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reader = DatasetReader(dataset)
    assert reader.num_episodes == 2
    features = reader.info.features
    assert "reference_position.x" in (features["observation.state"].names or ())
    assert features["action"].names == tuple(f"rotor_speed.{name}" for name in ROBOT.commands[0].order)


def test_a_node_that_is_killed_leaves_a_finished_bag(start, policy, operator, tmp_path):
    start(*QUADROTOR)
    node = start("node.policy_node", policy, "--record-in", tmp_path / "flights")
    folder = bag_of(node)
    operator.take_off()
    cycles = int(operator.diagnostics[-1]["cycles"])
    node.signal(signal.SIGKILL)
    flight = wait_for_finished_bag(operator, folder)
    assert flight.states[-1] is State.RUNNING
    assert flight.numbers["tick"][-1] >= cycles
    assert (flight.sent["rotor_speed"][-1] == np.array(operator.commands)).all(axis=1).any(), "up to its last command"
    check_replay(flight, policy)


def test_a_recorder_that_is_killed_does_not_touch_the_robot(start, standing, walker, tmp_path):
    start(*LEGS)
    node = start("node.policy_node", standing, "--record-in", tmp_path / "flights")
    folder = bag_of(node)
    walker.stand_up()
    walker.wait("bag", lambda: sum(file.stat().st_size for file in folder.glob("*.mcap")) > 50_000)
    os.kill(recorder_of(node), signal.SIGKILL)
    walker.wait("word of it", lambda: walker.diagnostics[-1]["recording"] == "ended: its process was ended by SIGKILL")
    before = len(walker.commands)
    walker.wait("more commands", lambda: len(walker.commands) > before + 100)
    assert walker.state == "running", walker.diagnostics[-1]["cause"]
    assert node.end() == 0, node.output
    assert node.output.count("the flight recorder has ended: its process was ended by SIGKILL") == 1
    flight = read_flight(folder)
    assert not flight.finished
    assert len(flight.states) > 10


def test_without_it_nothing_is_written(start, policy, operator, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    start(*QUADROTOR)
    node = start("node.policy_node", policy, "--no-record")
    operator.launch()
    operator.wait_state("running")
    assert operator.diagnostics[-1]["recording"] == "off"
    assert node.end() == 0, node.output
    assert not (tmp_path / "state").exists()


def test_replay_needs_no_ros(policy, tmp_path):
    from test_without_ros import without_ros

    result = without_ros("node.policy_node", "replay", str(tmp_path / "none.mcap"), str(policy))
    assert result.returncode == 2
    assert "isthmus-deploy replay: refused: " in result.stderr
    assert "cannot be read: No such file or directory" in result.stderr
    assert without_ros("node.policy_node", "replay", "--help").returncode == 0
