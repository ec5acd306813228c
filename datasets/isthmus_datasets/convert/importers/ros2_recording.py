"""ROS 2 bags (.mcap, .db3): what was said on some topics, read whole, with defects worked round and reported."""

from __future__ import annotations

import re
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.typesys import Stores, get_typestore

from isthmus_datasets.convert.importers import mcap_salvage
from isthmus_datasets.convert.importers.ros2_readings import ImageReadings, JointReadings, Readings
from isthmus_datasets.convert.importers.ros2_time import Nanoseconds, Stamps, capture_times
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.pixels import Pixels
from isthmus_datasets.recording.ros2.messages import camera_array, stamp_ns

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

STORAGES = (".mcap", ".db3")
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
JOINT_STATE = "sensor_msgs/msg/JointState"
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


@dataclass(frozen=True, kw_only=True)
class Track:
    """What one feature had from a bag: n readings.

    Args:
        topic: Where they came from.
        times: (n,) ns: when they were taken.
        values: (n, size), or None for images, which `Bag.images` reads.
        names: Names of the elements; None where they have none.
        shape: Shape of one reading.
        joints: Whether the elements are joints.
    """

    topic: str
    times: Nanoseconds
    values: NDArray[Any] | None
    names: tuple[str, ...] | None
    shape: tuple[int, ...]
    joints: bool = False


class Bag:
    """One recording, open.

    Args:
        path: Its folder or file.
        reader: rosbags' reader of it.
        defects: What was wrong with its files, and worked round.
    """

    def __init__(self, path: Path, reader: AnyReader, defects: list[str]) -> None:
        self.path, self._reader, self._defects = path, reader, defects
        self.types = {connection.topic: connection.msgtype for connection in reader.connections}
        self._counts: Counter[str] = Counter()
        for connection in reader.connections:
            self._counts[connection.topic] += connection.msgcount

    def topics(self) -> str:
        """All that have messages, with type and count, for a person."""
        lines = [f"{topic} ({self.types[topic]}, {n} messages)" for topic, n in sorted(self._counts.items()) if n]
        return "\n  ".join(["", *lines]) if lines else " none"

    def findings(self) -> list[str]:
        """Files that are not whole, and topics whose messages nobody can read."""
        total = sum(self._counts.values())
        found = [f"{text}: {total} messages can be read" for text in self._defects]
        unknown = [f"{topic} ({kind})" for topic, kind in sorted(self.types.items()) if not self._is_known(kind)]
        if not unknown:
            return found
        return [
            *found,
            f"neither the bag nor ROS 2 Jazzy defines the messages of {', '.join(unknown)}: they cannot be read",
        ]

    def _is_known(self, kind: str) -> bool:
        return kind in self._reader.typestore.fielddefs

    def tracks(self, options: ImportOptions, findings: list[str]) -> dict[str, Track]:
        """The readings of every feature that is asked for.

        Raises:
            DatasetError: a topic is not there, has no messages or ones that cannot be read, lacks the field, or has no
                stamps where these are wanted.
        """
        places = {feature: _parse(text) for feature, text in options.topics.items()}
        for topic, _ in places.values():
            self._check_topic(topic)
        readings = {name: _readings(self.types[topic], path, options.joints) for name, (topic, path) in places.items()}
        times: dict[str, list[tuple[int, int]]] = {topic: [] for topic, _ in places.values()}
        for topic, received, message in self.messages(set(times)):
            for name in [name for name, (of, _) in places.items() if of == topic]:
                with self._locating(topic, len(times[topic])):
                    readings[name].add(message)
            times[topic].append((received, stamp_ns(message)))
        return {
            name: _track(topic, readings[name], np.array(times[topic], np.int64), options.stamps, findings)
            for name, (topic, _) in places.items()
        }

    def messages(self, topics: set[str]) -> Iterator[tuple[str, int, Any]]:
        """Topic, receive time in ns and message. Raises DatasetError when fewer can be read than the bag says."""
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        seen: Counter[str] = Counter()
        stream = self._reader.messages(connections)
        while True:
            with _reading(self.path):
                item = next(stream, None)
                message = item and self._reader.deserialize(item[2], item[0].msgtype)
            if item is None:
                break
            seen[item[0].topic] += 1
            yield item[0].topic, item[1], message
        for topic in topics:
            if seen[topic] < self._counts[topic]:
                raise DatasetError(
                    f"{self.path}: only {seen[topic]} of {self._counts[topic]} messages on {topic} can be read: the"
                    " file is damaged: copy it again"
                )

    def images(self, topic: str, repeats: NDArray[np.int64]) -> Iterator[Pixels]:
        """Image k of a topic `repeats[k]` times, one after the other; depths in mm."""
        for number, (_, _, message) in enumerate(self.messages({topic})):
            if repeats[number]:
                with self._locating(topic, number):
                    frame = camera_array(message)
                yield from [frame] * int(repeats[number])

    @contextmanager
    def _locating(self, topic: str, number: int) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise DatasetError(f"{self.path}: message {number} on {topic} {error}") from error

    def _check_topic(self, topic: str) -> None:
        if not self._counts[topic]:
            raise DatasetError(f"{self.path} has no messages on {topic}; topics that have some:{self.topics()}")
        if not self._is_known(self.types[topic]):
            raise DatasetError(
                f"{self.path}: {topic} is of {self.types[topic]}, which neither the bag nor ROS 2 Jazzy defines:"
                " convert it to mcap by `ros2 bag convert` where that package is installed: mcap carries definitions"
            )


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a bag, whole or not: MCAP files that were cut short or have no index are copied for it. Raises DatasetError
    where it cannot be read."""
    with ExitStack() as stack:
        with _reading(path):
            files, defects = _readable(path, stack)
            reader = AnyReader(files, default_typestore=get_typestore(Stores.ROS2_JAZZY))
            stack.enter_context(reader)
        yield Bag(path, reader, defects)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
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


def _parse(text: str) -> tuple[str, tuple[str, ...]]:
    """TOPIC or TOPIC:FIELD.FIELD"""
    topic, _, fields = text.partition(":")
    return topic, tuple(fields.split(".")) if fields else ()


def _readings(kind: str, path: tuple[str, ...], joints: tuple[str, ...]) -> Readings | JointReadings | ImageReadings:
    if kind in IMAGE_TYPES:
        return ImageReadings()
    return JointReadings(path, joints) if kind == JOINT_STATE else Readings(path)


def _track(
    topic: str,
    readings: Readings | JointReadings | ImageReadings,
    times: NDArray[np.int64],
    stamps: Stamps,
    findings: list[str],
) -> Track:
    taken, finding = capture_times(times[:, 0], times[:, 1], topic, stamps)
    findings += [finding] if finding else []
    if isinstance(readings, ImageReadings):
        return Track(topic=topic, times=taken, values=None, names=None, shape=readings.shape or ())
    try:
        findings += [f"{topic}: {text}" for text in readings.findings()]
        values, names, late = readings.table()
    except ValueError as error:
        raise DatasetError(f"{topic} {error}") from error
    return Track(
        topic=topic,
        times=taken[late:],
        values=values,
        names=names,
        shape=values.shape[1:],
        joints=isinstance(readings, JointReadings),
    )
