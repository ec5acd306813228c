"""The watchdog of a policy node: a process that sends the safe command when the node cannot.

`isthmus-deploy` starts it and gives it a socket as standard input. It ends by itself, when the node has ended and the
robot needs nothing more; no signal but SIGKILL ends it before.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from socket import socket

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.profile import Profile
from isthmus_deploy.ros import qos, realtime
from isthmus_deploy.ros.command_publisher import CommandPublisher
from isthmus_deploy.ros.profiles import robot_table
from isthmus_deploy.ros.qos_mismatches import QosMismatches
from isthmus_deploy.ros.ros2 import Link, run
from isthmus_deploy.ros.unblocked import unblocked
from isthmus_deploy.ros.watchdog.heartbeat import ALIVE, READY, TOOK_OVER, Heartbeat, Orders, receive, send
from isthmus_deploy.safety.commands.elements import full
from isthmus_deploy.safety.descent import Descent
from isthmus_deploy.safety.transition import Transition

STATUS_NAME = "policy_node: watchdog"
_ORDERS_BYTES = 1 << 20
_LONGEST_WAIT_S = 0.1  # its own heartbeat is not rarer than this
_HOLD_S = 0.5  # how long the safe command is sent once it is reached
_ROBOT_S = 10.0  # how long to wait until the robot's controllers say which joints they take
_LAST_COMMAND_S = 0.2  # how long to wait until the robot has the last command
_PRIORITY = realtime.PRIORITY + 1  # a node that never sleeps must not keep its watchdog from acting
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Watchdog:
    """Watches one node.

    Args:
        orders: What it watches over.
        channel: Its side of the pair of sockets.
        link: The ROS node from which it commands the robot.
    """

    def __init__(self, orders: Orders, channel: socket, link: Link) -> None:
        contract = Contract.from_json(orders.contract)
        self._robot = contract.robot
        self._period_s = contract.control_period_s
        self._hang_s = orders.hang_s
        self._channel, self._link = channel, link
        self._log = link.node.get_logger()
        self._beat = Heartbeat(contract.commands)
        self._gone = False
        self._poll = select.poll()
        self._poll.register(channel, 0)  # no heartbeat wakes it, the end of the node does
        self._transition, self._descent = Transition(contract, self._period_s), Descent(contract, self._period_s)
        self._safe = {command.name: full(command, command.safe) for command in contract.commands}
        profile = Profile.from_json(orders.profile) if orders.profile else None
        table = robot_table(link, profile, contract, _ROBOT_S, self._node_is_gone)
        mismatches = QosMismatches()  # the node tells of them
        self._publishers = {
            command.name: CommandPublisher(link.node, command, mismatches, table, orders.topics[command.name])
            for command in contract.commands
        }
        self._diagnostics = link.node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)

    def run(self) -> None:
        """Watch until the node ends, or take over from it."""
        self._join()
        cause = self._watch()
        if cause:
            self._take_over(cause)

    def _join(self) -> None:
        """Wait for the robot: whoever is to act at once must have been discovered before."""
        while not self._gone and not all(publisher.heard for publisher in self._publishers.values()):
            self._listen()
            self._wait(0.02)
        send(self._channel, READY)

    def _watch(self) -> str | None:
        """Why the robot needs the watchdog; None when the node ended and it does not."""
        while True:
            self._listen()
            if self._gone:
                return "the node died while it drove the robot" if self._beat.drives else None
            silence_s = (time.monotonic_ns() - self._beat.sent_ns) * 1e-9 if self._beat.drives else 0.0
            if silence_s >= self._hang_s:
                return f"the node has not ticked for {silence_s:.3f} s"
            send(self._channel, ALIVE)
            self._wait(min(self._hang_s - silence_s, _LONGEST_WAIT_S))

    def _listen(self) -> None:
        """Read the newest heartbeat, and whether the node has ended."""
        while size := receive(self._channel, self._beat.packet):
            pass
        self._gone = size == 0

    def _node_is_gone(self) -> bool:
        self._listen()
        return self._gone

    def _wait(self, time_s: float) -> None:
        self._poll.poll(math.ceil(time_s * 1e3))

    def _take_over(self, cause: str) -> None:
        send(self._channel, TOOK_OVER)
        begun_s = due_s = time.monotonic()
        said = False
        for commands in self._way_down():
            self._send(commands)
            if not said:
                said = True
                self._say(f"{cause}: the watchdog brings it to rest")
            due_s += self._period_s
            time.sleep(max(0.0, due_s - time.monotonic()))
        for publisher in self._publishers.values():
            publisher.wait_until_taken(_LAST_COMMAND_S)
        reached_s = time.monotonic() - begun_s - _HOLD_S
        self._say(f"{cause}: the watchdog brought it to rest in {max(0.0, reached_s):.2f} s, and ends")

    def _way_down(self) -> Iterator[Mapping[str, np.ndarray]]:
        """The commands from the node's last one to the safe one, and that for a while; a robot that is damped keeps the
        last."""
        last = self._beat.commands
        rest = last if self._beat.damped else self._safe
        while not self._beat.damped and self._transition.left_s(self._safe, last) > 0.0:
            last = self._descent.towards(self._safe, last)
            yield last
        for _ in range(math.ceil(_HOLD_S / self._period_s)):
            yield rest

    def _send(self, commands: Mapping[str, np.ndarray]) -> None:
        for name, publisher in self._publishers.items():
            publisher.send(commands[name])

    def _say(self, text: str) -> None:
        self._log.error(text)
        status = DiagnosticStatus(level=DiagnosticStatus.ERROR, name=STATUS_NAME, hardware_id=self._robot, message=text)
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._link.now()
        self._diagnostics.publish(message)


def main() -> None:
    """Entry point of `python -m isthmus_deploy.ros.watchdog.process`."""
    for number in _SIGNALS:  # what ends the node, its terminal or its service must not end the watchdog
        signal.signal(number, signal.SIG_IGN)
    try:
        channel = socket(fileno=os.dup(0))
    except OSError:
        sys.exit("watchdog: isthmus-deploy starts it, with a socket as its standard input")
    with channel:
        packet = channel.recv(_ORDERS_BYTES)
        if packet:  # else the node ended before it gave orders
            run(lambda: watch(Orders.from_packet(packet), channel), name="watchdog")


def watch(orders: Orders, channel: socket) -> None:
    """Watch over the node at the other end of `channel` until it ends, or is taken over from.

    Raises:
        Refusal: the robot's controllers do not answer.
    """
    realtime.prefer(_PRIORITY)
    with unblocked(), closing(Link(orders.name, orders.namespace)) as link:
        watchdog = Watchdog(orders, channel, link)
        realtime.freeze_garbage()
        watchdog.run()


if __name__ == "__main__":
    main()
