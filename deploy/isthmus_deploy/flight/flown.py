"""The policies that a flight had, as its bag names them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class FlownPolicy:
    """One of them."""

    name: str
    sha256: str
    """The digest that its file states."""
    file: Path
    """Where that was."""


def to_json(policies: Sequence[FlownPolicy]) -> str:
    """A list of them as text."""
    return json.dumps([{"name": each.name, "sha256": each.sha256, "file": str(each.file)} for each in policies])


def from_json(text: str) -> tuple[FlownPolicy, ...]:
    """What `to_json` wrote."""
    return tuple(FlownPolicy(**{**each, "file": Path(each["file"])}) for each in json.loads(text))
