"""Who takes over from a learner, and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class InterventionsConfig:
    """Who takes over from the learner now and then, in a person's place: a trained policy or the task's script."""

    teacher: Literal["script"] | Path | None = None
    """Folder of the run whose policy takes over, or "script" for the script of the task's demonstration; None: nobody
    does."""
    when: Literal["value-gap", "random", "trouble"] = "value-gap"
    """After an action that was worth too little, at random, or where the learner is in trouble: the task says so in its
    group "trouble"."""
    judge: Path | None = None
    """Folder of a run by SAC, whose critics say what an action was worth beside the judge's own; by default the
    teacher's."""
    margin: float = 1.0
    """The teacher minds an action that is worth less than the judge's own by more than this, in units of the reward
    that the judge was trained with. To lose a step costs (1 - gamma) of the value: see what good actions cost first."""
    probability: float = 0.2
    """That the teacher takes over after a step that it minds. At random, it minds any."""
    duration: int = 10
    """Control steps that it then drives, or fewer where the episode ends."""
    fades_after: int | None = None
    """Transitions over which the probability falls to 0, evenly; None: it stays."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability must lie within [0, 1], got {self.probability}")
        if self.duration < 1 or (self.fades_after is not None and self.fades_after < 1):
            raise ValueError(f"duration and fades_after must be at least 1, got {self.duration}, {self.fades_after}")
        if self.teacher is None and self.judge is not None:
            raise ValueError("a judge decides when a teacher takes over: name the teacher's run too")
