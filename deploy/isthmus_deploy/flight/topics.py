"""The topics of a flight's bag: rows as messages of ROS 2.

A message of numbers has one field for each element, so that plots show them by name, and no text, so that many rows
become messages at once: CDR of such a type is an array of structures.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_deploy.contracts.limits import Command, Signal
from isthmus_deploy.flight.mcap import Channel, Message
from isthmus_deploy.flight.row import NUMBERS, STATES, Layout, element_names, image_field
from isthmus_deploy.safety.supervisor import State

TICK, SIGNALS, AGES, WANTED, SENT, LOG = (
    f"/flight/{name}" for name in ("tick", "signals", "ages_s", "wanted", "sent", "log")
)
IMAGE = "/flight/image/"

SECOND = 10**9  # ns
_CDR = b"\x00\x01\x00\x00"  # little endian
_NO_FRAME = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # an empty text, and up to the next multiple of 8
_PACKAGE = "isthmus_flight"
_SEPARATOR = "=" * 80
_TIME = "MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
_HEADER = f"MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n{_SEPARATOR}\n{_TIME}"
_IMAGE = """\
std_msgs/Header header
uint32 height
uint32 width
string encoding
uint8 is_bigendian
uint32 step
uint8[] data
"""
_LOG = """\
byte DEBUG=10
byte INFO=20
byte WARN=30
byte ERROR=40
byte FATAL=50
builtin_interfaces/Time stamp
uint8 level
string name
string msg
string file
string function
uint32 line
"""
_INFO, _ERROR = 20, 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Topic:
    """A topic whose messages have one size.

    Args:
        channel: Its description.
        fields: The row's fields that a message holds, one after the other.
        before: What stands between the header and these, always the same.
        chosen: Which rows (n,) become messages; all of them by default.
    """

    channel: Channel
    fields: tuple[str, ...]
    before: bytes = b""
    chosen: Callable[[np.ndarray], np.ndarray] = lambda rows: np.ones(len(rows), bool)

    def message(self, row: np.dtype) -> np.dtype:
        """The type of a message, of rows of this type."""
        start = [("cdr", f"V{len(_CDR)}"), ("sec", "<i4"), ("nanosec", "<u4"), ("frame", f"V{len(_NO_FRAME)}")]
        fields = [(name, row[name].base, row[name].shape) for name in self.fields]
        before = [("before", f"V{len(self.before)}")] if self.before else []
        return np.dtype([*start, *before, *fields])

    def messages(self, rows: np.ndarray, times: np.ndarray) -> list[tuple[int, bytes]]:
        """Time in ns and content of each message that rows (n,) of times (n,) become."""
        chosen = self.chosen(rows)
        rows, times = rows[chosen], times[chosen]
        made = np.zeros(len(rows), self.message(rows.dtype))
        made["cdr"], made["frame"] = np.void(_CDR), np.void(_NO_FRAME)
        if self.before:
            made["before"] = np.void(self.before)
        made["sec"], made["nanosec"] = times // SECOND, times % SECOND
        for name in self.fields:
            made[name] = rows[name]
        data, size = made.tobytes(), made.itemsize
        return [(int(time), data[i * size : (i + 1) * size]) for i, time in enumerate(times)]


class Messages:
    """Turns a flight's rows into messages.

    Args:
        layout: Of the rows.
        epoch_ns: What the wall clock was when the monotonic one was 0: messages have the time of that clock, which
            never steps, counted from there.
    """

    def __init__(self, layout: Layout, epoch_ns: int) -> None:
        self._topics = topics(layout)
        self._epoch_ns = epoch_ns
        self._told = (-1, b"")
        self.channels = [topic.channel for topic in self._topics] + [_LOG_CHANNEL]
        """By number."""

    def of(self, rows: np.ndarray) -> list[Message]:
        """All messages that rows (n,) become, in the order of time."""
        times = rows["numbers"][:, NUMBERS.index("monotonic_ns")] + self._epoch_ns
        made = [
            (time, number, content)
            for number, topic in enumerate(self._topics)
            for time, content in topic.messages(rows, times)
        ]
        made += [(time, len(self._topics), content) for time, content in self._log(rows, times)]
        return sorted(made, key=lambda message: message[:2])

    def _log(self, rows: np.ndarray, times: np.ndarray) -> list[tuple[int, bytes]]:
        """A line for every change of the state or its cause."""
        lines = []
        for time, state, cause in zip(times.tolist(), rows["state"].tolist(), rows["cause"].tolist(), strict=True):
            if (state, cause) != self._told:
                self._told = (state, cause)
                lines.append((time, _log_line(time, STATES[state], cause.decode(errors="replace"))))
        return lines


def topics(layout: Layout) -> list[Topic]:
    """The topics of a flight with such rows, but that of the log."""
    contract = layout.contract
    signals = _group("Signals", {signal.name: _fields("float32", signal) for signal in layout.signals})
    commands = _group("Commands", {command.name: _fields("float64", command) for command in contract.commands})
    ages = [f"float64 {name}" for name in _unique([signal.name for signal in contract.signals])]
    return [
        Topic(
            channel=_channel(TICK, "Tick", _tick_fields(layout)),
            fields=("numbers", "chunks", "state", "has_wanted", "has_sent"),
        ),
        Topic(channel=_channel(SIGNALS, *signals, _quantities(layout.signals)), fields=("signals",)),
        Topic(channel=_channel(AGES, "Ages", ages), fields=("ages_s",)),
        Topic(
            channel=_channel(WANTED, *commands, _quantities(contract.commands)),
            fields=("wanted",),
            chosen=lambda rows: rows["has_wanted"],
        ),
        Topic(
            channel=_channel(SENT, *commands, _quantities(contract.commands)),
            fields=("sent",),
            chosen=lambda rows: rows["has_sent"],
        ),
        *(_image_topic(signal) for signal in layout.images),
    ]  # fmt: skip


def _tick_fields(layout: Layout) -> list[str]:
    numbers = [f"int64 {name}" for name in NUMBERS] + [f"int64[{layout.row['chunks'].shape[0]}] chunks"]
    states = [f"uint8 {state.name}={number}" for number, state in enumerate(STATES)]
    return [*numbers, *states, "uint8 state", "bool has_wanted", "bool has_sent"]


def _image_topic(signal: Signal) -> Topic:
    """`sensor_msgs/Image` (rgb8), a message for each image that is not the one before."""
    height, width, channels = signal.shape
    before = struct.pack("<II", height, width) + struct.pack("<I", 5) + b"rgb8\0" + b"\0" + bytes(2)
    before += struct.pack("<II", width * channels, height * width * channels)
    channel = Channel(
        topic=IMAGE + signal.name, kind="sensor_msgs/msg/Image", definition=f"{_IMAGE}{_SEPARATOR}\n{_HEADER}"
    )
    field = image_field(signal)
    return Topic(channel=channel, fields=(field,), before=before, chosen=_Changed(field))


class _Changed:
    """Which rows have another value in a field than the row before; the first one always."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._last: np.ndarray | None = None

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        changed = np.ones(len(rows), bool)
        for index, value in enumerate(rows[self._field]):
            changed[index] = self._last is None or not np.array_equal(value, self._last)
            self._last = value
        return changed


