"""Per-episode statistics of every feature, and how LeRobot puts them together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.features import Features
from isthmus_datasets.format.images.pixels import Pixels

Statistics = dict[str, dict[str, NDArray[Any]]]
"""feature -> min, max, mean, std, q01 … q99 of a row's shape, and count (1,). Of images they are (3, 1, 1) in [0, 1],
of depths (1, 1, 1) in the unit of the pixels, those without a reading (0) among them, as LeRobot has it
(https://github.com/huggingface/lerobot/pull/3899)."""

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
STATISTICS = ("min", "max", "mean", "std", "count", *QUANTILES)
MAX_IMAGES = 100
MAX_SIDE = 150


def column_statistics(values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Statistics of `values` (T, *shape), T ≥ 1, along the first axis; float64."""
    numbers = values.astype(np.float64)
    quantiles = np.quantile(numbers, list(QUANTILES.values()), axis=0)
    return {
        "min": numbers.min(axis=0),
        "max": numbers.max(axis=0),
        "mean": numbers.mean(axis=0),
        "std": numbers.std(axis=0),
        "count": np.array([len(values)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


def sampled(length: int) -> NDArray[np.int64]:
    """Which of `length` images go into the statistics: all or `MAX_IMAGES`, evenly spaced."""
    return np.linspace(0, length - 1, min(length, MAX_IMAGES)).round().astype(np.int64)


def thinned(images: Pixels) -> Pixels:
    """Every so many pixels of images (…, H, W, c), as statistics take; again, it changes nothing."""
    step = max(1, max(images.shape[-3:-1]) // MAX_SIDE)
    return images[..., ::step, ::step, :].copy() if step > 1 else images


def image_statistics(images: Pixels) -> dict[str, NDArray[Any]]:
    """Statistics of `images` (n, H, W, c), per channel, (c, 1, 1): in [0, 1] of uint8, of uint16 as they are; count is
    n. Large images are thinned out first."""
    pixels = thinned(images).reshape(-1, images.shape[3])
    white = 255 if images.dtype == np.uint8 else 1
    channels = [_histogram_statistics(np.bincount(channel)) for channel in pixels.T]
    result: dict[str, NDArray[Any]] = {
        name: np.array([each[name] for each in channels]).reshape(-1, 1, 1) / white for name in channels[0]
    }
    return result | {"count": np.array([len(images)])}


def episode_statistics(
    features: Features, columns: Mapping[str, NDArray[Any]], images: Mapping[str, Pixels]
) -> Statistics:
    """Statistics of every feature but strings.

    Args:
        features: What the dataset declares.
        columns: name -> (T, *shape), without images.
        images: camera or image column -> what `sampled` chooses, (n, *shape), or that thinned.
    """
    result: Statistics = {}
    for name, feature in features.items():
        if feature.is_image:
            result[name] = image_statistics(images[name])
        elif feature.dtype != "string":
            result[name] = column_statistics(columns[name])
    return result


def _histogram_statistics(histogram: NDArray[np.int64]) -> dict[str, float]:
    """Statistics of values 0, 1, 2 … that occur `histogram` times."""
    values, total = np.arange(len(histogram)), histogram.sum()
    mean = float(histogram @ values / total)
    present = np.flatnonzero(histogram)
    quantiles = np.searchsorted(histogram.cumsum(), np.array(list(QUANTILES.values())) * total)
    return {
        "min": float(present[0]),
        "max": float(present[-1]),
        "mean": mean,
        "std": float(np.sqrt(histogram @ (values - mean) ** 2 / total)),
        **{name: float(value) for name, value in zip(QUANTILES, quantiles, strict=True)},
    }


def aggregate(parts: Sequence[Statistics]) -> Statistics:
    """Statistics of all episodes from those of each, as LeRobot puts them together: pooled mean and variance. Quantiles
    of the whole cannot be had from those of parts: low ones become the least, high ones the greatest of the parts, so
    that a policy which normalizes by them never finds the data far outside; the median is averaged by count. (Since
    https://github.com/huggingface/lerobot/pull/3804; averaging them all drew the tails inward.)

    A feature or a statistic that one part lacks is left out. Order and grouping do not matter but for rounding.
    """
    if not parts:
        return {}
    features = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: _aggregate([part[name] for part in parts]) for name in features}


def _aggregate(parts: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    kept = [name for name in STATISTICS if all(name in part for part in parts)]
    stacked = {name: np.stack([part[name] for part in parts]) for name in kept}
    counts = stacked["count"].astype(np.float64)
    weights = (counts / counts.sum()).reshape(-1, *[1] * (stacked["mean"].ndim - 1))
    mean = (weights * stacked["mean"]).sum(axis=0)
    variance = (weights * (stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2)).sum(axis=0)
    result = {
        "min": stacked["min"].min(axis=0),
        "max": stacked["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": stacked["count"].sum(axis=0),
    }
    medians = {name: (weights * stacked[name]).sum(axis=0) for name in ("q50",) if name in kept}
    low = {name: stacked[name].min(axis=0) for name in ("q01", "q10") if name in kept}
    high = {name: stacked[name].max(axis=0) for name in ("q90", "q99") if name in kept}
    return result | low | medians | high


def to_json(statistics: Statistics) -> bytes:
    """The content of meta/stats.json."""
    plain = {name: {key: value.tolist() for key, value in each.items()} for name, each in statistics.items()}
    return (json.dumps(plain, indent=4) + "\n").encode()


def from_json(content: bytes) -> Statistics:
    """From the content of meta/stats.json. Raises ValueError when it is not that."""
    plain = json.loads(content)
    if not isinstance(plain, dict) or not all(isinstance(each, dict) for each in plain.values()):
        raise ValueError("is not an object of objects")
    return {name: {key: np.asarray(value) for key, value in each.items()} for name, each in plain.items()}
