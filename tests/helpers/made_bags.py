"""ROS 2 bags for tests: messages, topics and the files that hold them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from isthmus_datasets.convert.importers.source import ImportOptions

STORE = get_typestore(Stores.ROS2_JAZZY)
STORE.register(get_types_from_msg("uint64 timestamp\nfloat32[3] control\n", "px4_msgs/msg/Motors"))
JOINTS = "sensor_msgs/msg/JointState"
MS, SECOND = 10**6, 10**9
START = 1_700_000_000 * SECOND

Said = tuple[str, str, list[tuple[int, Any]]]
"""A topic, its type, and its messages with the time at which the bag received them, in ms after START."""


def make(kind: str, **values: Any) -> Any:
    return STORE.types[kind](**values)


def header(ms: float | None) -> Any:
    """Stamped `ms` after START, or zero."""
    seconds, nanoseconds = (0, 0) if ms is None else divmod(START + round(ms * MS), SECOND)
    stamp = make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id="")


def joints(ms: float | None, names: list[str], position: list[float], velocity: list[float] | None = None) -> Any:
    return make(
        JOINTS,
        header=header(ms),
        name=names,
        position=np.array(position, float),
        velocity=np.array(velocity or [], float),
        effort=np.zeros(0),
    )


def image(ms: float, pixels: np.ndarray, encoding: str = "bgr8") -> Any:
    height, width, channels = pixels.shape
    data, step = pixels.reshape(-1), width * channels
    where = {"height": height, "width": width, "step": step, "is_bigendian": 0}
    return make("sensor_msgs/msg/Image", header=header(ms), encoding=encoding, data=data, **where)


def write_bag(path: Path, *said: Said, plugin: Literal["mcap", "sqlite3"] = "mcap", compressed: bool = False) -> Path:
    written = Writer(path, version=9, storage_plugin=StoragePlugin[plugin.upper()])
    if compressed:
        written.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with written as writer:
        for topic, kind, messages in said:
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for ms, message in messages:
                writer.write(connection, START + ms * MS, STORE.serialize_cdr(message, kind))
    return path


def states(n: int = 11, every: int = 50) -> Said:
    """One joint, `a`, at 10 × k, stamped k × `every` ms, received 5 ms later."""
    messages = [(k * every + 5, joints(k * every, ["a"], [10.0 * k])) for k in range(n)]
    return "/state", JOINTS, messages


def commands(*times: int) -> Said:
    """Command k is −k, stamped and received at `times[k]` ms."""
    return "/cmd", JOINTS, [(t, joints(t, ["a"], [-float(k)])) for k, t in enumerate(times)]


def moving(*times: Iterable[int], topic: str = "/state") -> Said:
    """One joint, `a`, which at every one of these times, in ms, is at that number, and is received 5 ms later."""
    messages = [(t + 5, joints(t, ["a"], [float(t)])) for several in times for t in several]
    return topic, JOINTS, messages


def saying(topic: str, kind: str, *said: tuple[int, Any]) -> Said:
    """A message of std_msgs that is `data`, of no data where that is None, received so many ms after START."""
    kind = f"std_msgs/msg/{kind}"
    return topic, kind, [(t, make(kind) if data is None else make(kind, data=data)) for t, data in said]


def options(topics: dict[str, str], fps: int = 10, joints: tuple[str, ...] = ()) -> ImportOptions:
    return ImportOptions(fps=fps, task="touch", topics=topics, joints=joints)


STATE = {"observation.state": "/state"}
BOTH = {**STATE, "action": "/cmd"}
