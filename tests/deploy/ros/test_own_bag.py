"""A stand-in robot's own bag becomes a dataset: beside each observation stands the action that was decided on it.

The standing policy's command is its default pose, moved by a hundredth of what the joints deviate from it, and their
sensors are noisy: of each command it is known which reading it was decided on, whatever the clocks say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import standing_policy
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_processes import LEGS, Operator
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions

pytestmark = pytest.mark.ros

STATE, COMMAND = "/joint_states", "/forward_position_controller/commands"
KINDS = {STATE: "sensor_msgs/msg/JointState", COMMAND: "std_msgs/msg/Float64MultiArray"}
TOPICS = {"observation.state": f"{STATE}:position", "action": f"{COMMAND}:data"}
READINGS = 150
PERIOD_NS = standing_policy.contract().control_period_s * 1e9
STORE = get_typestore(Stores.ROS2_JAZZY)
DEFAULT, GAIN = standing_policy.DEFAULT, standing_policy.GAIN
ORDER = standing_policy.ROBOT.commands[0].order


class Recorder:
    """Keeps what comes on the two topics, as `ros2 bag record` does: bytes, and when they came."""

    def __init__(self, operator: Operator) -> None:
        self.heard: list[tuple[str, int, bytes]] = []
        every = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
        for kind, topic in ((JointState, STATE), (Float64MultiArray, COMMAND)):
            operator.link.node.create_subscription(kind, topic, self._hearing(topic), every, raw=True)

    def _hearing(self, topic: str) -> Callable[[bytes], None]:
        return lambda data: self.heard.append((topic, time.time_ns(), bytes(data)))

    def count(self, topic: str) -> int:
        return sum(of == topic for of, *_ in self.heard)

    def write(self, path: Path) -> Path:
        with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connections = {topic: writer.add_connection(topic, kind, typestore=STORE) for topic, kind in KINDS.items()}
            for topic, received, data in self.heard:
                writer.write(connections[topic], received, data)
        return path

    def rows(self, topic: str) -> NDArray[np.float64]:
        """(n, joints): positions or commands, in the policy's order."""
        messages: list[Any] = [STORE.deserialize_cdr(data, KINDS[topic]) for of, _, data in self.heard if of == topic]
        if topic == COMMAND:
            return np.array([message.data for message in messages])
        return np.array([[message.position[message.name.index(name)] for name in ORDER] for message in messages])

    def newest(self) -> NDArray[np.int64]:
        """(m,): of each command, how many readings had come before it, less one."""
        topics = np.array([topic for topic, *_ in self.heard])
        return np.cumsum(topics == STATE)[topics == COMMAND] - 1

    def in_time(self) -> bool:
        """Whether readings and answers come as regularly as an import needs, half of them at least."""
        readings, sent = (np.array([came for of, came, _ in self.heard if of == topic]) for topic in (STATE, COMMAND))
        waits = sent - readings[self.newest().clip(0)]
        return np.median(np.diff(readings)) < 1.1 * PERIOD_NS and np.median(waits) < PERIOD_NS / 3


def nearest(values: NDArray[np.floating], among: NDArray[np.floating]) -> NDArray[np.int64]:
    """(n,): which of `among` (m, joints) each of `values` (n, joints) is; -1 for none."""
    apart = np.abs(among[None] - values[:, None]).max(axis=2)
    return np.where(apart.min(axis=1) < 1e-6, apart.argmin(axis=1), -1)


def test_an_action_stands_beside_what_it_was_decided_on(start, standing, walker, tmp_path):
    """Bounded is each row whose reading was answered, all its answers heard behind it and before the next reading: its
    action is one of them. On a busy machine readings are skipped, and heard behind their answers: of those no bag can
    tell what was decided on them."""
    start(*LEGS)
    start("node.policy_node", standing, "--no-record")
    recorder = Recorder(walker)
    walker.stand_up()
    walker.wait_state("running")
    recorder.heard.clear()
    walker.wait("recording", lambda: recorder.count(STATE) > READINGS or walker.state != "running")
    cause = walker.diagnostics[-1]["cause"]
    if "stale" in cause or not recorder.in_time():
        pytest.skip(f"this machine is too busy for a robot: {cause or 'readings and answers come too late'}")
    options = ImportOptions(fps=round(1e9 / PERIOD_NS), task="stand", topics=TOPICS, joints=ORDER)
    (episode,) = open_source(recorder.write(tmp_path / "bag"), options).episodes

    readings, newest = recorder.rows(STATE), recorder.newest()
    due = DEFAULT + GAIN * (readings.astype(np.float32) - DEFAULT)
    told = nearest(recorder.rows(COMMAND), due) == newest
    clear = np.setdiff1d(newest[told], newest[~told])
    seen = nearest(episode.columns["observation.state"], readings)
    judged = np.isin(seen, clear)
    assert judged.sum() > READINGS // 3, "the recorder heard enough in order"
    np.testing.assert_array_equal(nearest(episode.columns["action"], due)[judged], seen[judged])
