"""What stands between robot and policy node: it hands every message on, changes what it is told to, and writes down
every command and when it came."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from std_msgs.msg import String

from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.ros2 import Link
from isthmus_deploy.ros.stand_in_robot.sensors import sensor_topics

INTERFACE = "robot_interface"

Change = Callable[[Any], list[Any]]
"""What becomes of a message: nothing, the message changed, or several."""


class Relay:
    """Between a robot in the namespace `robot`, and a node in the one of `link`.

    Args:
        link: The campaign's own ROS node: messages are handed on while it waits.
        robot: What the robot gives and takes; one command.
    """

    namespace = "/robot"

    def __init__(self, link: Link, robot: RobotInterface) -> None:
        self._link = link
        self._changes: dict[str, Change] = {}
        self._late: list[tuple[int, int, str, Any]] = []
        self._number = itertools.count()
        self._timer: Any = None
        self._publishers: dict[str, Any] = {}
        self._said = String()
        self.changed_ns: int | None = None
        """When the first message was changed, monotonic."""
        self.commands: list[tuple[int, NDArray]] = []
        """When a command came, monotonic ns, and what it said."""
        for topic in sensor_topics(robot):
            self._join(topic.name, topic.message, topic.qos)
        self._join(INTERFACE, String, qos.LATCHED)
        self._join("ground_truth", Odometry, qos.SENSOR)
        self._hand_on_commands(robot)

    def change(self, topic: str, change: Change) -> None:
        """From now on, change what comes on a topic."""
        self._changes[topic] = change

    def later(self, topic: str, message: Any, delay_s: float) -> None:
        """Hand a message on after a while."""
        due_ns = time.monotonic_ns() + int(delay_s * 1e9)
        heapq.heappush(self._late, (due_ns, next(self._number), topic, message))
        if self._timer is None:
            self._timer = self._link.node.create_timer(0.001, self._hand_on_late)

    def clear(self) -> None:
        """Hand everything on as it is."""
        self._changes.clear()
        self._late.clear()
        if self._timer is not None:
            self._link.node.destroy_timer(self._timer)
        self._timer = self.changed_ns = None
        self.commands.clear()

    def say(self, interface: str) -> None:
        """Say that the robot is another one."""
        self._publishers[INTERFACE].publish(String(data=interface))

    def leave(self) -> None:
        """Do not say any more what the robot is."""
        self._link.node.destroy_publisher(self._publishers.pop(INTERFACE))

    def enter(self) -> None:
        """Say again what the robot says that it is."""
        if INTERFACE not in self._publishers:
            self._publishers[INTERFACE] = self._link.node.create_publisher(String, INTERFACE, qos.LATCHED)
        self._publishers[INTERFACE].publish(self._said)

    def _join(self, name: str, message: type, quality: Any) -> None:
        self._publishers[name] = self._link.node.create_publisher(message, name, quality)
        self._link.node.create_subscription(
            message, f"{self.namespace}/{name}", partial(self._on_message, name), quality
        )

    def _on_message(self, name: str, message: Any) -> None:
        if name == INTERFACE:
            self._said = message
        change = self._changes.get(name)
        if change is None:
            self._send(name, message)
            return
        self.changed_ns = self.changed_ns or time.monotonic_ns()
        for changed in change(message):
            self._send(name, changed)

    def _send(self, name: str, message: Any) -> None:
        if name in self._publishers:
            self._publishers[name].publish(message)

    def _hand_on_late(self) -> None:
        now_ns = time.monotonic_ns()
        while self._late and self._late[0][0] <= now_ns:
            _, _, name, message = heapq.heappop(self._late)
            self._send(name, message)

    def _hand_on_commands(self, robot: RobotInterface) -> None:
        (command,) = robot.commands
        binding, node = bindings().command(command), self._link.node
        publish = node.create_publisher(binding.message, f"{self.namespace}/{binding.topic}", qos.COMMAND).publish
        read = binding.reader(command)

        def hand_on(message: Any) -> None:
            publish(message)
            self.commands.append((time.monotonic_ns(), np.array(read(message))))

        node.create_subscription(binding.message, binding.topic, hand_on, qos.COMMAND)
