"""Sensor faults that the stand-in robot can be told to have: what stops a robot can be tried without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from isthmus_deploy.ros.stand_in_robot.worlds.world import Array

Kind = Literal["nan", "jump", "silence", "freeze", "late"]
_PATTERN = re.compile(r"(?P<kind>[a-z]+)(:(?P<topic>[a-z0-9_/]+))?@(?P<at>[0-9]+(\.[0-9]+)?)")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A topic that, from `at_s` on (s since the robot was first told to move), gives not-a-number, has jumped, is
    silent, repeats its readings with new stamps, or gives them late, with the stamps that they have."""

    kind: Kind
    topic: str
    at_s: float

    def active(self, time_s: float) -> bool:
        """Whether it has begun."""
        return time_s >= self.at_s


def parse_fault(text: str, topics: Sequence[str], images: Sequence[str] = ()) -> Fault:
    """Read `KIND@SECONDS` or `KIND:TOPIC@SECONDS`, such as `nan@3.0` or `silence:imu@2`.

    Args:
        text: The fault.
        topics: The robot's topics; a fault without a topic is the first one's.
        images: Those of them that carry images; they can only fall silent.

    Raises:
        ValueError: not of that form, or nothing that the topic can have; lists the valid names.
    """
    match = _PATTERN.fullmatch(text)
    kinds = get_args(Kind)
    kind, topic, at_s = (match["kind"], match["topic"] or topics[0], match["at"]) if match else ("", "", "")
    if kind not in kinds or topic not in topics:
        raise ValueError(
            f"{text!r} is not a fault: write KIND@SECONDS or KIND:TOPIC@SECONDS with KIND one of {', '.join(kinds)} "
            f"and TOPIC one of {', '.join(topics)}, such as nan@3.0"
        )
    if topic in images and kind != "silence":
        raise ValueError(f"{text!r}: an image can only fall silent; write silence:{topic}@{at_s}")
    return Fault(kind=cast(Kind, kind), topic=topic, at_s=float(at_s))


def _nearer(distance: Array, before: Array) -> bool:
    return bool((distance <= before).all() and (distance < before).any())


class Aftermath:
    """How long the robot was still told to move after the first faulty reading.

    A command counts as moving until the safe one comes; for a robot that is laid down slowly, until the last command
    that came no nearer to the safe one, or left it in any element.

    Args:
        safe: The safe command.
        slowly: Whether the robot is laid down slowly.
    """

    def __init__(self, safe: Sequence[float], *, slowly: bool) -> None:
        self._safe = np.array(safe)
        self._slowly = slowly
        self._distance: Array | None = None
        self._fault_ns: int | None = None
        self._stop_ns: int | None = None
        self._safe_ns: int | None = None
        self._moving = self._commands = 0

    def begin(self, now_ns: int) -> None:
        """A faulty reading is about to be sent, or a due one not to be; only the first counts."""
        if self._fault_ns is None:
            self._fault_ns = now_ns

    def note_command(self, now_ns: int, command: Array) -> None:
        """A command has come; after the first safe one none counts."""
        before, self._distance = self._distance, np.abs(command - self._safe)
        if self._fault_ns is None or self._safe_ns is not None:
            return
        self._commands += 1
        if not self._distance.any():
            self._safe_ns = now_ns
        elif not self._slowly or before is None or not _nearer(self._distance, before):
            self._moving, self._stop_ns = self._commands, None
            return
        self._stop_ns = self._stop_ns or now_ns

    def summary(self) -> dict[str, float | int] | None:
        """Commands that still moved the robot, s to the first that did not, and s to the safe command; None without
        fault or end."""
        if self._fault_ns is None or self._stop_ns is None or self._safe_ns is None:
            return None
        return {
            "moving_commands": self._moving,
            "stopped_after_s": (self._stop_ns - self._fault_ns) * 1e-9,
            "safe_after_s": (self._safe_ns - self._fault_ns) * 1e-9,
        }
