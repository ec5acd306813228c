"""A line of what the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "WRONG"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what is to say of it. Only what is wrong keeps a robot from being armed."""

    level: Level
    what: str
    words: str

    def __str__(self) -> str:
        return f"{self.level:5}  {self.what}: {self.words}"


def fine(what: str, words: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", what, words)


def remark(what: str, words: str) -> Finding:
    """It works, and a person should know it."""
    return Finding("note", what, words)


def wrong(what: str, words: str) -> Finding:
    """It must be mended first."""
    return Finding("WRONG", what, words)
