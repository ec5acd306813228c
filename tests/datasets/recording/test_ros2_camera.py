"""Images from a real publisher in another process: pixels, capture times, and what is said when they stop."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from refusals import refused

from isthmus_datasets.recording.cameras.ros2 import Ros2Camera
from isthmus_datasets.recording.robot import CameraError
from isthmus_datasets.recording.ros2.messages import image_array
from isthmus_deploy.ros import ros2

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'isthmus[ros]'")

from ros_processes import own_domain

pytestmark = pytest.mark.ros
START_S = 40.0  # on a busy machine; usually it takes one
PUBLISHER = Path(__file__).with_name("publish_images.py")
DRIVER = ("/late:rgb8:0.1", "/bgr8:bgr8:none", "/mono8:mono8:none", "/jpeg:jpeg:none", "/ahead:rgb8:-3.0")
Publish = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def publish(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publish]:
    """`publish("TOPIC:KIND:AGE_S", …)` starts a driver of cameras, in a domain of this file's own."""
    drivers: list[subprocess.Popen[bytes]] = []

    def start(*topics: str) -> subprocess.Popen[bytes]:
        drivers.append(subprocess.Popen([sys.executable, PUBLISHER, *topics]))
        return drivers[-1]

    with own_domain() as number, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(number))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        ros2.require()
        yield start
        for driver in drivers:
            driver.kill()
            driver.wait()


@pytest.fixture(scope="module")
def cameras(publish: Publish) -> None:
    """A driver that publishes all of `DRIVER`."""
    publish(*DRIVER)


def ages_s(camera: Ros2Camera, count: int = 10) -> list[float]:
    """How old so many different images are when they are read."""
    ages, last_ns = [], 0
    while len(ages) < count:
        taken = camera.read()
        if taken.capture_time_ns != last_ns:
            ages.append((time.monotonic_ns() - taken.capture_time_ns) * 1e-9)
        last_ns = taken.capture_time_ns
    return ages


def test_images_and_the_times_of_their_stamps(cameras):
    with closing(Ros2Camera("wrist", "/late", start_s=START_S)) as camera:
        assert camera.shape == (6, 8)
        image = camera.read().pixels
        assert image[3, 4, :2].tolist() == [30, 40]
        assert image[5, 7, :2].tolist() == [50, 70], "rows are padded"
        assert 0.1 <= min(ages_s(camera)) < 0.2, "the stamp says when, not the arrival"
        counters = [camera.read().pixels[0, 0, 2] for _ in range(200)]
        assert len(set(counters)) < 50, "reading does not wait"


@pytest.mark.parametrize(("topic", "pixel"), [("/bgr8", (30, 40)), ("/mono8", (30, 30)), ("/jpeg", (90, 90))])
def test_other_encodings_and_messages_without_a_stamp(cameras, topic, pixel):
    with closing(Ros2Camera("wrist", topic, start_s=START_S)) as camera:
        assert camera.read().pixels[3, 4, :2] == pytest.approx(pixel, abs=2)
        assert -0.001 <= min(ages_s(camera)) < 0.1


def test_clocks_that_differ(cameras):
    with refused("ahead | synchronise", CameraError):
        Ros2Camera("wrist", "/ahead", start_s=START_S)
    with closing(Ros2Camera("wrist", "/ahead", stamps="arrival", start_s=START_S)) as camera:
        assert min(ages_s(camera)) < 0.1


def test_no_such_topic(cameras):
    with refused("/front | 2 s | /ahead, /bgr8", CameraError):
        Ros2Camera("wrist", "/front", start_s=2.0)


def test_a_driver_that_dies(publish):
    driver = publish("/cam:rgb8:0.0")
    with closing(Ros2Camera("wrist", "/cam", start_s=START_S)) as camera:
        driver.kill()
        start = time.monotonic()
        with refused("'wrist' | /cam", CameraError):
            ages_s(camera, 1000)
        assert time.monotonic() - start < 3.0


@pytest.mark.parametrize(("big_endian", "upper"), [(False, 0), (True, 1)])
def test_sixteen_bits_in_either_byte_order(big_endian, upper):
    from sensor_msgs.msg import Image

    values = np.array([[0x1234, 0xFF00], [0x0001, 0x8000]], ">u2" if big_endian else "<u2")
    message = Image(height=2, width=2, encoding="mono16", is_bigendian=upper, step=4, data=values.tobytes())
    assert image_array(message)[..., 0].tolist() == [[0x12, 0xFF], [0x00, 0x80]]


def test_without_ros_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with refused("'wrist' | pip install", CameraError):
        Ros2Camera("wrist", "/cam")
