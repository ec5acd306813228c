"""Bounds of a setting, where its type is written down: `Annotated[float, Within(0.0, 1.0)]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args, get_type_hints


@dataclass(frozen=True)
class Within:
    """What a number may be, both ends included."""

    least: float
    most: float


def bounds(kind: type) -> dict[str, Within]:
    """The bounds of a dataclass's fields, by name, of those that have some."""
    hints = get_type_hints(kind, include_extras=True)
    found = {name: [note for note in get_args(hint) if isinstance(note, Within)] for name, hint in hints.items()}
    return {name: notes[0] for name, notes in found.items() if notes}


def check(settings: Any) -> None:
    """Raise ValueError where a field of the dataclass is set and not within its bounds; not-a-number never is."""
    for name, within in bounds(type(settings)).items():
        value = getattr(settings, name)
        if value is not None and not within.least <= value <= within.most:
            raise ValueError(f"{name} is from {within.least:g} to {within.most:g}, not {value}")
