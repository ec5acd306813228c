"""Where the episodes of a training begin beside where the task lets them, and which levels they have. No evaluation
ever begins so."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class StartsConfig:
    """Where episodes begin: by default where the task lets them."""

    snapshots: Path | None = None
    """Episodes begin in these as well: a file by `python -m isthmus_policies.starts.record`, or the folder of a dataset
    of transitions that was recorded with --snapshots."""
    archive: bool = False
    """Episodes begin in states as well that the learner itself has reached, the likelier the more seldom it has
    (Go-Explore)."""
    cells: dict[str, float] = field(default_factory=dict)
    """Quantity of the scene -> how far apart states are in it, in its unit, that the archive tells apart; by default as
    the task says."""
    share: float = 0.5
    """Share of the episodes that begin so, at first."""
    fades_after: int | None = None
    """Transitions, of all worlds, over which the share of the snapshots falls to 0, evenly; None: it stays."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"starts.share is a share from 0 to 1, not {self.share}")
        if self.fades_after is not None and self.fades_after < 1:
            raise ValueError(f"starts.fades_after must be at least 1, got {self.fades_after}")
        if self.archive and self.snapshots is not None:
            raise ValueError("episodes begin in starts.snapshots or in what starts.archive has found: choose one")
        if self.cells and not self.archive:
            raise ValueError("starts.cells are the archive's: ask for --starts.archive too")
        if any(size <= 0.0 for size in self.cells.values()):
            raise ValueError(f"the sizes of starts.cells are above 0, got {self.cells}")


@dataclass(frozen=True, kw_only=True)
class LevelsConfig:
    """Which levels a task that declares what makes it hard has in training."""

    sampler: Literal["uniform", "alp-gmm", "prioritised"] = "uniform"
    """Drawn evenly; where returns change, by mixtures of normal distributions; or those again that went badly."""
    random_share: float = 0.2
    """Share of the levels that the other two draw evenly."""
    window: int = 250
    """Episodes between two fits of the mixture, and of a fit."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.random_share <= 1.0:
            raise ValueError(f"levels.random_share is a share from 0 to 1, not {self.random_share}")
        if self.window < 20:
            raise ValueError(f"levels.window must be at least 20, for a fit of up to 10 parts; got {self.window}")
