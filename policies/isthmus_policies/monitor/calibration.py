"""Thresholds of a monitor, from episodes in which its policy succeeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.contracts.monitor_data import Monitor, Score
from isthmus_deploy.safety.monitor import ScoreWindow
from isthmus_policies.monitor.conformal import conformal_threshold, least_values

_DESCRIPTIONS = {
    "novelty": "what is seen is unlike what was seen in successful episodes",
    "entropy": "chunks that are drawn for what is seen differ from each other",
    "surprise": "what is done is not what usually follows on what was seen and done before",
}


@dataclass(frozen=True, kw_only=True)
class MonitorConfig:
    """How a monitor is made."""

    false_alarms: float = 0.1
    """Share of successful episodes in which there may be an alarm."""
    episodes: int = 300
    """Episodes in simulation. Half of those that succeed say what is known and usual, the others set the thresholds."""
    window: int = 3
    """Computations over which a score is averaged."""
    learning: int = 2_000
    """Steps in which is learned what is known."""
    seed: int = 20_000
    """Seed of the episodes, and of what is learned."""

    def __post_init__(self) -> None:
        if not 0.0 < self.false_alarms < 1.0:
            raise ValueError(f"the share of false alarms is between 0 and 1, not {self.false_alarms}")
        if self.window < 1:
            raise ValueError(f"scores are averaged over a window of at least 1, not {self.window}")


class Episode(Protocol):
    """One that was watched."""

    @property
    def succeeded(self) -> bool: ...


EpisodeT = TypeVar("EpisodeT", bound=Episode)
EpisodeIn = TypeVar("EpisodeIn", bound=Episode, contravariant=True)


class Scoring(Protocol[EpisodeIn]):
    """What computes a policy's scores, fitted to what is known.

    names: What they are, in order. noise: Shape of what is drawn for them; None where nothing is. every, carried: As
    the contract's monitor has them.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def noise(self) -> tuple[int, ...] | None: ...

    @property
    def every(self) -> int | None: ...

    @property
    def carried(self) -> int | None: ...

    def of(self, episode: EpisodeIn, /) -> Tensor:
        """(computations, scores) of an episode that was watched."""
        ...


ScoringT = TypeVar("ScoringT", bound=Scoring)


def windowed(scores: Tensor, window: int) -> Tensor:
    """Scores (inferences, scores) of an episode, as a robot would average them: (those with a whole window, scores)."""
    means = ScoreWindow(window)
    seen = (means.see(row) for row in scores.numpy())
    return torch.from_numpy(np.array([row for row in seen if row is not None]).reshape(-1, scores.shape[1]))


def calibrate(
    scorer: Scoring[EpisodeT], config: MonitorConfig, usual: Sequence[EpisodeT], held_out: Sequence[EpisodeT]
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
        raise ValueError(f"successful episodes have fewer scores than a window of {config.window}: make it shorter")
    thresholds = mean + above * deviation
    return Monitor(
        scores=tuple(
            Score(name=name, description=_DESCRIPTIONS[name], threshold=threshold)
            for name, threshold in zip(scorer.names, thresholds.tolist(), strict=True)
        ),
        window=config.window,
        noise=scorer.noise,
        every=scorer.every,
        carried=scorer.carried,
        false_alarms=config.false_alarms,
        episodes=len(held_out),
    )


def _together(deviations: Tensor) -> float:
    """The most that all scores (inferences, scores) of an episode reach at a time; of none, less than anything."""
    return float(deviations.amin(dim=1).max()) if len(deviations) else -math.inf


def monitor_made(
    fit: Callable[[Sequence[EpisodeT]], ScoringT], config: MonitorConfig, tried: Sequence[EpisodeT]
) -> tuple[ScoringT, Monitor]:
    """A monitor of episodes that were watched; `fit` makes scores by which what is seen in some of them is known.

    Raises:
        ValueError: too few of them succeeded for the share of false alarms that is asked for, or what was seen or a
            score never changes.
    """
    known, usual, held_out = parts_of(tried)
    least = least_values(config.false_alarms)
    if len(held_out) < least:
        raise ValueError(
            f"{sum(episode.succeeded for episode in tried)} of {len(tried)} episodes succeeded, which leaves "
            f"{len(held_out)} to set thresholds by: a share of {config.false_alarms:g} of false alarms takes at least "
            f"{least}; try more episodes (--monitor-episodes) or allow more false alarms"
        )
    scorer = fit(known)
    return scorer, calibrate(scorer, config, usual, held_out)


def parts_of(tried: Sequence[EpisodeT]) -> tuple[list[EpisodeT], ...]:
    """Split what succeeded: a third to learn from, a sixth that tells what scores are usual, a half that sets the
    thresholds. Episodes are dealt out in turn, so that each part has all kinds of surroundings."""
    good = [episode for episode in tried if episode.succeeded]
    parts: tuple[list[EpisodeT], ...] = ([], [], [])
    for place, episode in enumerate(good):
        parts[(0, 1, 2, 0, 2, 2)[place % 6]].append(episode)
    return parts