def _channel(
    topic: str, kind: str, fields: Sequence[str], parts: str = "", metadata: dict[str, str] | None = None
) -> Channel:
    definition = "\n".join(["std_msgs/Header header", *fields, _SEPARATOR, f"{_HEADER}{parts}"])
    return Channel(topic=topic, kind=f"{_PACKAGE}/msg/{kind}", definition=definition, metadata=metadata or {})


def _group(kind: str, members: dict[str, list[str]]) -> tuple[str, list[str], str]:
    """Name, fields and the types of the fields, of a message of one sub-message for each member."""
    names = dict(zip(members, _unique(list(members)), strict=True))
    kinds = {name: kind + "".join(part.capitalize() for part in field.split("_")) for name, field in names.items()}
    parts = ["\n".join([_SEPARATOR, f"MSG: {_PACKAGE}/{kinds[name]}", *fields, ""]) for name, fields in members.items()]
    return kind, [f"{_PACKAGE}/{kinds[name]} {field}" for name, field in names.items()], "".join(parts)


def _fields(number: str, item: Signal | Command) -> list[str]:
    return [f"{number} {name}" for name in _unique(element_names(item))]


def _unique(names: Sequence[str]) -> list[str]:
    """Names as ROS 2 allows them for fields: lower case, beginning with a letter, no two alike."""
    made: list[str] = []
    for number, name in enumerate(names):
        field = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "element"
        field = field if field[0].isalpha() else f"element_{field}"
        made.append(field if field not in made else f"{field}_{number}")
    return made


def _quantities(items: Sequence[Signal | Command]) -> dict[str, str]:
    """What the contract says of each, for people and tools."""
    return {item.name: f"{item.unit}, {item.frame}: {' '.join(item.order)}" for item in items}


_LOG_CHANNEL = Channel(topic=LOG, kind="rcl_interfaces/msg/Log", definition=f"{_LOG}{_SEPARATOR}\n{_TIME}")


def _log_line(time_ns: int, state: State, cause: str) -> bytes:
    """CDR of `rcl_interfaces/Log`, which tools show as a line of text."""
    data = bytearray(struct.pack("<iI", *divmod(time_ns, SECOND)))
    data.append(_ERROR if state is State.FAULT else _INFO)
    for text in ("policy", f"{state.value}: {cause}" if cause else state.value, "", ""):
        _align(data)
        encoded = text.encode() + b"\0"
        data += struct.pack("<I", len(encoded)) + encoded
    _align(data)
    return _CDR + bytes(data) + bytes(4)


def _align(data: bytearray) -> None:
    data += bytes(-len(data) % 4)
