"""Whether statistics are those of the data: training scales with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.staging import STATS_FILE
from isthmus_datasets.format.statistics import QUANTILES, Statistics, aggregate, column_statistics
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan, EpisodeScan
from isthmus_datasets.tools.scan.finding import Finding

TOLERANCE = 1e-3  # of a channel's range: others sum in float32
ROUNDING = 1e-6  # of the largest value
HISTOGRAM = 1e-9  # LeRobot widens a histogram by a tenth of that on either side
SQUARES = 1e-5  # of the largest value squared: a variance that is the difference of sums of squares in float32
IMAGE_TOLERANCE = 0.05  # of white, or of the greatest depth: others sample other frames and other pixels
FIX = "recompute the statistics: training would scale with wrong ones"
Parts = dict[str, NDArray[Any]]


def statistics(scan: DatasetScan) -> Iterator[Finding]:
    """meta/stats.json, and the statistics of each episode, are those of the data."""
    parts = [_actual(scan, episode) for episode in scan.episodes]
    spans = _spans(scan, parts)
    for episode, actual in zip(scan.episodes, parts, strict=True):
        for problem in _problems(episode.statistics, actual, spans):
            yield Finding(
                severity="error",
                check="statistics",
                episode=episode.index,
                message=f"meta/episodes: statistics of {problem}",
                fix=FIX,
            )
    if scan.statistics is None or len(parts) < scan.info.total_episodes:
        return
    for problem in _problems(scan.statistics, aggregate(parts), spans, everything=True):
        yield Finding(severity="error", check="statistics", message=f"{STATS_FILE}: {problem}", fix=FIX)


def _spans(scan: DatasetScan, parts: Sequence[Statistics]) -> dict[str, NDArray[Any] | None]:
    """Range of each feature's channels over all episodes; None for images."""
    spans: dict[str, NDArray[Any] | None] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        of = [part[name] for part in parts if name in part]
        span = np.max([each["max"] for each in of], axis=0) - np.min([each["min"] for each in of], axis=0)
        spans[name] = None if scan.info.features[name].is_image else np.ravel(span)
    return spans


def _actual(scan: DatasetScan, episode: EpisodeScan) -> Statistics:
    """Statistics of the columns and images that an episode brought; those that are not all there, or not finite, are
    left out."""
    result: Statistics = {}
    for name in (name for name, feature in scan.info.features.items() if not _is_index(scan, name, feature)):
        values, footage = episode.columns.get(name), episode.footage.get(name)
        if footage is not None and footage.frames == episode.row.length:
            result[name] = footage.statistics
        if values is not None and len(values) == episode.row.length > 0 and np.isfinite(values).all():
            result[name] = column_statistics(values)
    return result


def _is_index(scan: DatasetScan, name: str, feature: Feature) -> bool:
    return feature.dtype == "string" or not (feature.is_image or name in scan.info.columns)


def _problems(
    said: Statistics, actual: Statistics, spans: Mapping[str, NDArray[Any] | None], everything: bool = False
) -> Iterator[str]:
    """One for each feature. What is not said is a problem only if `everything` should be."""
    for name, parts in actual.items():
        if name not in said:
            problem = "are missing" if everything else None
        else:
            problem = _difference(said[name], parts, spans[name]) or _disorder(said[name])
        if problem:
            yield f"{name} {problem}"


def _difference(said: Parts, actual: Parts, span: NDArray[Any] | None) -> str | None:
    """The first statistic that is another one.

    span: (channels,) over the whole dataset, since a joint that is held in one episode is not known better there; None
    for images, of which count and extremes depend on which were sampled.
    """
    largest = np.maximum(np.abs(np.ravel(actual["min"])), np.abs(np.ravel(actual["max"])))
    for key in ("mean", "std") if span is None else ("count", "min", "max", "mean", "std"):
        if key not in said or said[key].dtype.kind not in "biuf" or said[key].size != actual[key].size:
            return f"lack {key}, or have no numbers of its shape"
        ours, theirs = np.ravel(actual[key]).astype(float), np.ravel(said[key]).astype(float)
        limit = TOLERANCE * span + ROUNDING * largest if span is not None else IMAGE_TOLERANCE * np.maximum(1, largest)
        off = ~(np.abs(theirs - ours) <= (0.0 if key == "count" else limit))
        if key == "std" and span is not None:
            off &= ~(np.abs(theirs**2 - ours**2) <= SQUARES * largest**2)
        if off.any():
            channel = int(off.argmax())
            return f"have {key} {theirs[channel]:.6g} in channel {channel}, the data's is {ours[channel]:.6g}"
    return None


def _disorder(said: Parts) -> str | None:
    """Quantiles that do not rise from min to max."""
    there = [key for key in ("min", *QUANTILES, "max") if key in said and said[key].dtype.kind in "biuf"]
    keys = [key for key in there if said[key].shape == said[there[0]].shape]
    if len(keys) < 2:
        return None
    values = np.array([np.ravel(said[key]).astype(float) for key in keys])
    slack = TOLERANCE * (values[-1] - values[0]) + ROUNDING * np.abs(values).max(axis=0) + HISTOGRAM
    falls = np.diff(values, axis=0) < -slack
    if not falls.any():
        return None
    which = int(np.argwhere(falls)[0, 0])
    return f"have {keys[which]} above {keys[which + 1]}"
