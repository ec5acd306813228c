"""MCAP files read from the start, as far as they are whole: one whose writer was killed has no summary."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from isthmus_deploy.flight.mcap import (
    CHANNEL,
    CHUNK,
    CHUNK_START,
    DATA_END,
    FOOTER,
    MAGIC,
    MESSAGE,
    MESSAGE_START,
    METADATA,
    PREFIX,
)


class McapError(ValueError):
    """A file is not one that can be read here; the message gives the path, and what to do."""


class McapReader:
    """All of a file.

    Args:
        path: The file.

    Raises:
        McapError: it cannot be read, is not MCAP, or is damaged or compressed.
    """

    def __init__(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise McapError(f"{path}: cannot be read: {error.strerror}") from error
        if not data.startswith(MAGIC):
            raise McapError(f"{path}: is no MCAP file")
        self.finished = data.endswith(MAGIC) and len(data) > len(MAGIC)
        """Whether its writer came to the end."""
        self.metadata: dict[str, dict[str, str]] = {}
        self.messages: dict[str, list[bytes]] = {}
        """Contents by topic, in the file's order."""
        try:
            self._read(_flat(path, memoryview(data), self.finished))
        except (struct.error, UnicodeDecodeError, KeyError) as error:  # channels and metadata have no checksum
            raise McapError(f"{path}: is damaged, copy it again: {error}") from error

    def _read(self, records: Iterable[tuple[int, memoryview]]) -> None:
        topics: dict[int, str] = {}
        for opcode, content in records:
            if opcode == CHANNEL:
                number = struct.unpack_from("<H", content)[0]
                topics[number] = _text(content, 4)[0]
            elif opcode == METADATA:
                name, position = _text(content, 0)
                self.metadata[name] = _texts(content, position)
            elif opcode == MESSAGE:
                topic = topics[MESSAGE_START.unpack_from(content)[0]]
                self.messages.setdefault(topic, []).append(bytes(content[MESSAGE_START.size :]))


def _flat(path: Path, data: memoryview, finished: bool) -> Iterator[tuple[int, memoryview]]:
    """Opcode and content of the records of the data section, those in chunks too."""
    for opcode, content, whole in _records(data[len(MAGIC) :]):
        if opcode in (DATA_END, FOOTER):
            return
        if opcode == CHUNK:
            records, right = _chunk(path, content)
            if whole and not right and finished:
                raise McapError(f"{path}: a chunk does not have its checksum: the file is damaged, copy it again")
            if whole and not right:
                return  # its end was not on the disk yet
            yield from ((inner, inner_content) for inner, inner_content, all_there in _records(records) if all_there)
        elif whole:
            yield opcode, content


def _records(data: memoryview) -> Iterator[tuple[int, memoryview, bool]]:
    """Opcode and content, and whether all of it is there: the last one may have been cut."""
    position = 0
    while position + PREFIX.size <= len(data):
        opcode, length = PREFIX.unpack_from(data, position)
        if opcode == 0:  # is no record: zeros are what a crash leaves in a file's last blocks
            return
        position += PREFIX.size
        content = data[position : position + length]
        yield opcode, content, len(content) == length
        position += length


def _chunk(path: Path, content: memoryview) -> tuple[memoryview, bool]:
    """The records in a chunk, and whether they have their checksum."""
    if len(content) < CHUNK_START.size + 4:
        return memoryview(b""), False
    checksum = CHUNK_START.unpack_from(content)[3]
    compression, position = _text(content, CHUNK_START.size)
    if compression:
        again = "`mcap compress --compression none` writes it without"
        raise McapError(f"{path}: is compressed by {compression}, which cannot be read here; {again}")
    records = content[position + 8 :]
    return records, checksum in (0, zlib.crc32(records))  # 0: none was computed


def _text(data: memoryview, position: int) -> tuple[str, int]:
    """The text at `position`, and the position after it; empty where it was cut."""
    end = position + 4
    length = struct.unpack_from("<I", data, position)[0]
    return bytes(data[end : end + length]).decode(), end + length


def _texts(data: memoryview, position: int) -> dict[str, str]:
    values, position = {}, position + 4
    while position < len(data):
        key, position = _text(data, position)
        values[key], position = _text(data, position)
    return values
