"""What ROS 2 messages hold, as numbers and images.

A message is the object that rosbags makes of it: a dataclass whose fields are numbers, text, arrays, lists or messages.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.ros2.depth import depth_array, is_depth_message

SECOND = 10**9  # ns

_TO_RGB: dict[str, tuple[int, int | None]] = {  # encoding -> (channels, OpenCV's conversion)
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
}
_OF_16_BITS = ("mono16", "rgb16", "bgr16", "rgba16", "bgra16")


def stamp_ns(message: Any) -> int:
    """The header's stamp in ns, or what PX4 has instead of a header; 0 where there is none."""
    if message.__msgtype__.startswith("px4_msgs/"):
        return int(getattr(message, "timestamp_sample", getattr(message, "timestamp", 0))) * 1000  # from µs
    stamp = getattr(getattr(message, "header", None), "stamp", None)
    return 0 if stamp is None else stamp.sec * SECOND + stamp.nanosec


def camera_array(message: Any) -> NDArray[np.uint8 | np.uint16]:
    """What `image_array` or, of depths, `depth_array` gives. Raises ValueError as these do."""
    return depth_array(message) if is_depth_message(message) else image_array(message)


def image_array(message: Any) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of an Image or CompressedImage; of 16 bits the upper 8.

    Raises:
        ValueError: the encoding is not one of an image, or the data do not hold it; or they are depths, of which 8 bits
            would leave nothing.
    """
    if is_depth_message(message):
        form = getattr(message, "encoding", "") or message.format
        raise ValueError(f"is a depth image ({form!r}), which 8 bits cannot hold: record a bag of it, and import that")
    if not hasattr(message, "encoding"):
        decoded = cv2.imdecode(np.asarray(message.data, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise ValueError(f"holds {len(message.data)} bytes of {message.format!r} that are not an image")
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    wide = message.encoding in _OF_16_BITS
    encoding = message.encoding.replace("16", "8") if wide else message.encoding
    if encoding not in _TO_RGB:
        known = ", ".join((*_TO_RGB, *_OF_16_BITS))
        raise ValueError(f"has the encoding {message.encoding!r}; known are {known}")
    channels, conversion = _TO_RGB[encoding]
    width = message.width * channels * (2 if wide else 1)  # bytes; a row may be longer
    if message.step < width or len(message.data) < message.height * message.step:
        raise ValueError(f"holds {len(message.data)} bytes for {message.width} × {message.height} {message.encoding}")
    rows = np.asarray(message.data, np.uint8)[: message.height * message.step].reshape(message.height, message.step)
    values = rows[:, :width]
    if wide:
        values = values[:, (0 if message.is_bigendian else 1) :: 2]
    pixels = values.reshape(message.height, message.width, channels)
    return pixels if conversion is None else np.asarray(cv2.cvtColor(pixels, conversion), np.uint8)


def numbers(value: Any, name: str = "") -> list[tuple[str, float | int | bool]]:
    """Every number in `value` with its name, in order. Quaternions come as w, x, y, z. Headers are left out.

    Raises:
        ValueError: there is text or a list of messages, which have no fixed number of numbers.
    """
    if isinstance(value, bool | int | float | np.generic):
        return [(name, value)]  # type: ignore[list-item]
    if isinstance(value, np.ndarray):
        return [(f"{name}.{i}".lstrip("."), number) for i, number in enumerate(value.tolist())]
    if not field_names(value):
        raise ValueError(f"{name or 'it'} is {type(value).__name__}, not numbers: choose a field by TOPIC:FIELD")
    fields = [field for field in field_names(value) if field != "header"]
    if sorted(fields) == ["w", "x", "y", "z"]:
        fields = ["w", "x", "y", "z"]  # ROS has xyzw
    return [pair for field in fields for pair in numbers(getattr(value, field), f"{name}.{field}".lstrip("."))]


def field_names(message: Any) -> list[str]:
    """Names of a message's fields, without its constants, which ROS writes in capitals; none for anything else."""
    if not dataclasses.is_dataclass(message):
        return []
    return [field.name for field in dataclasses.fields(message) if field.name[0].islower()]


def choose(message: Any, path: tuple[str, ...]) -> Any:
    """The field of a field … of `message`. Raises ValueError with the fields there are."""
    for name in path:
        known = field_names(message)
        if name not in known:
            raise ValueError(f"has no field {'.'.join(path)}: {name} is none of {', '.join(known) or 'no fields'}")
        message = getattr(message, name)
    return message
