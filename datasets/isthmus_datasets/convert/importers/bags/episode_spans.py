"""Which spans of a bag are its episodes: between pauses, while a field has a value, from one event to the next.

Every rule gives spans; an episode is what lies in a span of each of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.bags.bag import Bag
from isthmus_datasets.convert.importers.bags.bag_files import SERVICE
from isthmus_datasets.convert.importers.bags.capture_times import (
    SECOND,
    WHOLE,
    Nanoseconds,
    Span,
    Stamps,
    capture_times,
    clock_findings,
    common_time,
    observed_among,
)
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.recording.ros2.messages import choose, field_names, stamp_ns

DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
NAMED = 10
"""So many values or spans are named to a person; of more, these and their number."""
_EVENT_TYPE = 4
"""Where a service's event says what it is: its first byte, after CDR's own four."""
_RESPONSE_SENT = 2
"""service_msgs/msg/ServiceEventInfo: from this one on it is a response."""

Spans = NDArray[np.int64]
"""(n, 2) ns, in the order of time: from, and up to but not including. None overlaps another."""


class _Rule(NamedTuple):
    spans: Spans
    told: str
    """What a person should know who finds no episode left."""


class _Cut(NamedTuple):
    topic: str
    field: str
    """Empty: each message is an event."""
    value: str


class _Clock(NamedTuple):
    """Says when messages were made, and of what it could not believe.

    Args:
        stamps: Which times are wanted.
        fps: Rows per second.
        findings: What is to say is added here.
    """

    stamps: Stamps
    fps: int
    findings: list[str]

    def taken(self, times: array[int], topic: str) -> Nanoseconds:
        """(n,) ns, of the receive time and the stamp of each message; where none has a stamp, when they came."""
        received, stamped = np.array(times, np.int64).reshape(-1, 2).T
        taken, finding = capture_times(received, stamped, topic, self.stamps if stamped.any() else "arrival")
        self.findings.extend([finding] if finding else [])
        self.findings.extend(clock_findings({topic: (received, stamped)}, self.fps))
        return taken


def find_spans(
    bag: Bag, times: Mapping[str, Nanoseconds], fps: int, options: ImportOptions
) -> tuple[list[Span], list[str]]:
    """The spans of a bag's episodes, each as long as two ticks of the grid or longer, and what is to say of the rest.

    Args:
        bag: Of it only the topics that `options.episodes` names are read.
        times: feature -> (n,) ns: when its readings were taken.
        fps: Ticks per second.
        options: Say how to cut.

    Raises:
        DatasetError: a way to cut is not understood, its topic has no messages or lacks the field, or the features'
            times have no moment in common.
    """
    findings: list[str] = []
    clock = _Clock(options.stamps, fps, findings)
    rules = [*_topic_rules(bag, options.episodes, clock), *_pause_rules(times, options.gap_s)]
    first, last = common_time(times, str(bag.path))
    spans = _common([rule.spans for rule in rules])
    inside = spans.clip(first, last + 1)
    long = (inside[:, 1] - inside[:, 0]) * fps >= 2 * SECOND
    if not long.all():
        findings.append(_left_out(spans[~long], times))
    if not long.any():
        findings.append(f"no episode is left: {'; '.join(rule.told for rule in rules)}")
    return [(int(begin), int(stop)) for begin, stop in inside[long]], findings


def _common(rules: Sequence[Spans]) -> Spans:
    """What is in a span of every rule; where one of a rule's ends and its next one begins, so do these."""
    begins, stops = (np.sort(np.concatenate([spans[:, end] for spans in rules])) for end in (0, 1))
    edges = np.unique(np.concatenate([begins, stops]))
    holding = np.searchsorted(begins, edges, side="right") - np.searchsorted(stops, edges, side="right")
    whole = np.flatnonzero(holding == len(rules))
    return np.stack([edges[whole], edges[whole + 1]], axis=1)


def _left_out(spans: Spans, times: Mapping[str, Nanoseconds]) -> str:
    begin, end = min(int(t[0]) for t in times.values()), max(int(t[-1]) for t in times.values())
    seconds = (spans.clip(begin, end) - begin) / SECOND
    named = [f"{start:.2f} to {stop:.2f} s" for start, stop in seconds[:NAMED]]
    more = [f"and {len(spans) - NAMED} more"] if len(spans) > NAMED else []
    return f"spans with less than two ticks of readings on all topics are left out: {', '.join([*named, *more])}"


def _pause_rules(times: Mapping[str, Nanoseconds], gap_s: float | None) -> list[_Rule]:
    if gap_s is None:
        return []
    if gap_s <= 0:
        raise DatasetError(f"gap_s is a time in s after which a topic pauses, not {gap_s:g}")
    return [_between_pauses(name, times[name], gap_s) for name in observed_among(times)]


