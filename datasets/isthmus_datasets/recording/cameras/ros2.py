"""Cameras that are ROS 2 topics."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from isthmus_datasets.recording.cameras.camera import CameraImage, check_age
from isthmus_datasets.recording.robot import CameraError
from isthmus_datasets.recording.ros2.messages import image_array
from isthmus_datasets.recording.ros2.topics import (
    close_node,
    header_stamp_ns,
    open_node,
    subscribe,
    take_newest,
    to_monotonic_ns,
    wait_for,
)

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_INSTALL = "ROS 2 for Python is missing: pip install 'isthmus[ros]', or source /opt/ros/<distro>/setup.bash"


class Ros2Camera:
    """The newest `sensor_msgs/Image` or `CompressedImage` of a topic.

    The middleware keeps the newest message; `read` takes it. No thread runs beside whoever reads.
    Capture times are the headers' stamps, or when the message came where a stamp is zero, told by `time.monotonic_ns`.

    Args:
        name: Name of the camera.
        topic: Such as "/wrist/image_raw" or "/wrist/image_raw/compressed".
        stamps: "arrival" where the camera's machine does not synchronise its clock with this one's.
        max_age_s: `read` refuses an older image.
        start_s: How long to wait for the first image.

    Raises:
        CameraError: there is no ROS 2, no such topic, no image in time, or one that cannot be read.
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
            self._node = open_node(f"camera_{name}")
        except ModuleNotFoundError as error:
            raise CameraError(name, _INSTALL) from error
        try:
            self._image = self._first(start_s)
        except CameraError:
            self.close()
            raise
        self.shape: tuple[int, int] = self._image.pixels.shape[:2]

    def read(self) -> CameraImage:
        """The newest image."""
        newest = self._take()
        if newest is not None:
            if newest.pixels.shape[:2] != self.shape:
                raise self._error(f"gives {newest.pixels.shape[:2]} now, but {self.shape} at first")
            self._image = newest
        fix = f"is whoever publishes {self._topic} still running, and does its clock agree with this machine's?"
        return check_age(self.name, self._image, self._max_age_s, fix)

    def close(self) -> None:
        """Leave the network."""
        close_node(self._node)

    def _first(self, start_s: float) -> CameraImage:
        within = f"within {start_s:g} s (ROS_DOMAIN_ID and namespace right?)"
        kind = wait_for(self._kind, start_s)
        if kind is None:
            raise self._error(f"is not published {within}; topics with images: {', '.join(self._known()) or 'none'}")
        self._subscription = self._subscribe(kind)
        first = wait_for(self._take, start_s)
        if first is None:
            raise self._error(f"is there, but gave no image {within}")
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
        return subscribe(self._node, Image if kind == _IMAGE else CompressedImage, self._topic, newest)

    def _take(self) -> CameraImage | None:
        """The newest message, if there is one that was not taken yet."""
        taken = take_newest(self._subscription)
        if taken is None:
            return None
        message, arrived_ns = taken
        stamped_ns = header_stamp_ns(message)
        captured_ns = arrived_ns if self._stamps == "arrival" or stamped_ns == 0 else stamped_ns
        try:
            image, time_ns = np.ascontiguousarray(image_array(message)), to_monotonic_ns(captured_ns)
        except ValueError as error:
            raise self._error(str(error)) from error
        return CameraImage(pixels=image, capture_time_ns=time_ns)

    def _error(self, problem: str) -> CameraError:
        return CameraError(self.name, f"topic {self._topic} {problem}")
