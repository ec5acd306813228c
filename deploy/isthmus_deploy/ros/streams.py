"""What an operator streams to a robot, as the messages of its topics: the operator's side of `signals`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.node import Node

from isthmus_deploy.ros.messages import write_vector
from isthmus_deploy.ros.signals import BODY_FRAME, CMD_VEL, REFERENCE, Topic

Vector = NDArray[np.float64]
Fill = Callable[[Vector], Any]
"""The message that says the asked values; the same object each time."""

_WORLD = "world"


class Stream:
    """Publishes what is asked on a topic of `STREAMS`."""

    def __init__(self, node: Node, topic: Topic, fill: Fill) -> None:
        self.topic = topic.name
        self._fill = fill
        self._publisher = node.create_publisher(topic.message, topic.name, topic.qos)

    def send(self, asked: Vector, stamp: Any) -> None:
        """Ask now; the topic takes the first of the values."""
        message = self._fill(asked)
        message.header.stamp = stamp
        self._publisher.publish(message)

    @property
    def heard(self) -> bool:
        """Whether somebody listens."""
        return self._publisher.get_subscription_count() > 0


def open_stream(node: Node, topic: str) -> Stream:
    """The stream of a topic by its name in `STREAMS`."""
    return Stream(node, *STREAMS[topic])


def _reference() -> Fill:
    """Position (3) m and velocity (3) m/s, world."""
    message = Odometry()
    message.header.frame_id = message.child_frame_id = _WORLD

    def fill(asked: Vector) -> Odometry:
        write_vector(asked[0:3], message.pose.pose.position)
        write_vector(asked[3:6], message.twist.twist.linear)
        return message

    return fill


def _walking_velocity() -> Fill:
    """Forward and left in m/s, turning left in rad/s."""
    message = TwistStamped()
    message.header.frame_id = BODY_FRAME

    def fill(asked: Vector) -> TwistStamped:
        twist = message.twist
        twist.linear.x, twist.linear.y, twist.angular.z = asked[:3].tolist()
        return message

    return fill


STREAMS: dict[str, tuple[Topic, Fill]] = {
    REFERENCE.name: (REFERENCE, _reference()),
    CMD_VEL.name: (CMD_VEL, _walking_velocity()),
}
