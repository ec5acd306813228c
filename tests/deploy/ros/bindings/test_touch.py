"""What a hand feels and where the hole is, as ROS messages."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from geometry_msgs.msg import PointStamped, WrenchStamped

from isthmus_deploy.contracts.robot_interface import interface_of
from isthmus_deploy.ros.bindings.binding import BadMessage
from isthmus_deploy.ros.bindings.touch import BINDINGS, HOLE, WRENCH
from isthmus_sim.robots.so101_peg.description import ROBOT_WITH_PEG

SIGNALS = {signal.name: signal for signal in interface_of(ROBOT_WITH_PEG).signals}


def read(name: str, message: object) -> np.ndarray:
    (source,) = BINDINGS.signals[name].sources
    out = np.zeros(SIGNALS[name].shape, np.float32)
    source.topic.check(message)
    source.reader(SIGNALS[name])(message, out)
    return out


def test_a_wrench_is_read_into_force_and_torque():
    message = WrenchStamped()
    message.header.frame_id = "tool"
    message.wrench.force.x, message.wrench.force.y, message.wrench.force.z = 1.0, -2.0, 11.5
    message.wrench.torque.y = 0.25
    np.testing.assert_allclose(read("wrist_force", message), (1.0, -2.0, 11.5))
    np.testing.assert_allclose(read("wrist_torque", message), (0.0, 0.25, 0.0))


def test_what_is_written_is_read():
    values = {
        "wrist_force": np.array([1.0, 2.0, 3.0]), "wrist_torque": np.array([0.1, 0.2, 0.3]),
        "hole_position": np.array([0.19, -0.01, 0.018]),
    }  # fmt: skip
    for topic, names in ((WRENCH, ("wrist_force", "wrist_torque")), (HOLE, ("hole_position",))):
        assert topic.writer is not None
        message = topic.writer([SIGNALS[name] for name in names])(values)
        for name in names:
            np.testing.assert_allclose(read(name, message), values[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "message", "frame"),
    [("wrist_force", WrenchStamped(), "'tool'"), ("hole_position", PointStamped(), "'world'")],
)
def test_another_frame_is_refused(name: str, message: object, frame: str):
    with pytest.raises(BadMessage, match=f"must be {frame}"):
        read(name, message)
