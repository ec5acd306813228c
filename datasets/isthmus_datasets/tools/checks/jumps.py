"""Whether an episode is one: a world that begins anew inside it has jumped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.scan.dataset_scan import OBSERVED, DatasetScan
from isthmus_datasets.tools.scan.finding import Finding

FAST, TIMES = 0.95, 10.0  # quantile of a channel's steps, where it moves, and how far beyond it any jump is
SLOW, AGAIN = 0.8, 5.0  # the same of one that leads to where episodes begin, be it every fifth step
FAR = 0.1  # of a channel's range is the least jump, and how near to a beginning it leads
STILL = 1e-6  # of it is no movement
WAY = 0.2  # of it is what a channel goes without jumping; one that only ever snaps to and fro is a gripper, say
ALONE = 0.25  # of a jump is more than the step before it and that after it: a blow rings
SHARE, FEWEST, ENOUGH = 1 / 3, 2, 4  # of the channels that ever move jump at once; those that begin anew be ENOUGH
TURNS = (2 * math.pi, 360.0)
SAME_TURN = 0.05  # of a turn


def jumps(scan: DatasetScan) -> Iterator[Finding]:
    """Observations go on from one step to the next; angles may wrap and quaternions change their sign."""
    spans = {name: scan.span(name) for name in scan.numbers(*OBSERVED)}
    moving = {name: np.flatnonzero(np.isfinite(span) & (span > 0)) for name, span in spans.items()}
    fewest = min(FEWEST, sum(map(len, moving.values())))
    for name, moves in moving.items():
        span = spans[name][moves]
        values = {episode.index: v[:, moves].astype(float) for episode, v in scan.of(name)}
        if not 0 < fewest <= len(moves) or all(len(each) < 2 for each in values.values()):
            continue
        many = max(FEWEST, math.ceil(SHARE * len(moves)))
        anywhere, anew = _far(values, span, FAST, TIMES), _far(values, span, SLOW, AGAIN)
        starts = np.stack([each[0] for each in values.values()])
        for index, each in values.items():
            back = anew[index] & _alone(each) & _begins(each[1:], starts, FAR * span)
            begun, gone = back.sum(axis=1) >= min(many, ENOUGH, len(moves)), anywhere[index].sum(axis=1) >= many
            found = np.flatnonzero(begun | gone)
            if len(found):
                yield _finding(scan, name, index, found, (back | anywhere[index])[found[0]].sum())


def _far(
    values: Mapping[int, NDArray[np.float64]], span: NDArray[np.float64], quantile: float, times: float
) -> dict[int, NDArray[np.bool_]]:
    """episode -> (T - 1, C): where a channel goes far at once that otherwise goes its way."""
    steps = {index: np.abs(np.diff(each, axis=0)) for index, each in values.items()}
    together = np.concatenate(list(steps.values()))
    moving = [channel[channel > STILL * width] for channel, width in zip(together.T, span, strict=True)]
    usual = np.array([np.quantile(channel, quantile) if len(channel) else 0.0 for channel in moving])
    least = np.maximum(times * usual, FAR * span)
    far = {index: (each > least) & ~_same(values[index]) for index, each in steps.items()}
    way = np.max([_way(values[index], jumped) for index, jumped in far.items()], axis=0)
    return {index: jumped & (way > WAY * span) for index, jumped in far.items()}


def _alone(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T, C) -> (T - 1, C): whether a step is far longer than those beside it."""
    step = np.pad(np.abs(np.diff(values, axis=0)), ((1, 1), (0, 0)))
    return np.maximum(step[:-2], step[2:]) < ALONE * step[1:-1]


def _begins(values: NDArray[np.float64], starts: NDArray[np.float64], near: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether values (T, C) are among those that episodes begin with, (E, C)."""
    return (values >= starts.min(axis=0) - near) & (values <= starts.max(axis=0) + near)


def _way(values: NDArray[np.float64], jumped: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(C,): how far each channel goes between two of its jumps, at most."""
    ways = np.zeros(values.shape[1])
    for channel, (way, jumps_there) in enumerate(zip(values.T, jumped.T, strict=True)):
        parts = [part[np.isfinite(part)] for part in np.split(way, np.flatnonzero(jumps_there) + 1)]
        ways[channel] = max((np.ptp(part) for part in parts if len(part)), default=0.0)
    return ways


def _same(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(T, C) -> (T - 1, C): whether a channel says the same in other words, a turn further or with the other sign."""
    step = np.abs(np.diff(values, axis=0))
    turned = [np.abs(step - turn) < SAME_TURN * turn for turn in TURNS]
    flipped = np.abs(values[1:] + values[:-1]) < 0.1 * step
    return np.any([*turned, flipped], axis=0)


def _finding(scan: DatasetScan, name: str, episode: int, found: NDArray[np.int64], channels: int) -> Finding:
    more = f", and {len(found) - 1} times more" if len(found) > 1 else ""
    return Finding(
        severity="warning",
        check="jumps",
        episode=episode,
        message=f"{channels} channels of {name} jump at once from step {found[0]} to {found[0] + 1}{more}",
        fix="look whether a simulator began anew there, or two episodes became one: split it there, or delete it",
    )
