"""Reading ROS 2 topics without an executor or a thread: the middleware keeps the newest message until it is asked for.

Nothing here imports rclpy until it is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

_SECOND = 10**9  # ns
_POLL_S = 0.005
_FUTURE_S = 0.05  # a stamp may be so far ahead: clocks of machines that synchronise agree much better
_Found = TypeVar("_Found")


def open_node(name: str, namespace: str = "") -> Any:
    """A node with a context of its own: whoever else starts or stops ROS 2 in this process does not touch it.

    Raises:
        ModuleNotFoundError: there is no ROS 2 for Python.
    """
    import rclpy
    from rclpy.context import Context
    from rclpy.signals import SignalHandlerOptions

    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    return rclpy.create_node(name, namespace=namespace or None, context=context)


def close_node(node: Any) -> None:
    """Leave the network."""
    node.destroy_node()
    node.context.try_shutdown()


def subscribe(node: Any, message: type, topic: str, qos: Any) -> Any:
    """A subscription for `take_newest`; `qos` has depth 1."""
    return node.create_subscription(message, topic, lambda _: None, qos)


def take_newest(subscription: Any) -> tuple[Any, int] | None:
    """The newest message that was not taken yet, and when it arrived in ns since 1970; None when there is none."""
    newest, handle = None, subscription.handle
    with handle:
        while (taken := handle.take_message(subscription.msg_type, False)) is not None:
            newest = taken
    return None if newest is None else (newest[0], newest[1]["received_timestamp"])


def header_stamp_ns(message: Any) -> int:
    """The header's stamp in ns since 1970; 0 for none."""
    return message.header.stamp.sec * _SECOND + message.header.stamp.nanosec


def to_monotonic_ns(time_ns: int) -> int:
    """A time in ns since 1970 as `time.monotonic_ns` tells it.

    Raises:
        ValueError: it lies ahead, so that the clock it comes from does not agree with this machine's.
    """
    age_ns = time.time_ns() - time_ns
    if age_ns < -_FUTURE_S * _SECOND:
        raise ValueError(f"is stamped {-age_ns / _SECOND:.2f} s ahead: synchronise the clocks")
    return time.monotonic_ns() - max(age_ns, 0)


def wait_for(look: Callable[[], _Found | None], timeout_s: float) -> _Found | None:
    """The first thing that `look` gives; None when it gives nothing for so long."""
    deadline_s = time.monotonic() + timeout_s
    while (found := look()) is None and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    return found
