"""MCAP files without an end or an index, copied as far as they are whole: into a form that is read record by record.

A recorder that is killed writes neither; an index is left out on purpose too. The MCAP specification (version 0): a
file begins and ends with `MAGIC`; between are records, each an opcode (1 byte), a length (8 bytes) and its content. A
chunk is a record with others in it, one after the other, compressed together.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lz4.frame import LZ4FrameDecompressor

from isthmus_datasets.format.info import DatasetError

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, CHUNK, _CHUNK_INDEX, _DATA_END = 0x01, 0x02, 0x06, 0x08, 0x0F
_PREFIX = struct.Struct("<BQ")
_CHUNK_START = struct.Struct("<QQQI")  # first and last time, size when decompressed, its checksum
_FOOTER_SIZE = _PREFIX.size + 20 + len(MAGIC)
_NO_INDEX = _PREFIX.pack(_DATA_END, 4) + bytes(4) + _PREFIX.pack(_FOOTER, 20) + bytes(20) + MAGIC
"""The end of a file that has no index."""
_BLOCK = 2**20  # bytes copied at a time
_LARGEST_CHUNK = 2**28  # bytes; recorders make them of some 1 to 10 MB


class Record(NamedTuple):
    """Where a record is in its file."""

    opcode: int
    begin: int
    """Where its content begins."""
    end: int


def defect(path: Path) -> str | None:
    """Why a file must be salvaged before it is read, in words; None where it need not be. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _FOOTER_SIZE))
        footer = file.read()
        if size < len(MAGIC) + _FOOTER_SIZE or footer[0] != _FOOTER or not footer.endswith(MAGIC):
            return "was cut short"
        (summary,) = struct.unpack_from("<Q", footer, _PREFIX.size)
        if summary and any(_lacks_places(file, record) for record in records(file, summary, size)):
            return "has no index of its messages"
    return None


def _lacks_places(file: BinaryIO, record: Record) -> bool:
    """Whether it is a chunk's entry in the index that does not say where the chunk's messages are."""
    if record.opcode != _CHUNK_INDEX:
        return False
    file.seek(record.begin + 32)  # after two times, the chunk's place and its length
    return file.read(4) == bytes(4)


def salvage(path: Path, target: Path) -> None:
    """Copy all whole records of the data, and those in a chunk that was cut, into a file without an index.

    Raises:
        DatasetError: there is no MCAP file at `path`, or it ends before the first message could have come.
        OSError: `target` cannot be written, such as on a full disk.
    """
    with path.open("rb") as file, target.open("wb") as copy:
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise DatasetError(f"{path} is no MCAP file: it does not begin like one")
        found = list(takewhile(_is_data, records(file, len(MAGIC), size)))
        if not found or found[0].opcode != _HEADER:
            raise DatasetError(f"{path} ends before any message: its recorder died at once; delete it")
        whole = found[-1].end
        file.seek(0)
        while file.tell() < whole:
            copy.write(file.read(min(_BLOCK, whole - file.tell())))
        copy.write(_whole_in_chunk(file.read(_LARGEST_CHUNK)))
        copy.write(_NO_INDEX)


def records(file: BinaryIO, begin: int, end: int) -> Iterator[Record]:
    """Whole records, as far as there are any."""
    while begin + _PREFIX.size <= end:
        file.seek(begin)
        opcode, length = _PREFIX.unpack(file.read(_PREFIX.size))
        record = Record(opcode, begin + _PREFIX.size, begin + _PREFIX.size + length)
        if record.end > end or not opcode:  # 0 is no record: zeros are what a crash leaves in a file's last blocks
            return
        yield record
        begin = record.end


def _is_data(record: Record) -> bool:
    return record.opcode not in (_DATA_END, _FOOTER)


def _whole_in_chunk(cut: bytes) -> bytes:
    """The whole records in a chunk that was cut, given with its prefix; nothing where it is none."""
    begin = _PREFIX.size + _CHUNK_START.size
    if len(cut) < begin + 4 or cut[0] != CHUNK:
        return b""
    (length,) = struct.unpack_from("<I", cut, begin)
    compression, data = cut[begin + 4 : begin + 4 + length], cut[begin + 4 + length + 8 :]
    content = _decompressed(compression, data)
    *_, last = (0, *(record.end for record in records(BytesIO(content), 0, len(content))))
    return content[:last]


def _decompressed(compression: bytes, data: bytes) -> bytes:
    """As much as can be."""
    try:
        if compression == b"zstd":
            return ZstdDecompressor().decompress(data)
        return LZ4FrameDecompressor().decompress(data) if compression == b"lz4" else data
    except (ZstdError, RuntimeError, EOFError):
        return b""