def _between_pauses(name: str, times: Nanoseconds, gap_s: float) -> _Rule:
    pauses = np.flatnonzero(np.diff(times) > gap_s * SECOND)
    begins, ends = times[np.append(0, pauses + 1)], times[np.append(pauses, len(times) - 1)]
    told = f"{name} pauses {len(pauses)} times for more than {gap_s:g} s"
    return _Rule(np.stack([begins, ends + 1], axis=1), told)


def _topic_rules(bag: Bag, episodes: Sequence[str], clock: _Clock) -> list[_Rule]:
    cuts = [_parse(text) for text in episodes]
    rules = [_while_it_holds(bag, cut, clock) for cut in cuts if cut.field]
    events = [cut.topic for cut in cuts if not cut.field]
    return [*rules, _from_event_to_event(bag, events, clock)] if events else rules


def _parse(text: str) -> _Cut:
    topic, colon, rest = text.partition(":")
    field, equals, value = rest.partition("=")
    if not topic or (colon and not (field and equals)):
        raise DatasetError(f"episodes: {text!r} is neither TOPIC nor TOPIC:FIELD=VALUE")
    return _Cut(topic, field, value)


def _from_event_to_event(bag: Bag, topics: Sequence[str], clock: _Clock) -> _Rule:
    """From each message on any of these topics to the next one, from the last one to the end."""
    times = np.sort(np.concatenate([_event_times(bag, topic, clock) for topic in topics]))
    told = f"{' and '.join(topics)} have {len(times)} events"
    return _Rule(np.stack([times, np.append(times[1:], WHOLE[1])[: len(times)]], axis=1), told)


def _event_times(bag: Bag, topic: str, clock: _Clock) -> Nanoseconds:
    """(n,) ns: of a topic's messages, whatever they are; of a service's events only the requests."""
    bag.check_messages(topic)
    times = array("q")
    for _, received, message in bag.messages({topic}):
        if SERVICE not in bag.types[topic] or message[_EVENT_TYPE] < _RESPONSE_SENT:
            times.extend((received, 0 if isinstance(message, bytes) else stamp_ns(message)))
    return clock.taken(times, topic)


def _while_it_holds(bag: Bag, cut: _Cut, clock: _Clock) -> _Rule:
    """From each first message whose field has the value to the first one in which it has another."""
    bag.check_topic(cut.topic)
    times = array("q")
    holds = bytearray()
    values: dict[str, None] = {}
    speakers: set[str] = set()
    for number, (topic, received, message) in enumerate(bag.messages({cut.topic})):
        with bag.locating(topic, number):
            said = _said(message, cut.field)
        for speaker, value in said.items():
            speakers.add(speaker)
            times.extend((received, stamp_ns(message)))
            holds.append(_equals(value, cut.value))
            if len(values) < NAMED:
                values[str(value).lower() if isinstance(value, bool) else str(value)] = None
    _check_speakers(bag, cut, speakers)
    taken = np.append(clock.taken(times, cut.topic), WHOLE[1])
    turns = np.diff(np.frombuffer(holds, np.int8), prepend=0, append=0)
    told = f"{cut.topic}:{cut.field}, to be {cut.value}, is {', '.join(values)}{' …' if len(values) == NAMED else ''}"
    return _Rule(np.stack([taken[turns == 1], taken[turns == -1]], axis=1), told)


def _said(message: Any, field: str) -> dict[str, Any]:
    """Who says which value of a field: "" of any message, of diagnostics each status that has a value of that key.

    Raises ValueError with the fields there are, where it is none or has no single value.
    """
    path = field.split(".")
    if message.__msgtype__ == DIAGNOSTICS and path[0] == "status":
        wanted = ".".join(path[1:])
        pairs = [(status.name, pair) for status in message.status for pair in status.values]
        return {name: pair.value for name, pair in pairs if wanted in (pair.key, f"{name}.{pair.key}")}
    value = choose(message, tuple(path))
    if not isinstance(value, bool | int | float | str):
        known = ", ".join(f"{field}.{name}" for name in field_names(value))
        raise ValueError(f"has no single value in {field}{f': there are {known}' if known else ''}")
    return {"": value}


def _check_speakers(bag: Bag, cut: _Cut, speakers: set[str]) -> None:
    """Raises DatasetError unless exactly one status of the diagnostics says it."""
    if not speakers:
        messages = (message for _, _, message in bag.messages({cut.topic}))
        keys = {f"status.{pair.key}" for message in messages for status in message.status for pair in status.values}
        raise DatasetError(f"{bag.path}: {cut.topic} has no {cut.field}; there are {', '.join(sorted(keys)) or 'none'}")
    if len(speakers) > 1:
        raise DatasetError(
            f"{bag.path}: {cut.topic}:{cut.field} is said by {', '.join(sorted(speakers))}: choose by status.NAME.KEY"
        )


def _equals(value: bool | float | str, wanted: str) -> bool:
    """Text as it is written; numbers by what they are; booleans as true and false, or 1 and 0."""
    if isinstance(value, str):
        return value == wanted
    try:
        return float(value) == float({"true": "1", "false": "0"}.get(wanted.lower(), wanted))
    except ValueError:
        return False
