"""How a policy is watched, as its contract says it."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One number that tells whether a policy is out of its depth; higher is worse."""

    name: str
    description: str
    """What is unusual where it is high, such as "what is seen is unlike what was seen in successful episodes"."""
    threshold: float
    """What its mean over the window exceeds during an alarm."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Monitor:
    """The scores of a policy, computed by a graph of their own from what the policy infers from, and of one that is run
    step by step also from its memory and its commands. There is an alarm while the means of all of them exceed their
    thresholds."""

    scores: tuple[Score, ...]
    """In the order of the graph's output."""
    window: int
    """Computations over which each score is averaged; before an episode has had as many, there is no alarm."""
    noise: tuple[int, ...] | None = None
    """Shape, without the batch axis, of what the graph draws from the standard normal distribution (float32, input
    `noise`); None for one that draws nothing."""
    every: int | None = None
    """Control periods from one computation to the next, of a policy that is run step by step; None for a policy of
    chunks, whose scores are computed at each inference."""
    carried: int | None = None
    """Numbers that the graph hands on to its next call (output `next_carried`, input `carried`, float32), zeros where
    an episode begins; None for one that remembers nothing."""
    false_alarms: float
    """Share of successful episodes in which there may be an alarm."""
    episodes: int
    """Successful episodes by which the thresholds were set."""


def monitor_of(document: Mapping[str, Any] | None) -> Monitor | None:
    """The monitor in a valid contract; None for a policy that is not watched."""
    if document is None:
        return None
    noise = document.get("noise")
    return Monitor(
        scores=tuple(Score(**item) for item in document["scores"]),
        window=int(document["window"]),
        noise=None if noise is None else tuple(int(size) for size in noise),
        every=_whole(document.get("every")),
        carried=_whole(document.get("carried")),
        false_alarms=document["false_alarms"],
        episodes=int(document["episodes"]),
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
