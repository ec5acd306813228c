"""Whether states follow actions, in every episode alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isthmus_datasets.tools.checks.correlation import CONFIDENT, MIN_STEPS, Delay, estimate
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan
from isthmus_datasets.tools.scan.finding import Finding

LATE_S = 0.5
BEFORE = -0.5  # steps: a state that moves before the action; 0 is an action that was read off the state
ENOUGH = 3  # episodes: in a single one, what is pushed may happen to move as the hand does later
OTHER_STEPS, OTHER_S = 2.0, 0.1  # from the usual delay
BETTER = 0.15  # than at the usual delay, in correlation: repeated movements agree at several delays


def delay(scan: DatasetScan) -> Iterator[Finding]:
    """The state follows the action, by less than half a second, the same way and equally late in every episode."""
    found = estimate(scan)
    if not found:
        yield from _different_spaces(scan)
    for each in found:
        yield from _overall(each, scan.info.fps)
        if len(each.episodes) >= ENOUGH:
            yield from _by_episode(each, scan.info.fps)


def _different_spaces(scan: DatasetScan) -> Iterator[Finding]:
    """Nothing follows: where action and state are of different size, they may speak of different things."""
    features = scan.info.features
    names = [name for name in ("observation.state", "state") if name in features]
    if "action" not in features or not names or max((episode.rows for episode in scan.episodes), default=0) < MIN_STEPS:
        return
    sizes = [int(np.prod(features[name].shape)) for name in ("action", names[0])]
    if sizes[0] != sizes[1]:
        yield Finding(
            severity="note",
            check="delay",
            message=f"action has {sizes[0]} channels, {names[0]} has {sizes[1]}, none of which follows one of those",
            fix="if one is of joints and the other of poses, a delay between them cannot be told",
        )


def _overall(delay: Delay, fps: int) -> Iterator[Finding]:
    text = f"{delay.state} follows {delay.action} by {_time(delay.steps, fps)}, correlation {delay.correlation:.2f}"
    if delay.steps < BEFORE:
        yield Finding(
            severity="warning" if len(delay.episodes) >= ENOUGH else "note",
            check="delay",
            message=f"{text}: it moves before it is told",
            fix="look whether actions were recorded a step late, or columns shifted against each other",
        )
    elif delay.steps > LATE_S * fps:
        yield Finding(
            severity="warning",
            check="delay",
            message=text,
            fix="look for a queue between operator and robot, or between sensor and recorder; predict further ahead",
        )


def _by_episode(delay: Delay, fps: int) -> Iterator[Finding]:
    sure = np.abs(delay.each_correlation) >= CONFIDENT
    clearly = np.abs(delay.each_correlation) - np.abs(delay.usual_correlation) >= BETTER
    other = np.abs(delay.each_steps - delay.steps) >= max(OTHER_STEPS, OTHER_S * fps)
    inverted = delay.each_correlation * delay.correlation < 0
    for i in np.flatnonzero(sure & ((clearly & other) | (inverted & ~other))):
        how = "the other way round" if inverted[i] else f"by {_time(delay.each_steps[i], fps)}"
        yield Finding(
            severity="warning",
            check="delay",
            episode=int(delay.episodes[i]),
            message=f"{delay.state} follows {delay.action} {how}, correlation {delay.each_correlation[i]:.2f};"
            f" in all episodes by {_time(delay.steps, fps)}, {delay.correlation:.2f}",
            fix="look at this episode's clocks and signs; delete it if they were others",
        )


def _time(steps: float, fps: int) -> str:
    return f"{steps / fps:+.3f} s ({steps:+.1f} steps)"
