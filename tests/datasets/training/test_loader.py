"""Batches: what is in them, every step once an epoch, resumed in mid-epoch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from counting_dataset import CURRENT, LENGTHS, images, load, whole
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.columns import load_columns
from isthmus_datasets.training.loader import Batch
from isthmus_datasets.training.windows import WindowConfig


def steps(batches: Iterable[Batch]) -> list[list[int]]:
    """The current step of every window, batch by batch."""
    return [batch["index"].ravel().tolist() for batch in batches]


def flat(parts: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


# ---- what is in a batch


def test_frames_are_those_of_the_reader(reader: DatasetReader):
    config = WindowConfig(columns={"action": (0, 0)}, cameras={"front": (-1, 0), "wrist": (0, 2), "still": (0, 0)})
    batch = whole(load(reader, config))
    assert {name: batch[name].shape for name in config.cameras} == {
        "front": (11, 2, 16, 32, 3),
        "wrist": (11, 3, 32, 16, 3),
        "still": (11, 1, 5, 7, 3),
    }
    for i, (episode, step) in enumerate(batch["action"][:, 0].astype(int)):
        last = LENGTHS[episode] - 1
        np.testing.assert_array_equal(batch["front"][i], reader.frames(episode, "front", [max(step - 1, 0), step]))
        rows = [min(step + n, last) for n in range(3)]
        np.testing.assert_array_equal(batch["wrist"][i], reader.frames(episode, "wrist", rows))
        np.testing.assert_array_equal(batch["still"][i, 0], images("still", episode, last + 1)[step])
        assert batch["wrist_is_pad"][i].tolist() == [step + n > last for n in range(3)]


def test_batches_are_contiguous_and_the_callers_own(reader: DatasetReader):
    config = WindowConfig(columns={"action": (0, 1)}, cameras={"front": (0, 0)})
    for batch in load(reader, config, shuffle=False):
        assert all(array.flags.c_contiguous and array.flags.writeable for array in batch.values())
        batch["action"][:], batch["front"][:] = -1, 0
    again = next(iter(load(reader, config, shuffle=False)))
    assert again["action"][1].tolist() == [[0, 1], [0, 2]]
    assert again["front"].min() > 0


def test_wrong_names_are_answered_with_the_valid_ones(reader: DatasetReader):
    with pytest.raises(DatasetError, match=r"no column of numbers 'actoin'; there is action, contact, timestamp"):
        load(reader, WindowConfig(columns={"actoin": (0, 0)}))
    with pytest.raises(DatasetError, match=r"no column of numbers 'said'"):
        load(reader, WindowConfig(columns={"said": (0, 0)}))
    with pytest.raises(DatasetError, match=r"no camera 'top'; there is front, wrist, still"):
        load(reader, WindowConfig(cameras={"top": (0, 0)}))


def test_columns_that_would_not_fit_into_memory_are_refused(reader: DatasetReader):
    assert load_columns(reader, ["action"], limit=11 * 16)["action"].nbytes == 11 * 16
    with pytest.raises(DatasetError, match=r"action of 11 rows take 1.76e-07 GB of memory, 1.75e-07 GB are available"):
        load_columns(reader, ["action"], limit=11 * 16 - 1)


def test_many_episodes_in_a_file_are_read_as_well(root: Path):
    """As LeRobot writes them."""
    expected = load_columns(DatasetReader(root), ["action", "index"])
    data, meta = root / "data/chunk-000", root / "meta/episodes/chunk-000"
    together = pa.concat_tables([pq.read_table(data / f"file-{i:03d}.parquet") for i in range(3)])
    rows = [pq.read_table(meta / f"file-{i:03d}.parquet") for i in range(3)]
    column = rows[0].schema.get_field_index("data/file_index")
    for path in data.iterdir():
        path.unlink()
    pq.write_table(together, data / "file-000.parquet", row_group_size=4)
    for i in range(3):
        pq.write_table(rows[i].set_column(column, "data/file_index", pa.array([0])), meta / f"file-{i:03d}.parquet")
    got = load_columns(DatasetReader(root), ["action", "index"])
    assert {name: values.tobytes() for name, values in got.items()} == {
        name: values.tobytes() for name, values in expected.items()
    }
    pq.write_table(together.take([0, 1, 2, 3, 5, 4, *range(6, 11)]), data / "file-000.parquet")
    with pytest.raises(DatasetError, match=r"file-000.parquet: row 4 is not of episode 1"):
        load_columns(DatasetReader(root), ["action"])


# ---- order


def test_order_repeats_for_a_seed_and_differs_between_epochs(reader: DatasetReader):
    loader, same, other = load(reader), load(reader), load(reader, seed=1)
    epochs = [steps(loader) for _ in range(3)]
    assert [len(batch) for batch in epochs[0]] == [4, 4, 3]
    assert epochs == [steps(same) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != steps(other)
    assert all(sorted(flat(epoch)) == list(range(11)) for epoch in epochs)
    in_order = load(reader, shuffle=False)
    assert flat(steps(in_order)) == flat(steps(in_order)) == list(range(11))


def test_only_chosen_episodes_are_current(reader: DatasetReader):
    loader = load(reader, episodes=[2, 1])
    assert (loader.num_windows, len(loader)) == (7, 2)
    assert sorted(flat(steps(loader))) == list(range(4, 11))
    with pytest.raises(IndexError, match="there are 3 episodes"):
        load(reader, episodes=[3])
    with pytest.raises(ValueError, match="no step of 0 episodes"):
        load(reader, episodes=[])


def test_sizes_that_make_no_batch_are_refused(reader: DatasetReader):
    with pytest.raises(ValueError, match="at least 1 window, not 0"):
        load(reader, batch_size=0)
    with pytest.raises(ValueError, match="go from 0 to 1, there is no 2"):
        load(reader, rank=2, world_size=2)
    with pytest.raises(ValueError, match=r"11 windows fill no batch of 12 for 1 rank"):
        load(reader, batch_size=12, drop_last=True)


@settings(max_examples=30, deadline=None)
@given(batch_size=st.integers(1, 12), world_size=st.integers(1, 4), drop_last=st.booleans(), seed=st.integers(0, 9))
def test_ranks_share_an_epoch_evenly(
    reader: DatasetReader, batch_size: int, world_size: int, drop_last: bool, seed: int
):
    size = {"batch_size": min(batch_size, 11 // world_size), "drop_last": drop_last, "seed": seed}
    ranks = [steps(load(reader, rank=rank, world_size=world_size, **size)) for rank in range(world_size)]
    each = 11 // world_size
    each -= each % size["batch_size"] if drop_last else 0
    assert [sum(map(len, rank)) for rank in ranks] == [each] * world_size
    seen = flat(flat(ranks))
    assert len(set(seen)) == len(seen), "no step in two ranks"


# ---- going on


@settings(max_examples=40, deadline=None)
@given(
    batch_size=st.integers(1, 12),
    taken=st.integers(0, 30),
    drop_last=st.booleans(),
    reach=st.integers(0, 2),
    seed=st.integers(0, 3),
)
def test_a_resumed_loader_gives_the_remaining_batches(
    reader: DatasetReader, batch_size: int, taken: int, drop_last: bool, reach: int, seed: int
):
    config = WindowConfig(columns={**CURRENT, "action": (0, reach)}, pad_after=0)
    size = {"batch_size": min(batch_size, 6), "drop_last": drop_last, "seed": seed}
    loader = load(reader, config, **size)
    forever = chain.from_iterable(repeat(loader))
    for _ in range(taken):
        next(forever)
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = load(reader, config, **size)
    resumed.load_state_dict(state)
    assert resumed.epoch == loader.epoch == taken // len(loader)
    expected = [next(forever) for _ in range(len(loader) - taken % len(loader) + 2)]
    for epoch in (list(resumed), list(resumed)):
        for batch, other in zip(epoch, expected, strict=False):
            assert batch.keys() == other.keys()
            assert all(batch[name].tobytes() == other[name].tobytes() for name in batch)
        expected = expected[len(epoch) :]


def test_the_rest_of_an_epoch_follows_after_a_break(reader: DatasetReader):
    epoch, loader = steps(load(reader)), load(reader)
    first = next(iter(loader))
    assert steps([first, *loader]) == epoch
    assert loader.state_dict()["epoch"] == 1
    assert loader.state_dict()["batch"] == 0


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"batch_size": 5}, {"shuffle": False}, {"drop_last": True}, {"episodes": [0, 2]}]
)
def test_a_state_of_another_order_is_refused(reader: DatasetReader, other: dict):
    state = load(reader).state_dict()
    name = {"episodes": "windows"}.get(next(iter(other)), next(iter(other)))
    with pytest.raises(ValueError, match=f"the state is of a loader with {name} "):
        load(reader, **other).load_state_dict(state)


def test_what_is_no_state_is_refused(reader: DatasetReader):
    loader = load(reader)
    with pytest.raises(ValueError, match="windows None"):
        loader.load_state_dict({})
    with pytest.raises(ValueError, match="at batch 3 of epoch 0; an epoch has 3 batches"):
        loader.load_state_dict(loader.state_dict() | {"batch": 3})
