"""Cameras: a signal of bytes is the newest `sensor_msgs/Image` of the topic `SIGNAL/image_raw`."""

from __future__ import annotations

import array
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from sensor_msgs.msg import Image

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings.binding import Array, BadMessage, Read, SignalBinding, Source, Topic, Write
from isthmus_deploy.ros.qos import SENSOR

RGB = ("r", "g", "b")
_CHANNELS = {"rgb8": slice(None), "bgr8": slice(None, None, -1)}


@functools.cache
def camera_binding(name: str) -> SignalBinding:
    """The binding of the camera signal `name`; the same object each time."""
    topic = Topic(name=f"{name}/image_raw", message=Image, qos=SENSOR, side="robot", writer=_writer)
    source = Source(topic=topic, reader=lambda _: _reader(topic.name))
    return SignalBinding(unit="1", frame=None, order=RGB, sources=(source,), dtype="uint8")


def _reader(topic: str) -> Read:
    def read(message: Image, out: Array) -> None:
        height, width, channels = out.shape
        if (message.height, message.width) != (height, width):
            raise BadMessage(
                f"{topic}: the image is {message.width} x {message.height}, the policy needs {width} x {height}: "
                "resize it in the driver"
            )
        if message.encoding not in _CHANNELS:
            raise BadMessage(f"{topic}: the encoding is {message.encoding!r}; it must be {' or '.join(_CHANNELS)}")
        row = channels * width
        if message.step < row or len(message.data) != height * message.step:
            raise BadMessage(
                f"{topic}: {len(message.data)} bytes in rows of {message.step} are no image of {width} x {height}"
            )
        rows = np.frombuffer(message.data, np.uint8).reshape(height, message.step)[:, :row]  # padding is left out
        out[...] = rows.reshape(out.shape)[:, :, _CHANNELS[message.encoding]]

    return read


def _writer(signals: Sequence[SignalInterface]) -> Write:
    (signal,) = signals
    height, width, channels = signal.shape
    message = Image(height=height, width=width, encoding="rgb8", step=channels * width)
    message.header.frame_id = signal.frame

    def write(values: Mapping[str, Array]) -> Image:
        message.data = array.array("B", values[signal.name].tobytes())
        return message

    return write
