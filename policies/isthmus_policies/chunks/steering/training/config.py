"""The configuration of a scorer's training: the command line, and in its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from isthmus_datasets.training.normalizer import Mode
from isthmus_policies.chunks.steering.iql import IqlConfig


@dataclass(frozen=True, kw_only=True)
class ScorerConfig:
    """One training run of a scorer."""

    datasets: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of the datasets. Their episodes say whether they succeeded."""
    columns: tuple[str, ...] = ()
    """Columns that it observes; by default all of numbers whose name begins with `observation.`."""
    cameras: tuple[str, ...] = ()
    """Cameras that it observes; by default none."""
    angles: tuple[str, ...] = ()
    """Which numbers are angles, rad, as COLUMN:PLACE such as observation.state:4: it sees cosine and sine."""
    frames: tuple[str, ...] = ()
    """Places that it also sees in a moving frame, as COLUMN:X,Y@X,Y,ANGLE."""
    action: str = "action"
    """Column whose chunks it judges."""
    size: tuple[int, int] = (96, 96)
    """Height and width of images."""
    observed: int = 2
    """Rows of an observation, up to the current step: as many as the policy observes."""
    execute: int = 8
    """Actions of a chunk that are executed: as many as the robot will execute. It reads no more of a chunk."""
    reward_steps: int = 1
    """How many last steps of a success earn a reward of 1. Nothing else earns any. With one, a chunk is worth the
    chance of success, discounted by how long it takes; with several, what takes less than that is worth less."""
    scaling: Mode = "min_max"
    """How columns and actions are scaled."""
    constant: Literal["refuse", "keep"] = "refuse"
    """What becomes of a channel that never changes: it is refused by name, or kept as it is."""
    steps: int = 10_000
    """Batches."""
    batch_size: int = 256
    rate: float = 3e-4
    """Learning rate of AdamW."""
    weight_decay: float = 1e-2
    seed: int = 0
    """Seed of everything random. On a CPU the same seed gives the same scorer, bit for bit, with equally many
    threads."""
    torch_threads: int = 2
    iql: IqlConfig = field(default_factory=IqlConfig)

    def __post_init__(self) -> None:
        if not self.datasets:
            raise ValueError("a training needs at least one dataset")
        counts = ("observed", "execute", "reward_steps", "steps", "batch_size", "torch_threads")
        if wrong := [name for name in counts if getattr(self, name) < 1]:
            raise ValueError(f"{', '.join(wrong)} must be at least 1")
        if self.rate <= 0.0 or self.weight_decay < 0.0:
            raise ValueError(f"the rate must be positive and the decay not negative: {self.rate}, {self.weight_decay}")

    @property
    def horizon(self) -> int:
        """Actions of what it reads of a chunk."""
        return self.execute

    @property
    def goal(self) -> tuple[str, ...]:
        """It knows no goals."""
        return ()
