"""The files of a ROS 2 bag, opened, with what is wrong with them worked round and reported."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import Stores, get_typestore

from isthmus_datasets.convert.importers.bags import mcap_salvage
from isthmus_datasets.format.info import DatasetError

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

STORAGES = (".mcap", ".db3")
SERVICE = "/srv/"
"""In the type of a topic that tells of a service's calls."""
_DAMAGED = (
    *(AnyReaderError, ReaderError, apsw.Error, ZstdError, OSError),
    *(ValueError, OverflowError, LookupError, RuntimeError, MemoryError, AssertionError, TypeError, struct.error),
)
"""What rosbags and the libraries under it raise on bytes that are not what they were."""


def is_bag(path: Path) -> bool:
    """Whether `path` is a bag's folder, or a file of one."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or any(child.suffix in STORAGES for child in path.iterdir())
    return path.suffix in STORAGES and path.is_file()


class _Reader(Reader):
    """rosbags' reader of one path, where recorded calls of services keep no bag from being read.

    Recorders define their messages by the .srv file, which is no message's definition: they are undefined.
    """

    @property
    def connections(self) -> list[Connection]:
        undefined = MessageDefinition(MessageDefinitionFormat.NONE, "")
        return [c._replace(msgdef=undefined) if SERVICE in c.msgtype else c for c in super().connections]


@contextmanager
def open_files(path: Path) -> Iterator[tuple[AnyReader, list[str]]]:
    """rosbags' reader of a bag, whole or not, and what was wrong with its files.

    MCAP files that were cut short or have no index are copied for it. Raises DatasetError where it cannot be read.
    """
    with ExitStack() as stack:
        with reading(path):
            files, defects = _readable(path, stack)
            reader = AnyReader(files, default_typestore=get_typestore(Stores.ROS2_JAZZY))
            reader.readers = [_Reader(file) for file in files]
            stack.enter_context(reader)
        yield reader, defects


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """For what reads files of others."""
    try:
        yield
    except DatasetError:
        raise
    except _DAMAGED as error:
        raise DatasetError(f"{path} cannot be read ({error!r}): copy it again") from error


def _readable(path: Path, stack: ExitStack) -> tuple[list[Path], list[str]]:
    """What rosbags is to open, and what is wrong with the bag's files. Copies last as long as `stack`."""
    files = _files(path)
    found = {file: mcap_salvage.defect(file) for file in files if file.suffix == ".mcap"}
    defects = {file: why for file, why in found.items() if why}
    if not defects and (not path.is_dir() or (path / "metadata.yaml").is_file()):
        return [path], []
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="isthmus-import-"))) if defects else path
    for file in defects:
        mcap_salvage.salvage(file, folder / file.name)
    return (
        [folder / file.name if file in defects else file for file in files],
        [why if file == path else f"{file.name} {why}" for file, why in defects.items()],
    )


def _files(path: Path) -> list[Path]:
    """A bag's files in the order of their numbers: recorders split long ones."""
    if not path.is_dir():
        return [path]
    files = [child for child in path.iterdir() if child.suffix in STORAGES]
    return sorted(files, key=lambda file: ([int(number) for number in re.findall(r"\d+", file.stem)], file.name))
