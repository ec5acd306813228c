"""Depth topics of ROS 2 bags: mm that stay as they are, m that are rounded to mm, in all forms that drivers publish."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_bags import STATE, header, image, make, options, states, write_bag
from refusals import refused
from written import imported

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.recording.ros2.depth import depth_array
from isthmus_datasets.recording.ros2.messages import image_array

DEPTH = "observation.images.depth"
RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
MM = np.random.default_rng(0).integers(0, 65_536, (4, 15, 21)).astype(np.uint16)
MM[:, 0, :3] = 0, 2500, 65_535
Published = Callable[[float, np.ndarray], Any]


def raw(ms: float, depths: np.ndarray, encoding: str = "16UC1") -> Any:
    return image(ms, np.ascontiguousarray(depths)[..., None].view(np.uint8), encoding)


def metres(ms: float, depths: np.ndarray) -> Any:
    """As REP 118 has it: not a number where there is no reading."""
    return raw(ms, np.where(depths, depths / 1000, np.nan).astype(np.float32), "32FC1")


def encoded(ending: str, values: np.ndarray) -> np.ndarray:
    return cv2.imencode(ending, values)[1].ravel()


def compressed(ms: float, form: str, data: np.ndarray) -> Any:
    return make(COMPRESSED, header=header(ms), format=form, data=data)


def compressed_depth(ms: float, form: str, values: np.ndarray, a: float = 0.0, b: float = 0.0) -> Any:
    head = np.frombuffer(struct.pack("<iff", 0, a, b), np.uint8)
    return compressed(ms, form, np.concatenate([head, encoded(".png", values)]))


FORMS: dict[str, tuple[str, Published]] = {
    "16UC1": (RAW, raw),
    "32FC1": (RAW, metres),
    "png": (COMPRESSED, lambda ms, mm: compressed(ms, "png", encoded(".png", mm))),
    "16UC1; png": (COMPRESSED, lambda ms, mm: compressed(ms, "16UC1; png compressed ", encoded(".png", mm))),
    "32FC1; tiff": (
        COMPRESSED,
        lambda ms, mm: compressed(ms, "32FC1; tiff compressed ", encoded(".tiff", (mm / 1000).astype(np.float32))),
    ),
    "compressedDepth": (COMPRESSED, lambda ms, mm: compressed_depth(ms, "16UC1; compressedDepth png", mm)),
    "compressedDepth of old": (COMPRESSED, lambda ms, mm: compressed_depth(ms, "16UC1; compressedDepth", mm)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_depth_topic_becomes_a_depth_camera(tmp_path: Path, form: str):
    kind, published = FORMS[form]
    said = [(100 * k, published(100 * k, mm)) for k, mm in enumerate(MM)]
    source = open_source(
        write_bag(tmp_path / "bag", states(8), ("/depth", kind, said)), options({**STATE, DEPTH: "/depth"})
    )
    reader = imported(source, tmp_path / "data")
    assert reader.info.features[DEPTH].is_depth
    np.testing.assert_array_equal(reader.frames(0, DEPTH)[..., 0], MM)


def test_rows_may_be_longer_and_the_other_end_first():
    message = image(0, MM[0].astype(">u2")[..., None].view(np.uint8), "16UC1")
    rows = np.pad(message.data.reshape(15, -1), ((0, 0), (0, 6)), constant_values=7)
    message.data, message.step, message.is_bigendian = rows.ravel(), rows.shape[1], 1
    found = depth_array(message)
    assert (found.dtype, found.shape) == (np.uint16, (15, 21, 1))
    np.testing.assert_array_equal(found[..., 0], MM[0])


def test_metres_are_rounded_and_no_reading_is_0():
    given = [np.nan, np.inf, -np.inf, 0.0, -1.0, 0.0004, 0.0006, 2.5, 2.4996, 65.535, 65.5354]
    found = depth_array(raw(0, np.array([given], np.float32), "32FC1"))
    assert found.ravel().tolist() == [0, 0, 0, 0, 0, 0, 1, 2500, 2500, 65_535, 65_535]
    with refused("80.250 m", ValueError):
        depth_array(raw(0, np.array([[1.0, 80.25]], np.float32), "32FC1"))


def test_inverse_depths_are_turned_back():
    """As compressed_depth_image_transport makes them of m: quantization 100, up to 10 m."""
    a = np.float32(100 * 101)
    b = np.float32(1 - a / 10)
    metres = np.array([[0.3, 0.5, 1.0, 2.5, 9.9]], np.float32)
    values = np.append((a / metres + b).astype(np.uint16), np.uint16(0))[None]
    found = depth_array(compressed_depth(0, "32FC1; compressedDepth png", values, float(a), float(b)))
    step = 1000 * metres**2 / a  # mm from one value to the next, of which the fraction was cut off
    assert (np.abs(found[:, :5, 0] - 1000 * metres) <= step + 1).all()
    assert found[0, 5, 0] == 0


@pytest.mark.parametrize(
    "message",
    [
        raw(0, np.zeros((4, 5), np.uint8), "16UC1"),
        compressed(0, "16UC1; compressedDepth rvl", np.arange(40, dtype=np.uint8)),
        compressed(0, "16UC1; compressedDepth png", np.arange(4, dtype=np.uint8)),
        compressed(0, "16UC1; compressedDepth png", np.zeros(0, np.uint8)),
        compressed(0, "32FC1; compressedDepth png", np.arange(4, dtype=np.uint8)),
        compressed_depth(0, "16UC1; compressedDepth png", np.zeros((4, 6), np.uint8)),
        compressed(0, "32FC1; png compressed", encoded(".png", np.zeros((4, 6, 3), np.uint8))),
    ],
)
def test_depths_that_cannot_be_read_are_named(tmp_path: Path, message: Any):
    kind = RAW if hasattr(message, "encoding") else COMPRESSED
    bag = write_bag(tmp_path / "bag", states(), ("/depth", kind, [(0, message)]))
    with refused("message 0 | /depth"):
        open_source(bag, options({**STATE, DEPTH: "/depth"}))


@pytest.mark.parametrize("form", FORMS)
def test_they_are_never_an_image_of_8_bits(form: str):
    with refused("depth image", ValueError):
        image_array(FORMS[form][1](0, MM[0]))


def test_a_topic_that_turns_to_depths_is_refused(tmp_path: Path):
    messages = [(0, image(0, np.zeros((16, 16, 3), np.uint8))), (200, raw(200, np.zeros((16, 16), np.uint16)))]
    bag = write_bag(tmp_path / "bag", states(8), ("/cam", RAW, messages))
    with refused("/cam | frame 2 | uint16 (16, 16, 1)"):
        list(open_source(bag, options({**STATE, DEPTH: "/cam"})).episodes)
