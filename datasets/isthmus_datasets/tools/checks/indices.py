"""Whether rows are numbered as LeRobot numbers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.images.frames import TOLERANCE_S
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan, EpisodeScan
from isthmus_datasets.tools.scan.finding import Finding


def index(scan: DatasetScan) -> Iterator[Finding]:
    """frame_index, episode_index, index and timestamp are as the step, the episode and fps say."""
    for episode in scan.episodes:
        for name, expected in _expected(episode, scan.info.fps).items():
            values = episode.columns.get(name)
            if values is None or not len(values):
                continue
            limit = TOLERANCE_S + 1e-7 * expected if name == "timestamp" else 0  # float32 has 7 digits
            wrong = ~(np.abs(values[:, 0] - expected) <= limit)
            if wrong.any():
                step = int(np.argmax(wrong))
                message = f"{name} is {values[step, 0]:g} at step {step}, expected {expected[step]:g}"
                yield Finding(
                    severity="error",
                    check="index",
                    episode=episode.index,
                    message=f"{message}; wrong at {wrong.sum()} of {len(wrong)} steps{_where(name)}",
                    fix=_fix(name),
                )


def _expected(episode: EpisodeScan, fps: int) -> dict[str, NDArray[Any]]:
    steps = np.arange(episode.rows)
    return {
        "frame_index": steps,
        "episode_index": np.full(episode.rows, episode.index),
        "index": episode.row.first + steps,
        "timestamp": steps / fps,
    }


def _where(name: str) -> str:
    return " (frames of video are looked up by it)" if name == "timestamp" else ""


def _fix(name: str) -> str:
    if name == "timestamp":
        return "write frame_index / fps; keep measured times in an int64 column NAME_ns of their own"
    return f"renumber {name}"
