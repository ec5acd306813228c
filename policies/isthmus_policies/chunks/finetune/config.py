"""The configuration of a fine-tuning: the command line, the run's config.json, and in its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

RESUMABLE = ("iterations", "checkpoint_every", "keep", "torch_threads")
"""What may change when a run is gone on with."""


@dataclass(frozen=True, kw_only=True)
class PPO:
    """Proximal policy optimisation (Schulman et al. 2017) of what is decided at a time: an action or a chunk. The
    defaults are for corrections; docs/chunk_policies.md has those of the other ways."""

    way: Literal["correction", "actions", "noise"] = "correction"
    """What is explored and learned: what is added to the next action of a plan, all actions of a chunk, or only where
    the noise is drawn that chunks are made of."""
    rate: float = 1e-3
    """Learning rate of the policy at the start; it follows the KL between updates."""
    critic_rate: float = 1e-3
    epochs: int = 4
    batch_size: int = 2048
    """Decisions that are learned from at once."""
    clip: float = 0.2
    kl: float = 0.01
    """How far an update shall move the policy."""
    discount: float = 0.995
    """A control step later, a reward counts so much."""
    lam: float = 0.95
    """Generalised advantage estimation takes it from decision to decision."""
    width: int = 256
    """correction, noise: of the network that says what is added, or where noise is drawn."""
    cosines: int = 3
    """actions: how many slow movements are added to a chunk to explore: an offset, a slope …"""
    deviation: float = 0.015
    """correction, actions: standard deviation at the start of what is added, or of each slow movement; actions range
    from -1 to 1. It must be small beside the precision that the task needs, or hardly an episode succeeds."""
    style: float = 0.001
    """How much it counts to stay near to what was demonstrated: the KL to the policy that the run began with."""
    progress: float = 1.0
    """How much a step's change of the task's own reward counts, beside 1 for success."""
    critic_alone: int = 6
    """Iterations at the start in which only the critic learns."""

    def __post_init__(self) -> None:
        sizes = (self.width, self.cosines, self.epochs, self.batch_size)
        if min(*sizes, self.rate, self.critic_rate, self.clip, self.kl, self.deviation) <= 0:
            raise ValueError(f"rates, epochs, batch size, clip, kl, width, cosines and deviation are positive: {self}")
        if min(self.style, self.progress, self.critic_alone) < 0:
            raise ValueError(f"style, progress and critic_alone cannot be negative: {self}")
        if not (0.0 < self.discount < 1.0 and 0.0 <= self.lam <= 1.0):
            raise ValueError(f"discount and lam are shares: {self}")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Let a chunk policy go on learning in simulation, by reinforcement: from where people have brought it to where
    they have not. Ctrl-C leaves a checkpoint to go on from.
    """

    policy: Annotated[Path, tyro.conf.Positional]
    """Run of the policy, or one of its policies."""
    task: str | None = None
    """Registered name of the task; by default the one on which the policy was tried in its training."""
    shown: float | None = None
    """Share of the episodes that begin somewhere within a demonstration, where the task can begin as it was recorded:
    what comes late is then met often. By default 0.6 where it can, and none elsewhere."""
    worlds: int = 256
    decisions: int = 64
    """Chunks that each world makes in an iteration, at least."""
    execute: int | None = None
    """How many actions of each chunk are done before the next is made; by default one where it is corrected, and half
    elsewhere."""
    iterations: int = 300
    seed: int = 0
    checkpoint_every: int = 25
    """Iterations between checkpoints; there is always one at the end and on Ctrl-C."""
    keep: int = 5
    """How many of the last policies are kept and reported: the best of many is best by chance too."""
    torch_threads: int = 2
    ppo: PPO = field(default_factory=PPO)
    judge_every: int = 25
    """Iterations between two tries without exploration."""
    episodes: int = 100
    """A try has so many."""
    judge_seed: int = 10_000
    """Seed of a try's first episode."""

    def __post_init__(self) -> None:
        if not 0.0 <= (self.shown or 0.0) <= 1.0:
            raise ValueError(f"shown is a share from 0 to 1, not {self.shown}")
        counts = (self.worlds, self.decisions, self.iterations, self.checkpoint_every, self.keep, self.torch_threads)
        if min(*counts, self.judge_every) < 1 or self.episodes < 2:
            raise ValueError(
                "worlds, decisions, iterations, checkpoint_every, keep, torch_threads and judge_every must be at "
                "least 1, episodes at least 2"
            )
