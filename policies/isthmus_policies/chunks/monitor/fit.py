"""A monitor for a policy, fitted and calibrated on episodes in which it succeeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_deploy.contracts.monitor_data import Monitor, Score
from isthmus_deploy.safety.monitor import ScoreWindow
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.monitor.conformal import conformal_threshold, least_values
from isthmus_policies.chunks.monitor.scores import Novelty
from isthmus_policies.chunks.monitor.watched import WatchedEpisode, drawn_entropy, watched_episodes
from isthmus_sim.task import Task

_DESCRIPTIONS = {
    "novelty": "what is seen is unlike what was seen in successful episodes",
    "entropy": "chunks that are drawn for what is seen differ from each other",
}


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """How a monitor is made."""

    false_alarms: float = 0.1
    """Share of successful episodes in which there may be an alarm."""
    episodes: int = 300
    """Episodes in simulation. Half of those that succeed say what is known and usual, the others set the thresholds."""
    chunks: int = 16
    """Chunks that are drawn at each inference, to see how they differ."""
    window: int = 3
    """Inferences over which a score is averaged."""
    learning: int = 2_000
    """Steps in which is learned what is known."""
    seed: int = 20_000
    """Of the episodes, and of what is learned."""

    def __post_init__(self) -> None:
        if not 0.0 < self.false_alarms < 1.0:
            raise ValueError(f"the share of false alarms is between 0 and 1, not {self.false_alarms}")
        if self.chunks < 2 or self.window < 1:
            raise ValueError(f"at least 2 chunks are compared, over a window of at least 1: {self}")


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


def windowed(scores: Tensor, window: int) -> Tensor:
    """Scores (inferences, scores) of an episode, as a robot would average them: (those with a whole window, scores)."""
    means = ScoreWindow(window)
    seen = (means.see(row) for row in scores.numpy())
    return torch.from_numpy(np.array([row for row in seen if row is not None]).reshape(-1, scores.shape[1]))


def fit_scorer(policy: ChunkPolicy, config: MonitorConfig, known: Sequence[WatchedEpisode]) -> Scorer:
    """Scores by which what is seen in these episodes is known. Raises ValueError where they show nothing to learn."""
    embeddings = [embedding for episode in known for embedding in episode.embeddings]
    if not embeddings:
        raise ValueError("there is no episode to learn from what is known")
    return Scorer(policy, Novelty.fit(torch.stack(embeddings), config.seed, config.learning), config.chunks)


def calibrate(
    scorer: Scorer, config: MonitorConfig, usual: Sequence[WatchedEpisode], held_out: Sequence[WatchedEpisode]
) -> Monitor:
    """Thresholds that successful episodes rarely exceed, all of them at a time.

    Römer et al. set each score's threshold for itself, so that far fewer episodes than were allowed exceed both at
    once, and few failures do. Here both are as many of their usual deviations above their usual mean, and that one
    number is set by the alarm itself.

    Args:
        scorer: It has learned from neither of the episodes.
        config: Says how many false alarms there may be.
        usual: Successful episodes that tell mean and deviation.
        held_out: Others, that tell the number.

    Raises:
        ValueError: there are too few of them, or a score never changes.
    """
    rows = torch.cat([windowed(scorer.of(episode), config.window) for episode in usual])
    mean, deviation = rows.mean(dim=0), rows.std(dim=0)
    if not (deviation > 0.0).all():
        raise ValueError("a score never changes in successful episodes: there is nothing to tell others by")
    largest = [_together((windowed(scorer.of(each), config.window) - mean) / deviation) for each in held_out]
    above = conformal_threshold(largest, config.false_alarms)
    if above == -math.inf:
        raise ValueError(f"successful episodes have fewer inferences than a window of {config.window}: make it shorter")
    thresholds = mean + above * deviation
    return Monitor(
        scores=tuple(
            Score(name=name, description=_DESCRIPTIONS[name], threshold=threshold)
            for name, threshold in zip(scorer.names, thresholds.tolist(), strict=True)
        ),
        window=config.window,
        noise=scorer.noise,
        false_alarms=config.false_alarms,
        episodes=len(held_out),
    )


def _together(deviations: Tensor) -> float:
    """The most that all scores (inferences, scores) of an episode reach at a time; of none, less than anything."""
    return float(deviations.amin(dim=1).max()) if len(deviations) else -math.inf


def make_monitor(
    task: Task, policy: ChunkPolicy, executor: ExecutorConfig, config: MonitorConfig
) -> tuple[Scorer, Monitor]:
    """Try a policy in simulation, and make a monitor of the episodes in which it succeeds.

    Raises:
        ValueError: it succeeds too seldom for the share of false alarms that is asked for, or its embeddings never
            change.
    """
    return fit_monitor(
        policy, config, watched_episodes(task, policy, executor, config.chunks, config.episodes, config.seed)
    )


def fit_monitor(policy: ChunkPolicy, config: MonitorConfig, tried: Sequence[WatchedEpisode]) -> tuple[Scorer, Monitor]:
    """The same of episodes that were watched. Raises as `make_monitor`."""
    known, usual, held_out = parts_of(tried)
    least = least_values(config.false_alarms)
    if len(held_out) < least:
        raise ValueError(
            f"{sum(episode.succeeded for episode in tried)} of {len(tried)} episodes succeeded, which leaves "
            f"{len(held_out)} to set thresholds by: a share of {config.false_alarms:g} of false alarms takes at least "
            f"{least}; try more episodes (--monitor-episodes) or allow more false alarms"
        )
    scorer = fit_scorer(policy, config, known)
    return scorer, calibrate(scorer, config, usual, held_out)


def parts_of(tried: Sequence[WatchedEpisode]) -> tuple[list[WatchedEpisode], ...]:
    """Those that succeeded: a third to learn from, a sixth that tells what scores are usual, a half that sets the
    thresholds. By turns, so that each part has all kinds of surroundings."""
    good = [episode for episode in tried if episode.succeeded]
    parts = ([], [], [])
    for place, episode in enumerate(good):
        parts[(0, 1, 2, 0, 2, 2)[place % 6]].append(episode)
    return parts
