"""A small dataset of noise: depths, a camera without loss, both of odd sizes, and one with loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.storage import depth_camera, without_loss
from isthmus_datasets.format.reader import DatasetReader

DEPTH, EXACT, LOSSY = "observation.images.depth", "observation.images.exact", "observation.images.lossy"
LENGTHS = (5, 12, 3)
CAMERAS: Features = {
    DEPTH: depth_camera(15, 21),
    EXACT: Feature(dtype="video", shape=(17, 19, 3)),
    LOSSY: Feature(dtype="video", shape=(16, 32, 3)),
}
FEATURES = without_loss({"action": Feature(dtype="float64", shape=(1,)), **CAMERAS}, [EXACT])


def noise(camera: str, seed: int, length: int) -> np.ndarray:
    """(length, *shape) of all values that there are."""
    feature = FEATURES[camera]
    values = np.random.default_rng(seed).integers(
        0, np.iinfo(feature.numpy).max, (length, *feature.shape), endpoint=True
    )
    return values.astype(feature.numpy)


def make_episode(seed: int, length: int) -> Episode:
    steps = np.arange(length, dtype=float)[:, None]
    videos = {camera: noise(camera, seed, length) for camera in CAMERAS}
    return Episode(columns={"action": np.sin(steps + seed)}, videos=videos, task="look", facts={"seed": seed})


def write(root: Path, seeds: Sequence[int] = range(len(LENGTHS)), lengths: Sequence[int] = LENGTHS) -> Path:
    return written(root, FEATURES, [make_episode(*made) for made in zip(seeds, lengths, strict=True)])


def assert_exact(root: Path, seeds: Sequence[int]) -> None:
    """The episodes made of `seeds`, every value of depths and of the camera without loss as it was."""
    reader = DatasetReader(root)
    assert [row.facts["seed"] for row in reader.episodes] == list(seeds)
    for row, seed in zip(reader.episodes, seeds, strict=True):
        for camera in (DEPTH, EXACT):
            was = noise(camera, seed, row.length)
            found = reader.frames(row.index, camera)
            assert found.dtype == was.dtype
            np.testing.assert_array_equal(found, was)
            np.testing.assert_array_equal(np.stack(list(reader.stream(row.index, camera))), was)
