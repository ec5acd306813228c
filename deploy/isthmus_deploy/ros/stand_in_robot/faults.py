"""Sensor faults that the stand-in robot can be told to have: what stops a flight can be tried without a robot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

Kind = Literal["nan", "jump", "silence"]
Topic = Literal["odom", "imu"]
_PATTERN = re.compile(r"(?P<kind>[a-z]+)(:(?P<topic>[a-z]+))?@(?P<at>[0-9]+(\.[0-9]+)?)")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """From `at_s` on (s since the rotors first turned), `topic` gives not-a-number, has jumped, or is silent."""

    kind: Kind
    topic: Topic
    at_s: float

    def active(self, time_s: float) -> bool:
        """Whether it has begun."""
        return time_s >= self.at_s


def parse_fault(text: str) -> Fault:
    """Read `KIND@SECONDS` or `KIND:TOPIC@SECONDS`, such as `nan@3.0` or `silence:imu@2`; without a topic, it is odom.

    Raises:
        ValueError: not of that form; lists the valid names.
    """
    match = _PATTERN.fullmatch(text)
    kinds, topics = get_args(Kind), get_args(Topic)
    kind = match["kind"] if match else None
    topic = (match["topic"] or "odom") if match else None
    if match is None or kind not in kinds or topic not in topics:
        raise ValueError(
            f"{text!r} is not a fault: write KIND@SECONDS or KIND:TOPIC@SECONDS with KIND one of {', '.join(kinds)} "
            f"and TOPIC one of {', '.join(topics)}, such as nan@3.0"
        )
    return Fault(kind=cast(Kind, kind), topic=cast(Topic, topic), at_s=float(match["at"]))
