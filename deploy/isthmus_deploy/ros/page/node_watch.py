"""What a policy node says of itself, and its services."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

from isthmus_deploy.ros.node.status import read_diagnostics
from isthmus_deploy.ros.page.markup import SILENT_S
from isthmus_deploy.ros.ros2 import Link
from isthmus_deploy.safety.supervisor import CHART

NODE = "policy_node"
STOP = "stop"
REQUESTS = ("arm", "start", "reset")
"""Requests beside the stop."""
_KEPT_CHANGES = 20
_ANSWER_S = 3.0
# Best effort: a node never waits for this reader, and it says all of it again after a second.
_DIAGNOSTICS = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class NodeWatch:
    """Hears one policy node, and asks it for its services.

    Args:
        link: To the network, in the robot's namespace.
        clock: Monotonic time in seconds.
    """

    def __init__(self, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.name = link.node.resolve_topic_name(NODE)
        """The node's name, with its namespace."""
        self.values: dict[str, str] = {}
        """Its last diagnostics; empty until it is heard."""
        self.changes: deque[tuple[str, str, str]] = deque(maxlen=_KEPT_CHANGES)
        """The last changes of its state, the newest first: time of day, state, cause."""
        self._heard_s = -math.inf
        self._answer = ("", True)
        self._asked: tuple[str, float] | None = None
        self._services = {name: link.node.create_client(Trigger, f"{NODE}/{name}") for name in (STOP, *REQUESTS)}
        link.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _DIAGNOSTICS)

    @property
    def state(self) -> str:
        """As it said last; empty until it is heard."""
        return self.values.get("state", "")

    @property
    def cause(self) -> str:
        """Why it stopped or is in fault; empty for no reason."""
        return self.values.get("cause", "")

    @property
    def silence_s(self) -> float:
        """Since its last word, s; infinite when there was none."""
        return self._clock() - self._heard_s

    @property
    def answer(self) -> tuple[str, bool]:
        """What it answered to the last request, and whether that is good."""
        asked = self._asked
        if asked is not None and self._clock() - asked[1] > _ANSWER_S:
            return f"{asked[0]}: no answer from {self.name} yet", False
        return self._answer

    def allows(self, request: str) -> bool:
        """Whether the state that it said last allows the request; nothing is allowed in a state that nobody knows."""
        follows = next((follows for state, follows in CHART.items() if state.value == self.state), {})
        return request in follows and self.silence_s <= SILENT_S

    def ask(self, name: str) -> None:
        """Ask for a service. May be called from any thread: a stop waits for nothing else that goes on here."""
        service = self._services[name]
        if not service.service_is_ready():
            self._asked, self._answer = None, (f"{name}: nobody serves {self.name}/{name}", False)
            return
        self._asked, self._answer = (name, self._clock()), (f"{name}: asked", True)
        service.call_async(Trigger.Request()).add_done_callback(lambda done: self._on_answer(name, done.result()))

    def _on_answer(self, name: str, response: Trigger.Response | None) -> None:
        assert response is not None
        self._asked = None
        said = response.message if response.success else f"refused: {response.message}"
        self._answer = f"{name}: {said}", response.success

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = read_diagnostics(message)
        if values is None or values.get("node") != self.name:  # other robots' nodes speak on the same topic
            return
        self._heard_s = self._clock()
        new = (values.get("state", ""), values.get("cause", ""))
        if new != (self.state, self.cause):
            self.changes.appendleft((time.strftime("%H:%M:%S"), *new))
        self.values = values
