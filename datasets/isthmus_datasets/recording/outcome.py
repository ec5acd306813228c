"""What became of episodes, for those who asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.operator import Event
from isthmus_datasets.recording.rate import Timing


class RecordingError(RuntimeError):
    """An episode came to an end that nobody wanted. The message says why, and what became of it; what was saved before
    is untouched, and another episode can be recorded once the cause is gone."""


class UnsavedError(RecordingError):
    """A finished episode could not be written, as on a full disk. The message says where it waits to be saved."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an episode.

    Args:
        index: Its number in the dataset; None when it was not saved.
        steps: How many rows it had.
        event: What the operator wanted with it; NONE where something else ended it.
        ending: How it ended; None when it was not saved.
        reason: Why it was not saved, what sensor was lost, or that the disk did not confirm it; empty when all is well.
    """

    index: int | None
    steps: int
    event: Event
    ending: Ending | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What was recorded, and how well the rate was kept.

    Args:
        saved, discarded: Episodes.
        steps: Rows of the saved ones.
        dropped_frames: Rows that the grid of the saved ones should have, but no step was there in time.
        overruns: Steps that took longer than the period.
        jitter_p50_ms, jitter_p99_ms, jitter_max_ms: How far the time from step to step was from the period.
        reasons: Why episodes were discarded, cut short or are in doubt, in order.
    """

    saved: int
    discarded: int
    steps: int
    dropped_frames: int
    overruns: int
    jitter_p50_ms: float
    jitter_p99_ms: float
    jitter_max_ms: float
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], timing: Timing) -> Summary:
        """The summary of some episodes; `timing` is that of the saved ones."""
        saved = [outcome for outcome in outcomes if outcome.index is not None]
        return cls(
            saved=len(saved),
            discarded=len(outcomes) - len(saved),
            steps=sum(outcome.steps for outcome in saved),
            dropped_frames=timing.skipped,
            overruns=timing.overruns,
            jitter_p50_ms=timing.jitter_ms(50),
            jitter_p99_ms=timing.jitter_ms(99),
            jitter_max_ms=timing.jitter_ms(100),
            reasons=tuple(outcome.reason for outcome in outcomes if outcome.reason),
        )

    def __str__(self) -> str:
        text = (
            f"{self.saved} episodes saved ({self.steps} steps), {self.discarded} discarded; "
            f"{self.dropped_frames} frames dropped, {self.overruns} steps too long; jitter "
            f"p50 {self.jitter_p50_ms:.2f} ms, p99 {self.jitter_p99_ms:.2f} ms, at most {self.jitter_max_ms:.2f} ms"
        )
        return "\n  ".join((text, *self.reasons))
