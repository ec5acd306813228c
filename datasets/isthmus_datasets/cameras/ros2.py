"""Cameras that are ROS 2 topics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from isthmus_datasets.cameras.camera import Picture, check_age
from isthmus_datasets.importers.ros2_messages import SECOND, picture
from isthmus_datasets.robot import CameraError

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_POLL_S = 0.005  # while waiting for the first picture
_FUTURE_S = 0.05  # a stamp may be so far ahead: clocks of machines that synchronise agree much better
_INSTALL = "ROS 2 for Python is missing: pip install 'isthmus[ros]', or source /opt/ros/<distro>/setup.bash"


class Ros2Camera:
    """The newest `sensor_msgs/Image` or `CompressedImage` of a topic.

    The middleware keeps the newest message; `read` takes it. No executor and no thread runs beside whoever reads.
    Capture times are the headers' stamps, or when the message came where a stamp is zero, told by `time.monotonic_ns`.

    Args:
        name: Of the camera.
        topic: Such as "/wrist/image_raw" or "/wrist/image_raw/compressed".
        stamps: "arrival" where the camera's machine does not synchronise its clock with this one's.
        max_age_s: `read` refuses an older picture.
        start_s: How long to wait for the first picture.

    Raises:
        CameraError: there is no ROS 2, no such topic, no picture in time, or one that cannot be read.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        *,
        stamps: Literal["header", "arrival"] = "header",
        max_age_s: float = 0.5,
        start_s: float = 10.0,
    ) -> None:
        self.name, self._topic, self._stamps, self._max_age_s = name, topic, stamps, max_age_s
        try:
            import rclpy
            from rclpy.context import Context
            from rclpy.signals import SignalHandlerOptions
        except ModuleNotFoundError as error:
            raise CameraError(name, _INSTALL) from error
        # A context of its own: whoever starts and stops ROS 2 in this process does not stop this camera.
        self._context = Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(f"camera_{name}", context=self._context)
        try:
            self._picture = self._first(time.monotonic() + start_s, start_s)
        except CameraError:
            self.close()
            raise
        self.shape: tuple[int, int] = self._picture.image.shape[:2]

    def read(self) -> Picture:
        """The newest picture."""
        newest = self._take()
        if newest is not None:
            if newest.image.shape[:2] != self.shape:
                raise self._error(f"gives {newest.image.shape[:2]} now, but {self.shape} at first")
            self._picture = newest
        fix = f"is whoever publishes {self._topic} still running, and does its clock agree with this machine's?"
        return check_age(self.name, self._picture, self._max_age_s, fix)

    def close(self) -> None:
        """Leave the network."""
        self._node.destroy_node()
        self._context.try_shutdown()

    def _first(self, deadline_s: float, patience_s: float) -> Picture:
        within = f"within {patience_s:g} s (ROS_DOMAIN_ID and namespace right?)"
        kind = _wait(deadline_s, self._kind)
        if kind is None:
            raise self._error(f"is not published {within}; topics with pictures: {', '.join(self._known()) or 'none'}")
        self._subscription = self._subscribe(kind)
        first = _wait(deadline_s, self._take)
        if first is None:
            raise self._error(f"is there, but gave no picture {within}")
        return first

    def _topics(self) -> dict[str, list[str]]:
        return dict(self._node.get_topic_names_and_types())

    def _known(self) -> list[str]:
        return sorted(name for name, kinds in self._topics().items() if {_IMAGE, _COMPRESSED} & set(kinds))

    def _kind(self) -> str | None:
        """The topic's message type, once it is known."""
        kinds = self._topics().get(self._node.resolve_topic_name(self._topic))
        if kinds is not None and kinds[0] not in (_IMAGE, _COMPRESSED):
            raise self._error(f"carries {kinds[0]}, not {_IMAGE} or {_COMPRESSED}")
        return kinds[0] if kinds else None

    def _subscribe(self, kind: str) -> Any:
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CompressedImage, Image

        # Sensor data: of several only the newest counts, and a lost one is not worth sending again.
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        message = Image if kind == _IMAGE else CompressedImage
        return self._node.create_subscription(message, self._topic, lambda _: None, newest)

    def _take(self) -> Picture | None:
        """The newest message, if there is one that was not taken yet."""
        taken, handle = None, self._subscription.handle
        with handle:
            while (following := handle.take_message(self._subscription.msg_type, False)) is not None:
                taken = following
        if taken is None:
            return None
        message, facts = taken
        try:
            image = np.ascontiguousarray(picture(message))
        except ValueError as error:
            raise self._error(str(error)) from error
        return Picture(image=image, capture_time_ns=self._capture_time_ns(message, facts["received_timestamp"]))

    def _capture_time_ns(self, message: Any, arrived_ns: int) -> int:
        stamp = message.header.stamp
        stamped_ns = stamp.sec * SECOND + stamp.nanosec
        captured_ns = arrived_ns if self._stamps == "arrival" or stamped_ns == 0 else stamped_ns
        age_ns = time.time_ns() - captured_ns
        if age_ns < -_FUTURE_S * SECOND:
            raise self._error(f"is stamped {-age_ns / SECOND:.2f} s ahead: synchronise the clocks, or stamps='arrival'")
        return time.monotonic_ns() - max(age_ns, 0)

    def _error(self, problem: str) -> CameraError:
        return CameraError(self.name, f"topic {self._topic} {problem}")


def _wait(deadline_s: float, look: Callable[[], Any]) -> Any:
    """The first thing that `look` gives; None when it gives nothing until then."""
    while (found := look()) is None and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    return found
