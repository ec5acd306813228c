"""Who owns a robot: a lock on this machine; on the network, who else commands it, and who came first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo
from std_msgs.msg import Header

from isthmus_deploy.ros import qos
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.watchdog.client import watchdog_name


class RobotLock:
    """Held while a node drives the robot in `namespace`, and by its watchdog while that brings the robot to rest; the
    system drops it however the processes end.

    Raises:
        Refusal: on entering, when another process holds it.
    """

    def __init__(self, namespace: str) -> None:
        self._robot = namespace.strip("/") or "(no namespace)"
        self._domain = os.environ.get("ROS_DOMAIN_ID", "0") or "0"
        name = f"isthmus-{self._domain}-{namespace.strip('/').replace('/', '-')}.lock"
        self._path = Path(os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("TMPDIR") or "/tmp") / name

    def __enter__(self) -> RobotLock:
        try:
            self._file = self._path.open("a+")
        except OSError as error:
            problem = f"cannot open the lock {self._path}: {error.strerror}; does another user drive the robot?"
            raise Refusal(problem) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            robot = f"robot {self._robot} (ROS_DOMAIN_ID {self._domain})"
            raise Refusal(f"{robot} is already driven by process {holder}; stop that first") from error
        with contextlib.suppress(OSError):  # a full disk keeps the next one from knowing whose lock it is, no more
            self._file.truncate(0)
            os.write(self._file.fileno(), str(os.getpid()).encode())
        return self

    def fileno(self) -> int:
        """Its file descriptor: a process that inherits it holds the lock as well."""
        return self._file.fileno()

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._file.close()


class OwnershipArbitration:
    """Which of several policy nodes keeps the robot: the one that came first.

    Each tells since when it wants the robot, on the topic driver_since.
    Two that start within seconds discover each other in any order, and without this either one, or both, would leave.
    Between machines their clocks decide; whichever is wrong, both come to the same answer.
    """

    def __init__(self, node: Node) -> None:
        since = node.get_clock().now().to_msg()
        self._own = (since.sec, since.nanosec, uuid.uuid4().hex)
        self._others: set[tuple[int, int, str]] = set()
        node.create_subscription(Header, "driver_since", self._on_claim, qos.CLAIM)
        self._publisher = node.create_publisher(Header, "driver_since", qos.CLAIM)
        self._publisher.publish(Header(stamp=since, frame_id=self._own[2]))

    def before(self, others: int) -> bool:
        """Whether that many other nodes have told when they came, and all came later."""
        return len(self._others) >= others and all(self._own < other for other in self._others)

    def _on_claim(self, message: Header) -> None:
        claim = (message.stamp.sec, message.stamp.nanosec, message.frame_id)
        if claim != self._own:
            self._others.add(claim)


def other_publishers(node: Node, topic: str) -> list[str]:
    """Full names of nodes that publish on `topic` beside `node` itself, which does once; `without_watchdogs`.

    A publisher can be discovered before its node's name is; then it counts as "a node without a name yet".
    """
    return without_watchdogs(node.get_fully_qualified_name(), publishers(node, topic))


def without_watchdogs(own: str, names: Sequence[str]) -> list[str]:
    """`names`, sorted, without one that is `own`, and without the watchdog of each. One whose node is not there any
    more stays: it commands the robot, or is about to."""
    left = list(names)
    for name in (own, watchdog_name(own)):
        _take(name, left)
    for name in list(left):
        _take(watchdog_name(name), left)
    return sorted(left)


def _take(name: str, names: list[str]) -> None:
    if name in names:
        names.remove(name)


def publishers(node: Node, topic: str) -> list[str]:
    """Full names of all nodes that publish on `topic`, once for every publisher."""
    return [_full_name(info) for info in node.get_publishers_info_by_topic(topic)]


def _full_name(info: TopicEndpointInfo) -> str:
    if info.node_name == "_NODE_NAME_UNKNOWN_":
        return "a node without a name yet"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
