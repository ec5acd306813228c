"""ROS 2 bags (.mcap, .db3): what was said on some topics, read whole, with defects reported."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader

from isthmus_datasets.convert.importers.bags.bag_files import open_files, reading
from isthmus_datasets.convert.importers.bags.capture_times import Nanoseconds, Stamps, capture_times, clock_findings
from isthmus_datasets.convert.importers.bags.mcap_channels import channel_metadata
from isthmus_datasets.convert.importers.bags.topic_readings import ImageReadings, JointReadings, Readings, Values
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.images.pixels import Pixels
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.recording.ros2.messages import camera_array, stamp_ns

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
JOINT_STATE = "sensor_msgs/msg/JointState"


@dataclass(frozen=True, kw_only=True)
class Track:
    """What one feature had from a bag: n readings.

    Args:
        topic: Where they came from.
        times: (n,) ns: when they were taken.
        received: (n,) ns: when the bag received them.
        stamped: Whether `times` are what their headers say, and not `received`.
        values: What they were; None for images, which `Bag.images` reads.
        names: Names of the elements; None where they have none.
        shape: Shape of one reading.
        joints: Whether the elements are joints.
    """

    topic: str
    times: Nanoseconds
    received: Nanoseconds
    stamped: bool
    values: Values | None
    names: tuple[str, ...] | None
    shape: tuple[int, ...]
    joints: bool = False


class Bag:
    """One recording, open.

    Args:
        path: Its folder or file.
        reader: rosbags' reader of it.
        defects: What was wrong with its files, and worked round.
        said: What its files say of topics beside their types.
    """

    def __init__(
        self, path: Path, reader: AnyReader, defects: list[str], said: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.path, self._reader, self._defects, self._said = path, reader, defects, said
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

    def tracks(self, options: ImportOptions, fps: int, findings: list[str]) -> dict[str, Track]:
        """The readings of every feature that is asked for; `fps` is the grid's, beside which clocks are compared.

        Raises:
            DatasetError: a topic is not there, has no messages or ones that cannot be read, lacks the field, or has no
                stamps where these are wanted.
        """
        places = {feature: _parse(text) for feature, text in options.topics.items()}
        for topic, _ in places.values():
            self.check_topic(topic)
        readings = {name: self._readings(topic, path, options.joints) for name, (topic, path) in places.items()}
        times = {topic: array("q") for topic, _ in places.values()}
        for topic, received, message in self.messages(set(times)):
            for name in [name for name, (of, _) in places.items() if of == topic]:
                with self.locating(topic, len(times[topic]) // 2):
                    readings[name].add(message)
            times[topic].extend((received, stamp_ns(message)))
        clocks = {topic: np.array(both, np.int64).reshape(-1, 2) for topic, both in times.items()}
        tracks = {
            name: _track(topic, readings[name], clocks[topic], options.stamps, findings)
            for name, (topic, _) in places.items()
        }
        findings += clock_findings({topic: (both[:, 0], both[:, 1]) for topic, both in clocks.items()}, fps)
        return tracks

    def _readings(
        self, topic: str, path: tuple[str, ...], joints: tuple[str, ...]
    ) -> Readings | JointReadings | ImageReadings:
        kind = self.types[topic]
        if kind in IMAGE_TYPES:
            return ImageReadings()
        return JointReadings(path, joints) if kind == JOINT_STATE else Readings(path, self._said.get(topic, {}))

    def messages(
        self, topics: set[str], begin: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Topic, receive time in ns and message, or its bytes where nobody defines it.

        Args:
            topics: Those to read.
            begin: Only what was received from this time on, ns.
            stop: Only what was received before this time, ns.

        Raises:
            DatasetError: fewer can be read than the bag says.
        """
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        seen: Counter[str] = Counter()
        stream = self._reader.messages(connections, begin, stop)
        while True:
            with reading(self.path):
                item = next(stream, None)
                message = item and self._message(item[2], item[0].msgtype)
            if item is None:
                break
            seen[item[0].topic] += 1
            yield item[0].topic, item[1], message
        for topic in topics if begin is None and stop is None else ():
            if seen[topic] < self._counts[topic]:
                raise DatasetError(
                    f"{self.path}: only {seen[topic]} of {self._counts[topic]} messages on {topic} can be read: the"
                    " file is damaged: copy it again"
                )

    def _message(self, data: bytes, kind: str) -> Any:
        return self._reader.deserialize(data, kind) if self._is_known(kind) else bytes(data)

    def images(self, track: Track, rows: NDArray[np.int64]) -> Iterator[Pixels]:
        """The images that `rows` (T,), never falling, number: what was received before or after them is not read;
        depths are in mm."""
        begin, stop = int(track.received[rows[0]]), int(track.received[rows[-1]]) + 1
        repeats = np.bincount(rows, minlength=len(track.received))
        first = int(np.searchsorted(track.received, begin))
        for number, (topic, _, message) in enumerate(self.messages({track.topic}, begin, stop), first):
            if repeats[number]:
                with self.locating(topic, number):
                    frame = camera_array(message)
                yield from [frame] * int(repeats[number])

    @contextmanager
    def locating(self, topic: str, number: int) -> Iterator[None]:
        """Turn a ValueError about a message into a DatasetError that says which one it is."""
        try:
            yield
        except ValueError as error:
            raise DatasetError(f"{self.path}: message {number} on {topic} {error}") from error

    def check_messages(self, topic: str) -> None:
        """Raise DatasetError with the topics that have messages, where this one has none."""
        if not self._counts[topic]:
            raise DatasetError(f"{self.path} has no messages on {topic}; topics that have some:{self.topics()}")

    def check_topic(self, topic: str) -> None:
        """Raise DatasetError where a topic has no messages, or none that can be read."""
        self.check_messages(topic)
        if not self._is_known(self.types[topic]):
            raise DatasetError(
                f"{self.path}: {topic} is of {self.types[topic]}, which neither the bag nor ROS 2 Jazzy defines:"
                " convert it to mcap by `ros2 bag convert` where that package is installed: mcap carries definitions"
            )


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a bag, whole or not. Raises DatasetError where it cannot be read."""
    with open_files(path) as (reader, defects):
        with reading(path):
            said = channel_metadata(path)
        yield Bag(path, reader, defects, said)


def _parse(text: str) -> tuple[str, tuple[str, ...]]:
    """TOPIC or TOPIC:FIELD.FIELD"""
    topic, _, fields = text.partition(":")
    return topic, tuple(fields.split(".")) if fields else ()


def _track(
    topic: str,
    readings: Readings | JointReadings | ImageReadings,
    times: NDArray[np.int64],
    wanted: Stamps,
    findings: list[str],
) -> Track:
    received, stamps = times.T
    taken, finding = capture_times(received, stamps, topic, wanted)
    findings += [finding] if finding else []
    stamped = taken is stamps
    if isinstance(readings, ImageReadings):
        shape = readings.shape or ()
        return Track(topic=topic, times=taken, received=received, stamped=stamped, values=None, names=None, shape=shape)
    try:
        findings += [f"{topic}: {text}" for text in readings.findings()]
        values, names, late = readings.table()
    except ValueError as error:
        raise DatasetError(f"{topic} {error}") from error
    return Track(
        topic=topic,
        times=taken[late:],
        received=received[late:],
        stamped=stamped,
        values=values,
        names=names,
        shape=values.elements.shape,
        joints=isinstance(readings, JointReadings),
    )
