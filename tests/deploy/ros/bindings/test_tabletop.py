"""Push-T's disc and block as ROS messages: metres with y up there, the published pixels with y down here."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from geometry_msgs.msg import PoseStamped
from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.contracts.robot_interface import interface_of
from isthmus_deploy.ros.bindings.binding import BadMessage
from isthmus_deploy.ros.bindings.tabletop import BINDINGS, BLOCK
from isthmus_sim.robots.pusher.description import ROBOT

SIGNALS = {signal.name: signal for signal in interface_of(ROBOT).signals}
(COMMAND,) = interface_of(ROBOT).commands


def read(name: str, message: PoseStamped) -> np.ndarray:
    (source,) = BINDINGS.signals[name].sources
    out = np.zeros(SIGNALS[name].shape, np.float32)
    source.topic.check(message)
    source.reader(SIGNALS[name])(message, out)
    return out


def test_a_block_right_of_and_above_the_middle_turned_to_the_left():
    message = PoseStamped()
    message.header.frame_id = "table"
    message.pose.position.x, message.pose.position.y = 0.1, 0.05
    message.pose.orientation.w, message.pose.orientation.z = math.cos(math.pi / 8), math.sin(math.pi / 8)  # 45° left
    np.testing.assert_allclose(read("block_position", message), [356, 206], atol=1e-4)
    np.testing.assert_allclose(read("block_angle", message), [2 * math.pi - math.pi / 4], atol=1e-6)


@given(
    x=st.floats(-64, 576), y=st.floats(-64, 576), angle=st.floats(0, 2 * math.pi, exclude_max=True)
)  # fmt: skip
def test_what_is_written_is_read(x: float, y: float, angle: float):
    assert BLOCK.writer is not None
    write = BLOCK.writer([SIGNALS["block_position"], SIGNALS["block_angle"]])
    message = write({"block_position": np.array([x, y]), "block_angle": np.array([angle])})
    np.testing.assert_allclose(read("block_position", message), [x, y], atol=1e-3)
    off = float(read("block_angle", message)[0]) - angle
    assert abs(math.remainder(off, 2 * math.pi)) < 1e-5


def test_the_target_goes_out_in_metres_and_comes_back():
    binding = BINDINGS.commands["target_position"]
    message = binding.writer(COMMAND)(np.array([256.0, 400.0]))
    assert (message.point.x, message.point.y) == pytest.approx((0.0, -0.144))
    np.testing.assert_allclose(binding.reader(COMMAND)(message), [256, 400])


def test_a_pose_in_another_frame_is_refused():
    with pytest.raises(BadMessage, match="'table'"):
        read("block_position", PoseStamped())
