"""What was found to be wrong."""

from __future__ import annotations

from dataclasses import dataclass

CERTAIN = 1e3
"""The score of what is seen directly, above all that is inferred."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A cause, how strongly it is suspected, and why."""

    kind: str
    score: float
    """How much it explains, by likelihood, less what so many tries are worth; the larger, the surer."""
    words: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.words} ({self.evidence})"
