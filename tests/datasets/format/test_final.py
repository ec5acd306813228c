"""What was observed after an episode's last action: kept without loss, by every operation, and only where it is so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import refused
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.tools.operations import delete_episodes, keep_episodes, merge
from isthmus_datasets.tools.packing import pack

FEATURES: Features = {
    "observation.state": Feature(dtype="float32", shape=(2,)),
    "observation.images.scene": Feature(dtype="video", shape=(16, 32, 3)),
    "simulation.cube": Feature(dtype="float64", shape=(1,)),
    "action": Feature(dtype="float32", shape=(2,)),
}


def last(i: int) -> dict[str, Any]:
    noise = np.random.default_rng(i).integers(0, 256, (16, 32, 3), np.uint8)
    return {
        "observation.state": np.array([i, -i], np.float32),
        "observation.images.scene": noise,
        "simulation.cube": np.array([0.1 * i]),
    }


def episode(i: int, final: dict[str, Any] | None) -> Episode:
    n = 3 + i
    columns = {
        "observation.state": np.zeros((n, 2), np.float32),
        "simulation.cube": np.zeros((n, 1)),
        "action": np.zeros((n, 2), np.float32),
    }
    videos = {"observation.images.scene": np.full((n, 16, 32, 3), 80, np.uint8)}
    return Episode(columns=columns, videos=videos, task="lift", final=final)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four episodes; of the third nothing was kept."""
    return written(tmp_path / "source", FEATURES, [episode(i, None if i == 2 else last(i)) for i in range(4)])


def finals(root: Path) -> list[int | None]:
    """Of every episode the number of the observation that was kept, which is whole; None where none was."""
    reader, found = DatasetReader(root), []
    for index in range(reader.num_episodes):
        final = reader.final(index)
        found.append(None if final is None else int(final["observation.state"][0]))
        for name, values in (final or {}).items():
            np.testing.assert_array_equal(values, last(found[-1])[name])
            assert values.dtype == last(0)[name].dtype
    return found


def test_it_is_read_as_it_was_appended(source: Path):
    assert finals(source) == [0, 1, None, 3]
    assert DatasetReader(source).episode(2, videos=False).final is None


def test_operations_keep_it(source: Path, tmp_path: Path):
    keep_episodes(source, tmp_path / "some", [3, 2, 0])
    assert finals(tmp_path / "some") == [3, None, 0]
    delete_episodes(source, tmp_path / "others", [0])
    merge([tmp_path / "some", tmp_path / "others"], tmp_path / "both")
    assert finals(tmp_path / "both") == [3, None, 0, 1, None, 3]
    pack(tmp_path / "both", tmp_path / "packed")
    assert finals(tmp_path / "packed") == [3, None, 0, 1, None, 3]
    keep_episodes(tmp_path / "packed", tmp_path / "again", [4, 5])
    assert finals(tmp_path / "again") == [None, 3]


def test_what_a_crash_has_left_of_it_goes_away(source: Path):
    """Its file was renamed into place, but the episode was not committed."""
    left = source / "meta/final/chunk-000/file-004.parquet"
    left.write_bytes(b"of an episode that was not committed")
    with DatasetWriter.open(source) as writer:
        assert not left.exists()
        writer.append(episode(4, None))
    assert finals(source) == [0, 1, None, 3, None]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"observation.state": np.zeros(3, np.float32)}, "final | 'observation.state'"),
        ({"observation.state": np.array([0, np.nan], np.float32)}, "final | 'observation.state'"),
        ({"observation.images.scene": np.zeros((16, 30, 3), np.uint8)}, "final | 'observation.images.scene'"),
        ({"action": np.zeros(2, np.float32)}, "final | action, observation.images.scene"),
    ],
)
def test_what_is_not_as_declared_is_refused(source: Path, change: dict[str, Any], told: str):
    with DatasetWriter.open(source) as writer, refused(f"episode 4 | {told}"):
        writer.append(replace(episode(4, None), final=last(4) | change))


def test_a_damaged_file_is_named(source: Path):
    path = source / "meta/final/chunk-000/file-001.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with refused("episode 1 | file-001.parquet | whole"):
        DatasetReader(source).final(1)
