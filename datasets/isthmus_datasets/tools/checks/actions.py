"""Whether the robot could do what the operator wanted: actions at a limit, actions that were changed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.scan.dataset_scan import DatasetScan
from isthmus_datasets.tools.scan.finding import Finding

AT_LIMIT = 1e-6  # of a channel's range
SATURATED = 0.2  # of an episode's steps
MIN_STEPS = 5
MOVES = 0.002  # of a channel's range in a step
SWITCH_VALUES = 10
SWITCH_ENDS, SWITCH_SHARE = (
    0.05,
    0.8,
)  # a channel that is at one or the other end, but for so much of its range and time
CHANGED = 0.01  # of a channel's range
CHANGED_NOTE, CHANGED_WARNING = 0.02, 0.2  # of an episode's steps
RESTS = 0.5  # of the episodes begin there: a hand that is open, an arm at its home
SENT, WANTED = ("sent", "applied", "executed"), ("operator", "wanted", "commanded", "raw")
"""Parts of the names of features with the action that the robot got, and the one that was asked for."""


def saturated(scan: DatasetScan) -> Iterator[Finding]:
    """Actions do not stay at a channel's extreme while others move, but for switches and what rests there at first."""
    wanted, sent = _pair(scan)
    for name in scan.actions():
        if sent and name == wanted:
            continue  # what the operator's device cannot say, the robot was not sent either
        everything = scan.all_of(name)
        if not len(everything):
            continue
        low, high = everything.min(axis=0), everything.max(axis=0)
        switch = np.array([_is_switch(column) for column in everything.T])
        first = np.array([values[0] for _, values in scan.of(name)])
        at_rest = [(first <= low + AT_LIMIT * (high - low)), (first >= high - AT_LIMIT * (high - low))]
        rests = {end: each.mean(axis=0) >= RESTS for end, each in zip(("lowest", "highest"), at_rest, strict=True)}
        for episode, values in scan.of(name):
            if len(values) < MIN_STEPS:
                continue
            for channel, limit, share in _at_limits(values, low, high):
                if not switch[channel] and not rests[limit.split()[0]][channel]:
                    yield Finding(
                        severity="warning",
                        check="saturated",
                        episode=episode.index,
                        message=f"{scan.channel(name, channel)} is at its {limit} in {share:.0%} of the steps",
                        fix="look whether a limit, the operator's reach or a conversion cuts it off there",
                    )


def _is_switch(values: NDArray[Any]) -> bool:
    """(N,): few values, or nearly always one of two ends."""
    values = values[:: 1 + len(values) // 100_000]
    if len(np.unique(values)) < SWITCH_VALUES:
        return True
    low, high = values.min(), values.max()
    at_low, at_high = (
        (values - low < SWITCH_ENDS * (high - low)).mean(),
        (high - values < SWITCH_ENDS * (high - low)).mean(),
    )
    return at_low + at_high > SWITCH_SHARE and min(at_low, at_high) > SWITCH_ENDS


def _at_limits(values: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> Iterator[tuple[int, str, float]]:
    """Channels of (T, C), the limit that they stay at, and their share of the steps there."""
    span = high - low
    moving = np.abs(np.diff(values, axis=0, prepend=values[:1])) > MOVES * span
    others = moving.sum(axis=1, keepdims=True) - moving > 0 if values.shape[1] > 1 else True
    for kind, at, limit in (
        ("lowest", values <= low + AT_LIMIT * span, low),
        ("highest", values >= high - AT_LIMIT * span, high),
    ):
        share = (at & others & (span > 0)).mean(axis=0)
        yield from ((int(c), f"{kind} value {limit[c]:.6g}", share[c]) for c in np.flatnonzero(share >= SATURATED))


def changed_actions(scan: DatasetScan) -> Iterator[Finding]:
    """The action that was sent is the operator's; where both are recorded, they are compared."""
    wanted, sent = _pair(scan)
    if wanted is None or sent is None:
        return
    span = scan.span(wanted)
    for episode, values in scan.of(wanted):
        if sent not in episode.columns:
            continue
        off = np.abs(episode.columns[sent].reshape(values.shape) - values) > CHANGED * span
        share = float(off.any(axis=1).mean())
        if share >= CHANGED_NOTE:
            worst = scan.channel(wanted, int(off.mean(axis=0).argmax()))
            yield Finding(
                severity="warning" if share >= CHANGED_WARNING else "note",
                check="changed-actions",
                episode=episode.index,
                message=f"{sent} is not {wanted} in {share:.0%} of the steps, most often {worst}",
                fix=f"train on {sent}, or look why the operator asks for what the robot does not do",
            )


def _pair(scan: DatasetScan) -> tuple[str | None, str | None]:
    """Names of the operator's and the sent action, where both are there and of one shape."""
    names = scan.actions()
    sent = [name for name in names if any(part in name for part in SENT)]
    wanted = [name for name in names if name not in sent and (name == "action" or any(p in name for p in WANTED))]
    if not sent or not wanted:
        others = [name for name in names if name not in (*sent, *wanted)]
        return (others[0] if others and sent else None), (sent[0] if sent else None)
    features = scan.info.features
    same = features[wanted[0]].shape == features[sent[0]].shape
    return (wanted[0], sent[0]) if same else (None, None)
