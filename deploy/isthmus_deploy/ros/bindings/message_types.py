"""Other types in which drivers publish what the bindings read: each is converted to the type that a binding knows."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from sensor_msgs.msg import CompressedImage, Image, Imu, JointState

from isthmus_deploy.ros.bindings import unitree
from isthmus_deploy.ros.bindings.binding import BadMessage
from isthmus_deploy.ros.bindings.conversion import Conversion
from isthmus_deploy.ros.ros2 import Refusal


class _Newest:
    """Converts a message once, however many signals are read from it."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read
        self._message: Any = None
        self._converted: Any = None

    def __call__(self, message: Any) -> Any:
        if message is not self._message:
            self._message, self._converted = message, self._read(message)
        return self._converted


def conversion(message: type, name: str | None) -> Conversion:
    """The conversion from the driver's type `name` (None for the binding's own) to `message`.

    Raises:
        Refusal: there is none; lists the valid types.
    """
    if name in (None, type_name(message)):
        return Conversion(message=message)
    known = _CONVERSIONS.get(message, {})
    if name not in known:
        valid = ", ".join((type_name(message), *known))
        raise Refusal(f"a {type_name(message)} cannot be read from a {name}; valid types are {valid}")
    made = known[name]()
    return Conversion(message=made.message, read=_Newest(made.read), write=made.write)


def type_name(message: type) -> str:
    """Package and message, such as "sensor_msgs/Image"."""
    return f"{message.__module__.split('.')[0]}/{message.__name__}"


# --- pictures and walking velocities ---


def _compressed() -> Conversion:
    """JPEG or PNG, by OpenCV."""
    try:
        cv2 = importlib.import_module("cv2")
    except ModuleNotFoundError as error:
        raise Refusal("compressed images need OpenCV: pip install opencv-python-headless") from error

    def read(message: CompressedImage) -> Image:
        problem = f"{len(message.data)} bytes of {message.format!r} are no image that OpenCV can decode"
        try:
            image = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error as error:  # of no bytes, and of an image that says that it is larger than any
            raise BadMessage(problem) from error
        if image is None:
            raise BadMessage(problem)
        height, width, channels = image.shape
        plain = Image(height=height, width=width, encoding="bgr8", step=channels * width, header=message.header)
        plain.data = image.tobytes()
        return plain

    def write(message: Image) -> CompressedImage:
        rgb = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        done, data = cv2.imencode(".png", rgb[:, :, ::-1])
        assert done
        return CompressedImage(header=message.header, format="rgb8; png compressed bgr8", data=data.tobytes())

    return Conversion(message=CompressedImage, read=read, write=write)


def _unstamped() -> Conversion:
    return Conversion(
        message=Twist, read=lambda message: TwistStamped(twist=message), write=lambda message: message.twist
    )


_CONVERSIONS: dict[type, dict[str, Callable[[], Conversion]]] = {
    JointState: {"unitree_go/LowState": unitree.joints},
    Imu: {"unitree_go/LowState": unitree.imu},
    Image: {"sensor_msgs/CompressedImage": _compressed},
    TwistStamped: {"geometry_msgs/Twist": _unstamped},
}
