"""MCAP files (mcap.dev/spec, version 0), written in chunks that are on the disk when `write` returns; no compression.

A file is `MAGIC`, then records (opcode, length, content), then `MAGIC`. Messages stand in chunks, each followed by an
index of every channel's messages in it. The summary at the end says where everything is; a file without it, as one
whose writer was killed, is read from the start.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK = range(0x01, 0x07)
MESSAGE_INDEX, CHUNK_INDEX = 0x07, 0x08
STATISTICS, METADATA, METADATA_INDEX = 0x0B, 0x0C, 0x0D
DATA_END = 0x0F
PREFIX = struct.Struct("<BQ")
CHUNK_START = struct.Struct("<QQQI")  # first and last time, size when decompressed, its checksum
MESSAGE_START = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time

Message = tuple[int, int, bytes]
"""Log time in ns, number of the channel, content."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A topic whose messages are CDR of a message type of ROS 2."""

    topic: str
    kind: str
    """Name of the type, such as "std_msgs/msg/Header"."""
    definition: str
    """Its .msg file, followed by those of the types in it."""
    metadata: Mapping[str, str] = field(default_factory=dict)


class McapWriter:
    """Writes one file of profile ros2.

    Args:
        file: Empty, at its beginning.
        metadata: Record by name, at the begin of the file.
        channels: Numbered from 0.
    """

    def __init__(self, file: BinaryIO, metadata: Mapping[str, Mapping[str, str]], channels: Sequence[Channel]) -> None:
        self._file = file
        self._described = b"".join(_description(number, channel) for number, channel in enumerate(channels))
        self._indexes = bytearray()
        self._counts = [0] * len(channels)
        self._chunks, self._metadata = 0, len(metadata)
        self._first_ns, self._last_ns = 0, 0
        start = bytearray(MAGIC + _record(HEADER, _text("ros2") + _text("isthmus")))
        for name, values in metadata.items():
            record = _record(METADATA, _text(name) + _texts(values))
            self._indexes += _record(METADATA_INDEX, struct.pack("<QQ", len(start), len(record)) + _text(name))
            start += record
        self._size = 0
        self._append(bytes(start) + self._described)

    @property
    def size(self) -> int:
        """How long the file would be, in bytes, if it were finished now."""
        return self._size + len(self._end())

    def write(self, messages: Sequence[Message]) -> None:
        """Append a chunk of at least one message, in the order of time. Raises OSError where it cannot be written."""
        records, places = bytearray(), [bytearray() for _ in self._counts]
        for time_ns, number, content in messages:
            places[number] += struct.pack("<QQ", time_ns, len(records))
            records += PREFIX.pack(MESSAGE, MESSAGE_START.size + len(content))
            records += MESSAGE_START.pack(number, self._counts[number] & 0xFFFFFFFF, time_ns, time_ns)
            records += content
            self._counts[number] += 1
        first_ns, last_ns = messages[0][0], messages[-1][0]
        start = CHUNK_START.pack(first_ns, last_ns, len(records), zlib.crc32(records))
        chunk = _record(CHUNK, start + _text("") + struct.pack("<Q", len(records)) + records)
        self._first_ns = first_ns if self._chunks == 0 else self._first_ns
        self._last_ns = last_ns
        self._chunks += 1
        indexes, offsets = bytearray(), bytearray()
        for number, entries in enumerate(places):
            if entries:
                offsets += struct.pack("<HQ", number, self._size + len(chunk) + len(indexes))
                indexes += _record(MESSAGE_INDEX, struct.pack("<H", number) + _sized(entries))
        about = struct.pack("<QQQQ", first_ns, last_ns, self._size, len(chunk)) + _sized(offsets)
        about += struct.pack("<Q", len(indexes)) + _text("") + struct.pack("<QQ", len(records), len(records))
        self._append(chunk + indexes)
        self._indexes += _record(CHUNK_INDEX, about)

    def finish(self) -> None:
        """Write the summary. Raises OSError where it cannot be written."""
        self._append(self._end())

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        while left:  # of what no longer fits on a disk the system takes a part, and refuses the rest
            left = left[self._file.write(left) :]
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._size += len(data)

    def _end(self) -> bytes:
        data_end = _record(DATA_END, bytes(4))
        summary = self._described + self._statistics() + self._indexes
        footer = struct.pack("<QQI", self._size + len(data_end), 0, 0)
        return data_end + summary + _record(FOOTER, footer) + MAGIC

    def _statistics(self) -> bytes:
        channels = len(self._counts)
        numbers = (sum(self._counts), channels, channels, 0, self._metadata, self._chunks)
        counts = b"".join(struct.pack("<HQ", number, count) for number, count in enumerate(self._counts))
        times = (self._first_ns, self._last_ns)
        return _record(STATISTICS, struct.pack("<QHIIIIQQ", *numbers, *times) + _sized(counts))


def _description(number: int, channel: Channel) -> bytes:
    """A channel's schema, whose number is one more than the channel's since 0 is none, and the channel."""
    schema = struct.pack("<H", number + 1) + _text(channel.kind) + _text("ros2msg") + _text(channel.definition)
    topic = struct.pack("<HH", number, number + 1) + _text(channel.topic) + _text("cdr") + _texts(channel.metadata)
    return _record(SCHEMA, schema) + _record(CHANNEL, topic)


def _record(opcode: int, content: bytes | bytearray) -> bytes:
    return PREFIX.pack(opcode, len(content)) + content


def _sized(data: Iterable[int]) -> bytes:
    data = bytes(data)
    return struct.pack("<I", len(data)) + data


def _text(text: str) -> bytes:
    return _sized(text.encode())


def _texts(values: Mapping[str, str]) -> bytes:
    return _sized(b"".join(_text(key) + _text(value) for key, value in values.items()))
