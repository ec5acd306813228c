"""What an MCAP file says of its topics beside their types, which `rosbags` does not tell."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from isthmus_datasets.convert.importers.bags.mcap_salvage import CHUNK, MAGIC, records

_CHANNEL = 0x04


def channel_metadata(bag: Path) -> dict[str, dict[str, str]]:
    """Topic -> what its channel says, of the channels before the first messages of a bag's first MCAP file; nothing
    where it has none. Raises OSError."""
    first = min(bag.glob("*.mcap"), default=None) if bag.is_dir() else bag
    return _of_file(first) if first is not None and first.suffix == ".mcap" else {}


def _of_file(path: Path) -> dict[str, dict[str, str]]:
    said = {}
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for record in records(file, len(MAGIC), size):
            if record.opcode == CHUNK:
                break
            if record.opcode == _CHANNEL:
                file.seek(record.begin)
                topic, metadata = _channel(file.read(record.end - record.begin))
                said[topic] = metadata
    return said


def _channel(content: bytes) -> tuple[str, dict[str, str]]:
    """Numbers of the channel and its schema (2 bytes each), topic, encoding, and a map with its size in bytes."""
    topic, encoding = (text for text, _ in zip(_texts(content[4:]), range(2), strict=False))
    pairs = list(_texts(content[4 + 8 + len(topic.encode()) + len(encoding.encode()) + 4 :]))
    return topic, dict(zip(pairs[::2], pairs[1::2], strict=True))


def _texts(data: bytes) -> Iterator[str]:
    """One after the other, each after its size."""
    while data:
        (size,) = struct.unpack_from("<I", data)
        yield data[4 : 4 + size].decode()
        data = data[4 + size :]
