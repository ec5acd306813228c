"""A monitor for a policy of chunks, fitted and calibrated on episodes in which it succeeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_deploy.contracts.monitor_data import Monitor
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.monitor.watched import WatchedEpisode, drawn_entropy, watched_episodes
from isthmus_policies.monitor.calibration import MonitorConfig, monitor_made
from isthmus_policies.monitor.novelty import Novelty
from isthmus_sim.task import Task


@dataclass(frozen=True, kw_only=True)
class ChunkMonitorConfig(MonitorConfig):
    """How a monitor of a policy of chunks is made. The window counts inferences."""

    chunks: int = 16
    """Chunks that are drawn at each inference, to see how they differ."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chunks < 2:
            raise ValueError(f"at least 2 chunks are compared, not {self.chunks}")


class Scorer(nn.Module):
    """The scores of a policy: novelty, and the entropy of its chunks where it draws any.

    Args:
        policy: Whose.
        novelty: Fitted to its embeddings.
        chunks: How many are drawn.
    """

    def __init__(self, policy: ChunkPolicy, novelty: Novelty, chunks: int) -> None:
        super().__init__()
        self.policy, self.novelty = policy, novelty
        shape = (chunks, policy.draws, policy.spec.horizon, policy.spec.action_size)
        self.noise: tuple[int, ...] | None = shape if policy.draws else None
        """Shape of what is drawn for an observation; None where nothing is."""
        self.every = self.carried = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the scores are, in order."""
        return ("novelty", "entropy") if self.noise else ("novelty",)

    def forward(self, observations: Tensors, noise: Tensor | None = None) -> Tensor:
        """(n, scores), of observations of n robots and noise (n, *shape)."""
        scores = [self.novelty(self.policy.embed(observations))]
        if noise is not None:
            scores.append(drawn_entropy(self.policy, observations, noise))
        return torch.stack(scores, dim=-1)

    def of(self, episode: WatchedEpisode) -> Tensor:
        """(inferences, scores) of an episode that was watched."""
        columns = [self.novelty(torch.stack([episode.embeddings[tick] for tick in episode.ticks]))]
        if self.noise:
            columns.append(torch.tensor(episode.entropies))
        return torch.stack(columns, dim=-1)


def fit_scorer(policy: ChunkPolicy, config: ChunkMonitorConfig, known: Sequence[WatchedEpisode]) -> Scorer:
    """Scores by which what is seen in these episodes is known. Raises ValueError where they show nothing to learn."""
    embeddings = [embedding for episode in known for embedding in episode.embeddings]
    if not embeddings:
        raise ValueError("there is no episode to learn from what is known")
    return Scorer(policy, Novelty.fit(torch.stack(embeddings), config.seed, config.learning), config.chunks)


def make_monitor(
    task: Task, policy: ChunkPolicy, executor: ExecutorConfig, config: ChunkMonitorConfig
) -> tuple[Scorer, Monitor]:
    """Try a policy in simulation, and make a monitor of the episodes in which it succeeds.

    Raises:
        ValueError: it succeeds too seldom for the share of false alarms that is asked for, or its embeddings never
            change.
    """
    return fit_monitor(
        policy, config, watched_episodes(task, policy, executor, config.chunks, config.episodes, config.seed)
    )


def fit_monitor(
    policy: ChunkPolicy, config: ChunkMonitorConfig, tried: Sequence[WatchedEpisode]
) -> tuple[Scorer, Monitor]:
    """The same of episodes that were watched. Raises as `make_monitor`."""
    return monitor_made(partial(fit_scorer, policy, config), config, tried)
