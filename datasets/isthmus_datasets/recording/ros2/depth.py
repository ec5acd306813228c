"""Depth images of ROS 2 messages as uint16 mm.

By REP 118 (https://ros.org/reps/rep-0118.html) depths are along the camera's optical axis: 16UC1 in mm, 0 where there
is no reading; 32FC1 in m, not finite where there is none.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_RAW = {"16UC1": np.dtype(np.uint16), "32FC1": np.dtype(np.float32)}
_FARTHEST = 65_535  # mm
_PNG = b"\x89PNG"
_HEADER = struct.Struct("<iff")
"""What compressed_depth_image_transport puts before its PNG file: a number for the kind of quantization, a and b."""


def is_depth_message(message: Any) -> bool:
    """Whether an Image or CompressedImage holds depths. The format of a compressed one begins with the encoding before
    compression, where the driver says it; where it does not, a PNG file with one channel of 16 bits is of depths."""
    if hasattr(message, "encoding"):
        return message.encoding in _RAW
    encoding, _, transport = str(message.format).partition(";")
    start = bytes(message.data[:26])
    wide = start.startswith(_PNG) and start[24:25] == b"\x10" and start[25:26] == b"\x00"  # bits, colour type
    return "compressedDepth" in transport or encoding == "32FC1" or (wide and encoding != "mono16")


def depth_array(message: Any) -> NDArray[np.uint16]:
    """(H, W, 1) mm, 0 where there is no reading. What is in mm stays exact, what is in m is rounded to mm.

    Raises:
        ValueError: the data do not hold what is said, are compressed in an unknown way, or go farther than 65.535 m.
    """
    depths = _raw(message) if hasattr(message, "encoding") else _decompressed(message)
    if depths.ndim != 2 or depths.dtype not in _RAW.values():
        raise ValueError(f"holds {depths.dtype} {depths.shape}, which are not depths in mm (uint16) or m (float32)")
    return (depths if depths.dtype == np.uint16 else _millimetres(depths))[..., None].astype(np.uint16)


def _raw(message: Any) -> NDArray[Any]:
    kind = _RAW[message.encoding]
    width = message.width * kind.itemsize  # bytes; a row may be longer
    if message.step < width or len(message.data) < message.height * message.step:
        raise ValueError(f"holds {len(message.data)} bytes for {message.width} × {message.height} {message.encoding}")
    rows = np.asarray(message.data, np.uint8)[: message.height * message.step].reshape(message.height, message.step)
    values = np.ascontiguousarray(rows[:, :width]).view(kind.newbyteorder(">" if message.is_bigendian else "<"))
    return values.astype(kind)


def _decompressed(message: Any) -> NDArray[Any]:
    """Depths as they were, or (H, W) m of inverse depths, which compressed_depth_image_transport makes of 32FC1."""
    encoding, _, transport = str(message.format).partition(";")
    if "compressedDepth" not in transport:
        return _decoded(bytes(message.data), message.format)
    content = bytes(message.data)
    values = _decoded(content[_HEADER.size :], message.format)
    if encoding != "32FC1":
        return values
    _, a, b = _HEADER.unpack_from(content)
    return _from_inverse(values, a, b)


def _decoded(content: bytes, form: str) -> NDArray[Any]:
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if decoded is None:
        raise ValueError(f"holds {len(content)} bytes of {form!r} that cannot be decoded: PNG can, RVL cannot")
    return np.asarray(decoded)


def _from_inverse(values: NDArray[Any], a: float, b: float) -> NDArray[np.float32]:
    """m: a / (value − b), and no reading for 0 (`decodeCompressedDepthImage` in image_transport_plugins, codec.cpp)."""
    with np.errstate(divide="ignore"):
        depths = a / (values.astype(np.float32) - np.float32(b))
    return np.where(values > 0, depths, np.nan).astype(np.float32)


def _millimetres(metres: NDArray[np.float32]) -> NDArray[np.float64]:
    """Whole mm; 0 for what is not finite or not in front of the camera."""
    seen = np.isfinite(metres) & (metres > 0)
    depths = np.rint(np.where(seen, metres, 0.0).astype(np.float64) * 1000)
    if depths.max(initial=0.0) > _FARTHEST:
        raise ValueError(
            f"has a depth of {depths.max() / 1000:.3f} m, and 16 bits of mm end at {_FARTHEST / 1000} m: make what is"
            " farther infinite, or leave the topic out"
        )
    return depths
