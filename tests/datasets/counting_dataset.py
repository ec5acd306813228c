"""A small dataset whose every frame and row can be told by its number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.training.dataset import Subset, WindowDataset
from isthmus_datasets.training.windows import WindowConfig

LENGTHS = (4, 1, 6)
FEATURES: Features = {
    "action": Feature(dtype="float64", shape=(2,)),
    "contact": Feature(dtype="bool", shape=(1,)),
    "said": Feature(dtype="string", shape=(1,)),
    "front": Feature(dtype="video", shape=(16, 32, 3)),
    "wrist": Feature(dtype="video", shape=(32, 16, 3)),
    "still": Feature(dtype="image", shape=(5, 7, 3)),
}
CURRENT = {"index": (0, 0)}
"""A window of the current step's number."""


def images(camera: str, index: int, length: int) -> np.ndarray:
    """Every frame of a grey level of its own."""
    levels = 20 + 60 * list(FEATURES).index(camera) % 70 + 35 * index + 5 * np.arange(length, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (length, *FEATURES[camera].shape)).astype(np.uint8)


def make_episode(index: int, length: int) -> Episode:
    """action is (episode, step)."""
    return Episode(
        columns={
            "action": np.stack([np.full(length, float(index)), np.arange(length, dtype=float)], axis=1),
            "contact": np.arange(length)[:, None] % 2 == 0,
            "said": np.full((length, 1), "go", object),
            "still": images("still", index, length),
        },
        videos={camera: images(camera, index, length) for camera in ("front", "wrist")},
        task="count",
        facts={},
    )


def write(root: Path, lengths: Sequence[int] = LENGTHS, *, fps: int = 10) -> Path:
    return written(root, FEATURES, [make_episode(*each) for each in enumerate(lengths)], fps=fps)


def append(root: Path, *lengths: int) -> None:
    with DatasetWriter.open(root) as writer:
        for length in lengths:
            writer.append(make_episode(writer.num_episodes, length))


def windows(reader: DatasetReader | Subset, config: WindowConfig | None = None, **settings: Any) -> WindowDataset:
    return WindowDataset(reader, config or WindowConfig(columns=CURRENT), **settings)


def whole(dataset: WindowDataset) -> dict[str, np.ndarray]:
    """All windows in their order."""
    numbers = np.arange(len(dataset))
    return {name: values.numpy() for name, values in dataset.batch(numbers, numbers).items()}
