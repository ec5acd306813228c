"""What was observed after an episode's last action is there for a learner that asks for the next observation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from counting_dataset import whole, windows
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.final import final_file
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.tools.packing import pack
from isthmus_datasets.training import final_rows
from isthmus_datasets.training.dataset import Subset, WindowDataset
from isthmus_datasets.training.windows import WindowConfig

STATE, SCENE = "observation.state", "observation.images.scene"
FEATURES: Features = {
    STATE: Feature(dtype="float64", shape=(2,)),
    SCENE: Feature(dtype="video", shape=(16, 32, 3)),
    "action": Feature(dtype="float32", shape=(1,)),
}
LENGTHS = (3, 2, 1)


def episode(index: int, length: int, *, final: bool) -> Episode:
    """The state is (episode, step); frames have a grey level of their own, the final one 200."""
    steps = np.arange(length, dtype=float)
    after = {STATE: np.array([index, float(length)]), SCENE: np.full((16, 32, 3), 200, np.uint8)}
    return Episode(
        columns={
            STATE: np.stack([np.full(length, float(index)), steps], axis=1),
            "action": steps[:, None].astype(np.float32),
        },
        videos={SCENE: np.broadcast_to((40 + 10 * steps)[:, None, None, None], (length, 16, 32, 3)).astype(np.uint8)},
        task="go",
        final=after if final else None,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Nothing was kept of episode 1."""
    made = [episode(index, length, final=index != 1) for index, length in enumerate(LENGTHS)]
    return written(tmp_path / "data", FEATURES, made)


def test_it_is_the_row_after_the_last_one(root: Path):
    config = WindowConfig(columns={STATE: (0, 2), "action": (0, 1)})
    batch = whole(windows(DatasetReader(root), config))
    assert batch[STATE].dtype == np.float32
    assert batch[STATE][:, :, 1].tolist() == [
        [0, 1, 2], [1, 2, 3], [2, 3, 3],
        [0, 1, 1], [1, 1, 1],  # nothing is known: the last row stands there
        [0, 1, 1],
    ]  # fmt: skip
    assert (batch[STATE][:, :, 0] == np.repeat([0, 1, 2], LENGTHS)[:, None]).all()
    assert batch[f"{STATE}_is_pad"].tolist() == [
        [False, False, False], [False, False, False], [False, False, True],
        [False, False, True], [False, True, True],
        [False, False, True],
    ]  # fmt: skip
    assert batch["action_is_pad"][2].tolist() == [False, True], "no action follows"


def test_what_is_no_number_is_named(root: Path):
    path = root / final_file(0, 2)
    table = pq.read_table(path)
    field = table.schema.field(STATE)
    spoilt = pa.array([[2.0, np.nan]], field.type)
    pq.write_table(table.set_column(table.column_names.index(STATE), field, spoilt), path)
    config = WindowConfig(columns={STATE: (0, 1)})
    with pytest.raises(DatasetError, match=r"episode 2: 'observation.state' is not finite after its last action"):
        windows(DatasetReader(root), config)
    assert len(windows(Subset(reader=DatasetReader(root), episodes=[0, 1]), config)) == 5


def test_images_come_too_at_their_size(root: Path):
    config = WindowConfig(cameras={SCENE: (1, 1)})
    batch = whole(windows(DatasetReader(root), config, size=(4, 8)))
    assert batch[SCENE].shape == (6, 1, 3, 4, 8)
    np.testing.assert_allclose(batch[SCENE].mean((1, 2, 3, 4)), [50, 60, 200, 50, 50, 200], atol=3)
    assert batch[f"{SCENE}_is_pad"].ravel().tolist() == [False, False, False, False, True, False]


def test_a_step_with_no_row_but_that_behind_it_is_a_current_one(root: Path):
    config = WindowConfig(columns={STATE: (0, 1), "action": (0, 0)}, pad_after=0)
    kept = Subset(reader=DatasetReader(root), episodes=[0, 1])
    assert whole(windows(kept, config))[STATE][:, :, 1].tolist() == [[0, 1], [1, 2], [2, 3], [0, 1]]


def test_it_is_found_where_datasets_are_joined_packed_and_grow(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = WindowConfig(columns={STATE: (1, 1)})
    dataset = windows(DatasetReader(root), config)
    with DatasetWriter.open(root) as writer:
        writer.append(episode(3, 2, final=True))
    assert dataset.refresh() == 2
    after = whole(dataset)
    assert after[STATE][:, 0, 1].tolist() == [1, 2, 3, 1, 1, 1, 1, 2]
    pack(root, tmp_path / "packed")
    packed = DatasetReader(tmp_path / "packed")
    np.testing.assert_array_equal(whole(windows(packed, config))[STATE], after[STATE])
    monkeypatch.setattr(final_rows, "_ROWS", 1)  # so that some are read without any that is chosen
    chosen = Subset(reader=packed, episodes=[2])
    both = whole(WindowDataset([chosen, DatasetReader(root)], config))
    np.testing.assert_array_equal(both[STATE], np.concatenate([after[STATE][5:6], after[STATE]]))
