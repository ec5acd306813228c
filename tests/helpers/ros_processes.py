"""Real processes for tests, and an operator inside the test that talks to them."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from isthmus_deploy.ros import qos
from isthmus_deploy.ros.node.status import read_diagnostics
from isthmus_deploy.ros.ros2 import Link

QUADROTOR = ("stand_in_robot", "--seed", 165)  # a body that the hand-made controller flies without much overshoot
LEGS = ("stand_in_robot", "--robot", "quadruped", "--seed", 7)
START_S = 40.0  # a process may take this long to start on a busy machine; usually it takes two seconds


class Process:
    """A command whose output can be waited for.

    `prefix`, such as for its scheduling, stands before `python -m module`, and `arguments` after it. Of one that is
    `unread`, the output is a full pipe that nobody reads.
    """

    def __init__(
        self,
        module: str,
        *arguments: object,
        environment: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        unread: bool = False,
    ) -> None:
        self._name = module.rsplit(".", 1)[-1]
        self._unread = full_pipe() if unread else None
        self._popen = subprocess.Popen(
            [*prefix, sys.executable, "-m", module, *map(str, arguments)],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdout=subprocess.PIPE if self._unread is None else self._unread[1],
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def wait_for(self, pattern: str, timeout_s: float = START_S) -> re.Match[str]:
        """Wait until the output holds `pattern`."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not (match := re.search(pattern, self.output)):
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(f"{self._name} did not print {pattern!r}; it printed:\n{self.output}")
                self._changed.wait(min(left, 0.5))
        return match

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    def exit_status(self, timeout_s: float = START_S) -> int:
        """Wait for the process to end."""
        try:
            status = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self._name} does not end; it printed:\n{self.output}") from error
        self._reader.join(5.0)
        return status

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def end(self) -> int:
        """Ask the process to end, as Ctrl-C in its terminal would, and wait for it."""
        if self._popen.poll() is None:
            self._popen.terminate()
        return self.exit_status(10.0)

    def kill(self) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        self._reader.join(5.0)

    def _read(self) -> None:
        for line in self._popen.stdout or ():
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


def full_pipe() -> tuple[int, int]:
    """Both ends of a pipe that takes nothing more."""
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(sink, bytes(4096))
    os.set_blocking(sink, True)
    return source, sink


def watchdog_of(node: int) -> int:
    """Process of a policy node's watchdog."""
    children = [child for path in Path(f"/proc/{node}/task").glob("*/children") for child in path.read_text().split()]
    watchdog = b"isthmus_deploy.ros.watchdog.process"
    (found,) = [child for child in children if watchdog in Path(f"/proc/{child}/cmdline").read_bytes()]
    return int(found)


@contextmanager
def own_domain() -> Iterator[int]:
    """A ROS_DOMAIN_ID that no other test on this machine uses at the same time."""
    for number in range(1, 101):
        with Path(tempfile.gettempdir(), f"isthmus-test-domain-{number}").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    raise RuntimeError("all ROS domains from 1 to 100 are in use by tests")


class Operator:
    """A person at the robot: asks the node for services, gives goals, and watches everything."""

    def __init__(self, commands: str = "rotor_controller/commands", patience_s: float = START_S) -> None:
        self.link = Link("operator")
        self._patience_s = patience_s
        self.commands: list[np.ndarray] = []
        self.diagnostics: list[dict[str, str]] = []
        self.position = np.full(3, math.nan)
        self.up = math.nan
        """Cosine of the robot's tilt."""
        node = self.link.node
        self._goal = node.create_publisher(PoseStamped, "goal_pose", qos.GOAL)
        self._services = {
            name: node.create_client(Trigger, f"policy_node/{name}")
            for name in ("arm", "start", "stop", "emergency_stop", "disarm", "reset")
        }
        self._velocity = node.create_publisher(TwistStamped, "cmd_vel", qos.SENSOR)
        # A watcher hears every command: with a robot's depth of 1 the watchdog's could replace the node's last one.
        every = QoSProfile(depth=1000, reliability=qos.COMMAND.reliability)
        node.create_subscription(Float64MultiArray, commands, self._on_command, every)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)
        node.create_subscription(Odometry, "ground_truth", self._on_truth, qos.SENSOR)

    @property
    def state(self) -> str:
        return self.diagnostics[-1]["state"] if self.diagnostics else ""

    def wait(self, what: str, done, timeout_s: float | None = None) -> None:
        timeout_s = timeout_s or self._patience_s
        assert self.link.wait(timeout_s, done), (
            f"no {what} within {timeout_s} s; last diagnostics {self.diagnostics[-1:]}"
        )

    def wait_state(self, state: str, timeout_s: float | None = None) -> dict[str, str]:
        """Wait until the node reports `state`; its diagnostics."""
        self.wait(f"state {state}", lambda: self.state == state, timeout_s)
        return self.diagnostics[-1]

    def ask(self, service: str) -> Trigger.Response:
        """Call one of the node's services that need no words."""
        return self.call(Trigger, service, Trigger.Request())

    def call(self, kind: Any, service: str, request: Any) -> Any:
        """Call one of the node's services. Its client stays: an answer to a new one, which the node does not know yet,
        may be lost."""
        if service not in self._services:
            self._services[service] = self.link.node.create_client(kind, f"policy_node/{service}")
        client = self._services[service]
        self.wait(f"service {service}", client.service_is_ready)
        future = client.call_async(request)
        self.wait(f"answer to {service}", future.done)
        answer = future.result()
        assert answer is not None
        return answer

    def give_goal(self, *xyz: float, frame: str = "world") -> None:
        """Send one goal position (m, in the frame) to the node."""
        self.wait("node that takes goals", self._goal.get_subscription_count)
        message = PoseStamped()
        message.header.frame_id = frame
        position = message.pose.position
        position.x, position.y, position.z = xyz
        self._goal.publish(message)

    def ask_to_walk(self, forward: float) -> None:
        """Send one velocity, m/s, to the node."""
        self.wait("node that takes velocities", self._velocity.get_subscription_count)
        message = TwistStamped()
        message.twist.linear.x = forward
        self._velocity.publish(message)

    def stand_up(self) -> None:
        """Arm, wait until the robot stands, and start."""
        self.wait("readiness to arm", lambda: self.ask("arm").success)
        self.wait("stand-by", lambda: self.ask("start").success or self.state == "fault")

    def launch(self) -> None:
        """Give a goal above the ground, arm, and start."""
        self.give_goal(0.0, 0.0, 0.8)
        self.wait("readiness to arm", lambda: self.ask("arm").success)
        assert self.ask("start").success

    def take_off(self) -> None:
        """Launch, and wait until the robot is in the air."""
        self.launch()
        self.wait("flight", lambda: self.position[2] > 0.1 or self.state == "fault")
        assert self.state != "fault", self.diagnostics[-1]["cause"]

    def close(self) -> None:
        self.link.close()

    def _on_command(self, message: Float64MultiArray) -> None:
        self.commands.append(np.array(message.data))

    def _on_truth(self, message: Odometry) -> None:
        position = message.pose.pose.position
        self.position[:] = position.x, position.y, position.z
        q = message.pose.pose.orientation
        self.up = 1.0 - 2.0 * (q.x * q.x + q.y * q.y)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = read_diagnostics(message)
        if values is not None:
            self.diagnostics.append(values)
