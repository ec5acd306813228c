"""One command on its topic."""

from __future__ import annotations

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node

from isthmus_deploy.contracts.robot_interface import CommandInterface
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.table import BindingTable, bindings
from isthmus_deploy.ros.qos_mismatches import QosMismatches


class CommandPublisher:
    """Sends one command to the robot.

    Args:
        node: Sends it.
        command: What is sent.
        mismatches: Is told of subscribers that cannot hear it.
        table: Says on which topic, and how; by default all that is registered.
        topic: Where, if not on the topic of its binding.

    Raises:
        Refusal: no topic takes it.
    """

    def __init__(
        self,
        node: Node,
        command: CommandInterface,
        mismatches: QosMismatches,
        table: BindingTable | None = None,
        topic: str | None = None,
    ) -> None:
        binding = (table or bindings()).command(command)
        self.topic = node.resolve_topic_name(topic or binding.topic)
        """Full name of its topic."""
        self._write = binding.writer(command)
        topic = topic or binding.topic
        events = mismatches.of_publisher(topic)
        self._publisher = node.create_publisher(binding.message, topic, qos.COMMAND, event_callbacks=events)
        self._mismatches, self._name = mismatches, topic

    @property
    def heard(self) -> bool:
        """Whether somebody takes it."""
        return self._publisher.get_subscription_count() > 0

    @property
    def unheard(self) -> str:
        """Why nobody takes it, to be added to a sentence."""
        return self._mismatches.on(self._name)

    def send(self, values: np.ndarray) -> None:
        """Send values of the command's shape, in its unit."""
        self._publisher.publish(self._write(values))

    def wait_until_taken(self, timeout_s: float) -> None:
        """Wait at most this long until everybody who takes it has what was sent last."""
        self._publisher.wait_for_all_acked(Duration(nanoseconds=round(timeout_s * 1e9)))
