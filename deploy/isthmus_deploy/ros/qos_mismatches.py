"""Publishers and subscribers that never hear each other, because one asks for more than the other offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.qos import qos_policy_name_from_kind


class QosMismatches:
    """What the middleware has told of incompatible quality of service, by topic."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def of_subscription(self, topic: str) -> SubscriptionEventCallbacks:
        """The callbacks that the subscription of a topic is to be given."""
        return SubscriptionEventCallbacks(incompatible_qos=self._noting(topic, "a publisher offers less"))

    def of_publisher(self, topic: str) -> PublisherEventCallbacks:
        """The callbacks that the publisher of a topic is to be given."""
        return PublisherEventCallbacks(incompatible_qos=self._noting(topic, "a subscriber asks for more"))

    def on(self, topic: str) -> str:
        """What is wrong on one topic, to be added to a sentence; empty for nothing."""
        return f"; {self._found[topic]}" if topic in self._found else ""

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell: all that is wrong, in words."""
        return {"incompatible_qos": "; ".join(self._found.values())}

    def _noting(self, topic: str, who: str) -> Callable[[Any], None]:
        def note(event: Any) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
            self._found[topic] = f"incompatible quality of service on {topic}: {who}, policy {policy}"

        return note
