"""Images in the rows: given one after the other, kept as they are, and read a few at a time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refused
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.image_rows import AT_ONCE, row_parts
from isthmus_datasets.format.images.frames import png
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.tools.operations import keep_episodes, recompute_statistics
from isthmus_datasets.tools.packing import pack

FEATURES: Features = {
    "action": Feature(dtype="float32", shape=(1,)),
    "still": Feature(dtype="image", shape=(16, 24, 3)),
}
STEPS = 2 * AT_ONCE + 5


def still(step: int) -> np.ndarray:
    return np.full((16, 24, 3), 2 * step, np.uint8)


def jpeg(step: int) -> bytes:
    return cv2.imencode(".jpg", still(step))[1].tobytes()


def episode(images: list) -> Episode:
    action = np.arange(STEPS, dtype=np.float32)[:, None]
    return Episode(columns={"action": action}, videos={"still": lambda: iter(images)}, task="look")


@pytest.fixture
def source(tmp_path: Path) -> DatasetReader:
    """An episode of JPEG files, and one of arrays."""
    made = [episode([form(step) for step in range(STEPS)]) for form in (jpeg, still)]
    return DatasetReader(written(tmp_path / "source", FEATURES, made))


def test_files_stay_as_they_are_in_every_copy(source: DatasetReader, tmp_path: Path):
    files = [jpeg(step) for step in range(STEPS)]
    assert list(source.image_files(0, "still")) == files
    pack(source.root, tmp_path / "packed")
    keep_episodes(tmp_path / "packed", tmp_path / "kept", [1, 0])
    assert list(DatasetReader(tmp_path / "packed").image_files(0, "still")) == files
    kept = DatasetReader(tmp_path / "kept")
    assert list(kept.image_files(1, "still")) == files
    np.testing.assert_array_equal(kept.columns(0)["still"], [still(step) for step in range(STEPS)])
    assert kept.episode(0, videos=False).columns.keys() == {"action"}


def test_statistics_are_those_of_the_images(source: DatasetReader, tmp_path: Path):
    before = (source.root / "meta/stats.json").read_bytes()
    whole = {"still": np.stack([still(step) for step in range(STEPS)])}
    columns = {"action": np.zeros((STEPS, 1), np.float32), **whole}
    written(tmp_path / "whole", FEATURES, [Episode(columns=columns, task="look")])
    recompute_statistics(source.root)
    assert (source.root / "meta/stats.json").read_bytes() == before
    said = pq.read_table(tmp_path / "whole/meta/episodes/chunk-000/file-000.parquet")["stats/still/mean"].to_pylist()
    np.testing.assert_allclose(said, np.full((1, 3, 1, 1), (STEPS - 1) / 255), rtol=1e-6)


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ([still(0)] * (STEPS - 1), f"{STEPS - 1} images"),
        ([still(0)] * (STEPS + 1), f"more than {STEPS} images"),
        ([still(0)] * 3 + [still(0)[:8]] * (STEPS - 3), "uint8 (8, 24, 3) | row 3"),
        ([still(0)] * 40 + [png(still(0))[:50]] * (STEPS - 40), "row 40"),
    ],
    ids=["too few", "too many", "another shape", "cut short"],
)
def test_images_that_do_not_fit_are_named(source: DatasetReader, images: list, told: str):
    with DatasetWriter.open(source.root) as writer:
        with refused(f"source | episode 2 | 'still' | {told}"):
            writer.append(episode(images))
        assert writer.append(episode([still(0)] * STEPS)) == 2


def test_rows_of_another_episode_are_not_given(source: DatasetReader):
    path = source.root / "data/chunk-000/file-001.parquet"
    path.write_bytes((source.root / "data/chunk-000/file-000.parquet").read_bytes())
    with refused("episode 1 | file-001.parquet | other rows"):
        next(source.stream(1, "still"))


@pytest.mark.parametrize("group", [1, 7, AT_ONCE, 100])
def test_any_rows_of_files_cut_in_any_way(tmp_path: Path, group: int):
    pq.write_table(pa.table({"row": range(100)}), tmp_path / "a.parquet", row_group_size=group)
    for first, count in ((0, 100), (3, 1), (31, 33), (60, 40), (99, 1)):
        parts = list(row_parts(tmp_path / "a.parquet", ["row"], first=first, count=count))
        assert max(map(len, parts)) <= AT_ONCE
        assert [row for part in parts for row in part["row"].to_pylist()] == list(range(first, first + count))
