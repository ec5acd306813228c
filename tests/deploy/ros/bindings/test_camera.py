"""Images become signals: size, channels, padding; and back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import standing_policy
from sensor_msgs.msg import Image

from isthmus_deploy.contracts.contract import Signal
from isthmus_deploy.ros.bindings.camera import camera_binding
from isthmus_deploy.ros.bindings.table import check_contract
from isthmus_deploy.ros.readings.latest_values import LatestValues
from isthmus_deploy.ros.ros2 import Refusal

CAMERA = Signal(
    name="camera_wrist", shape=(2, 3, 3), unit="1", frame="camera_wrist", order=("r", "g", "b"), dtype="uint8",
    minimum=(0.0,) * 3, maximum=(255.0,) * 3, max_jump=(255.0,) * 3, max_age_s=0.2,
)  # fmt: skip
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
(SOURCE,) = camera_binding("camera_wrist").sources
TOPIC = SOURCE.topic


@pytest.fixture
def seeing() -> LatestValues:
    contract = standing_policy.contract()
    contract = dataclasses.replace(contract, signals=(*contract.signals, CAMERA))
    check_contract(contract)
    return LatestValues(contract)


def image(pixels: np.ndarray = PIXELS, *, padding: int = 0, **fields: Any) -> Image:
    height, width, _ = pixels.shape
    rows = np.concatenate((pixels.reshape(height, -1), np.full((height, padding), 99, np.uint8)), axis=1)
    facts = {"height": height, "width": width, "encoding": "rgb8", "step": rows.shape[1], **fields}
    return Image(data=rows.tobytes(), **facts)


@pytest.mark.parametrize("padding", [0, 3])
def test_an_image_comes_in_as_it_is(seeing: LatestValues, padding: int):
    assert "camera_wrist (topic camera_wrist/image_raw)" in seeing.missing("robot")
    seeing.receive(TOPIC, image(padding=padding))
    np.testing.assert_array_equal(seeing.signals["camera_wrist"], PIXELS)
    assert seeing.signals["camera_wrist"].dtype == np.uint8
    assert not seeing.take_reading(), "an image starts no control period"


def test_bgr_is_turned_round(seeing: LatestValues):
    seeing.receive(TOPIC, image(PIXELS[:, :, ::-1], encoding="bgr8"))
    np.testing.assert_array_equal(seeing.signals["camera_wrist"], PIXELS)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (image(PIXELS.reshape(3, 2, 3)), "the image is 2 x 3, the policy needs 3 x 2"),
        (image(encoding="mono8"), "the encoding is 'mono8'; it must be rgb8 or bgr8"),
        (image(step=8), "18 bytes in rows of 8 are no image of 3 x 2"),
        (image(step=12), "18 bytes in rows of 12 are no image of 3 x 2"),
    ],
)
def test_another_image_is_refused_and_the_one_before_stays(seeing: LatestValues, message: Image, reason: str):
    seeing.receive(TOPIC, image())
    seeing.receive(TOPIC, message)
    assert seeing.take_rejection() == f"camera_wrist/image_raw: {reason}" + (
        ": resize it in the driver" if "the image is" in reason else ""
    )
    np.testing.assert_array_equal(seeing.signals["camera_wrist"], PIXELS)


def test_what_a_stand_in_writes_is_what_the_node_reads(seeing: LatestValues):
    assert TOPIC.writer is not None
    message = TOPIC.writer([CAMERA])({"camera_wrist": PIXELS})
    assert message.header.frame_id == "camera_wrist"
    seeing.receive(TOPIC, message)
    np.testing.assert_array_equal(seeing.signals["camera_wrist"], PIXELS)


@pytest.mark.parametrize("change", [{"unit": "lux"}, {"order": ("b", "g", "r")}])
def test_an_image_of_another_kind_is_refused(change: dict[str, Any]):
    contract = standing_policy.contract()
    camera = dataclasses.replace(CAMERA, **change)
    with pytest.raises(Refusal, match=f"signals.camera_wrist.{next(iter(change))}"):
        check_contract(dataclasses.replace(contract, signals=(camera,)))
