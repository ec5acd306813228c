"""MCAP files: what is written is what others read, and what was cut short is read as far as it goes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from isthmus_deploy.flight.mcap import Channel, McapWriter
from isthmus_deploy.flight.mcap_reader import McapError, McapReader

NUMBER = Channel(topic="/number", kind="own/msg/Number", definition="int32 value\n", metadata={"unit": "m"})
TEXT = Channel(topic="/text", kind="std_msgs/msg/String", definition="string data\n")
METADATA = {"isthmus": {"robot": "two_joints", "contract": "{}"}}


def number(value: int) -> bytes:
    return b"\x00\x01\x00\x00" + struct.pack("<i", value)


def text(value: str) -> bytes:
    encoded = value.encode() + b"\0"
    return b"\x00\x01\x00\x00" + struct.pack("<I", len(encoded)) + encoded


CHUNKS = [
    [(100, 0, number(1)), (100, 1, text("one")), (200, 0, number(2))],
    [(300, 0, number(3))],
    [(400, 0, number(4)), (500, 1, text("five"))],
]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """A finished file of `CHUNKS`."""
    path = tmp_path / "bag.mcap"
    with path.open("wb") as file:
        writer = McapWriter(file, METADATA, [NUMBER, TEXT])
        for chunk in CHUNKS:
            writer.write(chunk)
        size = writer.size
        writer.finish()
    assert path.stat().st_size == size
    return path


def test_it_is_what_the_specification_says(tmp_path: Path):
    path = tmp_path / "bag.mcap"
    with path.open("wb") as file:
        McapWriter(file, {}, []).finish()
    magic = b"\x89MCAP0\r\n"
    header = b"\x01" + struct.pack("<Q", 19) + b"\x04\0\0\0ros2" + b"\x07\0\0\0isthmus"
    data_end = b"\x0f" + struct.pack("<QI", 4, 0)
    statistics = b"\x0b" + struct.pack("<Q", 46) + bytes(46)
    footer = b"\x02" + struct.pack("<QQQI", 20, 8 + len(header) + 13, 0, 0)
    assert path.read_bytes() == magic + header + data_end + statistics + footer + magic


def test_rosbags_reads_it(bag: Path):
    with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        read = [(time, reader.deserialize(data, c.msgtype)) for c, time, data in reader.messages()]
        assert {c.topic: c.msgcount for c in reader.connections} == {"/number": 4, "/text": 2}
    assert [(time, getattr(m, "value", None) or getattr(m, "data", None)) for time, m in read] == [
        (100, 1), (100, "one"), (200, 2), (300, 3), (400, 4), (500, "five"),
    ]  # fmt: skip


def test_it_is_read_back(bag: Path):
    read = McapReader(bag)
    assert read.finished
    assert read.metadata == METADATA
    assert read.messages == {"/number": [number(i) for i in (1, 2, 3, 4)], "/text": [text("one"), text("five")]}


def test_cut_anywhere_it_holds_what_was_whole(bag: Path, tmp_path: Path):
    data, whole = bag.read_bytes(), McapReader(bag).messages["/number"]
    counts = []
    for size in range(8, len(data), 3):
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(data[:size])
        read = McapReader(cut)
        assert not read.finished
        found = read.messages.get("/number", [])
        assert found == whole[: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == 4


@pytest.mark.parametrize("zeros", [5, 40])
def test_zeros_that_a_power_cut_leaves_are_no_messages(bag: Path, zeros: int):
    data = bag.read_bytes()
    end = data.index(text("five")) + len(text("five"))  # of the last chunk
    bag.write_bytes(data[: end - zeros] + bytes(zeros + 4096))
    assert McapReader(bag).messages["/number"] == [number(i) for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: b"no" + data[2:], "is no MCAP file"),
        (lambda data: data.replace(b"one\0", b"two\0"), "checksum"),
    ],
)
def test_what_it_cannot_read_it_says(bag: Path, change, problem: str):
    bag.write_bytes(change(bag.read_bytes()))
    with pytest.raises(McapError, match=problem):
        McapReader(bag)


def test_a_compressed_one_is_refused_with_the_way_out(tmp_path: Path):
    path = tmp_path / "bag.mcap"
    content = struct.pack("<QQQI", 0, 0, 8, 0) + b"\x04\0\0\0zstd" + struct.pack("<Q", 8) + bytes(8)
    path.write_bytes(b"\x89MCAP0\r\n" + b"\x06" + struct.pack("<Q", len(content)) + content)
    with pytest.raises(McapError, match=r"compressed by zstd.*mcap compress --compression none"):
        McapReader(path)
