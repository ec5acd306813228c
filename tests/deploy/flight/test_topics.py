"""Rows as messages of ROS 2, read by rosbags: numbers by name, images once, a line for every change of state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.flight.mcap import McapWriter
from isthmus_deploy.flight.row import NUMBERS, STATES, Layout, images_fit
from isthmus_deploy.flight.topics import Messages
from isthmus_deploy.safety.supervisor import State

CAMERA = Signal(
    name="camera", shape=(2, 3, 3), unit="1", frame="camera", order=("r", "g", "b"), dtype="uint8", minimum=(0.0,) * 3,
    maximum=(255.0,) * 3, max_jump=(255.0,) * 3, max_age_s=0.2,
)  # fmt: skip
EPOCH_NS = 1_700_000_000_000_000_000


@pytest.fixture
def layout(contract) -> Layout:
    """Of the policy of two joints, with a camera, and with names that ROS 2 does not allow."""
    position = replace(contract.signals[0], order=("Left Hip", "left_hip"))
    return Layout(replace(contract, signals=(position, *contract.signals[1:], CAMERA), joints={}), images=True)


def rows(layout: Layout, count: int) -> np.ndarray:
    """One every 10 ms from 1 s on; nothing is wanted in the first one, nothing sent in the last one."""
    made = np.zeros(count, layout.row)
    made["numbers"][:, NUMBERS.index("tick")] = np.arange(count)
    made["numbers"][:, NUMBERS.index("monotonic_ns")] = 1_000_000_000 + 10_000_000 * np.arange(count)
    made["state"] = STATES.index(State.RUNNING)
    made["signals"] = np.arange(layout.row["signals"].shape[0])
    made["wanted"], made["sent"] = [0.1, 1e-9], [0.2, -0.2]
    made["has_wanted"], made["has_sent"] = np.arange(count) > 0, np.arange(count) < count - 1
    return made


def read(path: Path, messages: Messages, made: np.ndarray) -> dict[str, list]:
    """What rosbags makes of the rows: (time, message) by topic."""
    with path.open("wb") as file:
        writer = McapWriter(file, {}, messages.channels)
        writer.write(messages.of(made[:2]))
        writer.write(messages.of(made[2:]))
        writer.finish()
    found: dict[str, list] = {}
    with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        for connection, time, data in reader.messages():
            found.setdefault(connection.topic, []).append((time, reader.deserialize(data, connection.msgtype)))
    return found


def test_numbers_are_fields_by_name_and_exact(layout: Layout, tmp_path: Path):
    made = rows(layout, 4)
    found = read(tmp_path / "bag.mcap", Messages(layout, EPOCH_NS), made)
    time, signals = found["/flight/signals"][1]
    assert time == EPOCH_NS + 1_010_000_000
    assert (signals.header.stamp.sec, signals.header.stamp.nanosec) == (1_700_000_001, 10_000_000)
    assert (signals.joint_position.left_hip, signals.joint_position.left_hip_1) == (0.0, 1.0)
    quaternion = signals.orientation
    assert (quaternion.w, quaternion.x, quaternion.y, quaternion.z) == (2.0, 3.0, 4.0, 5.0)
    assert signals.goal.offset == 6.0
    assert [time - EPOCH_NS for time, _ in found["/flight/wanted"]] == [1_010_000_000, 1_020_000_000, 1_030_000_000]
    assert found["/flight/wanted"][0][1].joint_command.knee == 1e-9
    assert len(found["/flight/sent"]) == 3
    assert found["/flight/sent"][0][1].joint_command.hip == 0.2
    tick = found["/flight/tick"][3][1]
    assert (tick.tick, tick.monotonic_ns, tick.has_sent) == (3, 1_030_000_000, False)
    assert tick.state == tick.RUNNING
    assert found["/flight/ages_s"][0][1].camera == 0.0


def test_an_image_is_a_message_where_it_is_another_than_before(layout: Layout, tmp_path: Path):
    made = rows(layout, 5)
    made["image_camera"][1] = made["image_camera"][2] = np.arange(18).reshape(2, 3, 3)
    found = read(tmp_path / "bag.mcap", Messages(layout, EPOCH_NS), made)["/flight/image/camera"]
    assert [time - EPOCH_NS for time, _ in found] == [1_000_000_000, 1_010_000_000, 1_030_000_000]
    image = found[1][1]
    assert (image.height, image.width, image.encoding, image.is_bigendian, image.step) == (2, 3, "rgb8", 0, 9)
    assert image.data.tolist() == list(range(18))


def test_a_change_of_state_or_cause_is_a_line(layout: Layout, tmp_path: Path):
    made = rows(layout, 5)
    made["state"][2:] = STATES.index(State.FAULT)
    made["cause"][2:] = "position: stale, 2 µs".encode()
    lines = [m for _, m in read(tmp_path / "bag.mcap", Messages(layout, EPOCH_NS), made)["/flight/log"]]
    assert [(line.msg, line.level) for line in lines] == [
        ("running", lines[0].INFO),
        ("fault: position: stale, 2 µs", lines[1].ERROR),
    ]


def test_only_images_that_are_few_and_small_are_kept(contract):
    large = replace(CAMERA, shape=(480, 640, 3))
    assert images_fit(contract)
    assert images_fit(replace(contract, signals=(*contract.signals, replace(CAMERA, shape=(96, 96, 3)))))
    assert not images_fit(replace(contract, signals=(*contract.signals, large)))
