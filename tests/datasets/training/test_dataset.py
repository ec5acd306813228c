"""Windows as tensors: what is in them, of one dataset and of several, and how they grow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from counting_dataset import CURRENT, LENGTHS, append, images, whole, windows, write
from refusals import all_refused, refused
from spoiling import edit_info, edit_json, with_column

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.augmentation import RandomCrop
from isthmus_datasets.training.dataset import Subset, WindowDataset
from isthmus_datasets.training.loaded_columns import load_columns
from isthmus_datasets.training.normalizer import Normalizer
from isthmus_datasets.training.numbered_random import WindowRandom
from isthmus_datasets.training.windows import Goal, WindowConfig


def test_frames_are_those_of_the_reader_with_channels_first(reader: DatasetReader):
    config = WindowConfig(columns={"action": (0, 0)}, cameras={"front": (-1, 0), "wrist": (0, 2), "still": (0, 0)})
    batch = whole(windows(reader, config))
    assert {name: batch[name].shape for name in config.cameras} == {
        "front": (11, 2, 3, 16, 32),
        "wrist": (11, 3, 3, 32, 16),
        "still": (11, 1, 3, 5, 7),
    }
    for i, (episode, step) in enumerate(batch["action"][:, 0].astype(int)):
        last = LENGTHS[episode] - 1
        front = reader.frames(episode, "front", [max(step - 1, 0), step])
        np.testing.assert_array_equal(batch["front"][i], front.transpose(0, 3, 1, 2))
        rows = [min(step + n, last) for n in range(3)]
        np.testing.assert_array_equal(batch["wrist"][i], reader.frames(episode, "wrist", rows).transpose(0, 3, 1, 2))
        still = images("still", episode, last + 1)[step]
        np.testing.assert_array_equal(batch["still"][i, 0], still.transpose(2, 0, 1))
        assert batch["wrist_is_pad"][i].tolist() == [step + n > last for n in range(3)]


def test_images_come_at_the_size_that_is_asked_for(reader: DatasetReader):
    config = WindowConfig(columns=CURRENT, cameras={"front": (0, 0), "still": (0, 0)})
    small = whole(windows(reader, config, size=(4, 8)))
    own = whole(windows(reader, config))
    for camera in config.cameras:
        assert small[camera].shape == (11, 1, 3, 4, 8)
        means = [batch[camera].mean(axis=(1, 2, 3, 4)) for batch in (small, own)]
        np.testing.assert_allclose(*means, atol=1.5)


def test_a_window_by_itself_is_the_one_in_a_batch_and_batches_are_the_callers_own(reader: DatasetReader):
    dataset = windows(reader, WindowConfig(columns={"action": (0, 1)}, cameras={"front": (0, 0)}))
    batch = dataset.batch(np.arange(11), np.arange(11))
    assert all(torch.equal(values[7], dataset[7][name]) for name, values in batch.items())
    for values in batch.values():
        assert values.is_contiguous()
        values.zero_()
    assert dataset[1]["action"].tolist() == [[0, 1], [0, 2]]
    assert dataset[1]["front"].min() > 0
    with refused("11 windows", IndexError):
        dataset[11]


def test_images_of_a_window_change_alike_and_as_the_draw_says(reader: DatasetReader):
    config = WindowConfig(
        columns=CURRENT, cameras={"front": (-1, 0), "wrist": (0, 0)}, goal=Goal(cameras=("front",), least=0, most=0)
    )
    seen: list[torch.Tensor] = []

    def note(frames: torch.Tensor, random: WindowRandom) -> torch.Tensor:
        seen.append(frames)
        return frames + (1 + 100 * random.uniform(1)[:, :, None, None, None]).to(torch.uint8)

    dataset = windows(reader, config, transform=note)
    plain = windows(reader, config)
    chosen, draws = np.array([3, 8]), np.array([5, 6])
    one, same, other = (dataset.batch(chosen, d) for d in (draws, draws, draws + 1))
    before = plain.batch(chosen, draws)
    moved = one["front"] - before["front"]
    assert all(len(change.unique()) == 1 for change in moved), "both frames of a window by the same"
    assert torch.equal((one["wrist"] - before["wrist"])[:, 0, 0, 0, 0], moved[:, 0, 0, 0, 0]), "and every camera"
    assert torch.equal(one["goal.front"], one["front"][:, 1]), "and the goal"
    assert moved[0].unique() != moved[1].unique()
    alone = dataset[int(chosen[1]), int(draws[1])]
    assert torch.equal(alone["front"], one["front"][1]), "whatever is beside it"
    assert torch.equal(one["front"], same["front"])
    assert not torch.equal(one["front"], other["front"])
    assert [tuple(frames.shape) for frames in seen[:2]] == [(2, 2, 3, 16, 32), (2, 1, 3, 32, 16)]


def test_wrong_names_are_answered_with_the_valid_ones(reader: DatasetReader):
    all_refused(
        {
            "'actoin' | action, contact, timestamp": lambda: windows(reader, WindowConfig(columns={"actoin": (0, 0)})),
            "'said' | action, contact, timestamp": lambda: windows(reader, WindowConfig(columns={"said": (0, 0)})),
            "'top' | front, wrist, still": lambda: windows(reader, WindowConfig(cameras={"top": (0, 0)})),
        }
    )


# ---- which episodes


@pytest.mark.parametrize("episodes", [[2, 1], lambda row: row.index > 0], ids=["numbers", "function"])
def test_only_chosen_episodes_are_read_and_decoded(root: Path, episodes):
    (root / "data/chunk-000/file-000.parquet").unlink()
    (root / "videos/front/chunk-000/file-000.mp4").unlink()
    subset = Subset(reader=DatasetReader(root), episodes=episodes)
    dataset = windows(subset, WindowConfig(columns=CURRENT, cameras={"front": (0, 0)}))
    assert whole(dataset)["index"].ravel().tolist() == list(range(4, 11))


def test_episodes_that_are_not_there_are_refused(reader: DatasetReader):
    with refused("counting | 3 episodes | [3]", IndexError):
        windows(Subset(reader=reader, episodes=[3]))
    with refused("one dataset", ValueError):
        WindowDataset([], WindowConfig(columns=CURRENT))


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_what_is_no_number_for_a_network_is_named(root: Path, value: float):
    """Of somebody else's data: a writer refuses it. Who leaves the episode out learns from the others."""
    path = root / "data/chunk-000/file-002.parquet"
    table = pq.read_table(path)
    action = np.stack(table["action"].to_numpy())
    action[4, 1] = value
    place, field = table.column_names.index("action"), table.schema.field("action")
    pq.write_table(table.set_column(place, field, pa.array(list(action), field.type)), path)
    config, reader = WindowConfig(columns={"action": (0, 0)}), DatasetReader(root)
    told = "data | episode 2 | 'action' | float32 | step 4 | leave the episode or the column out"
    with refused(told):
        windows(reader, config)
    with refused(told):
        Normalizer.fit(reader, {"action": "mean_std"}, constant="keep")
    assert len(windows(Subset(reader=reader, episodes=[0, 1]), config)) == 5


def test_sizes_and_arrivals_that_are_none_are_refused(reader: DatasetReader):
    for size in ((0, 8), (8, 8, 3)):
        with pytest.raises(ValueError, match=r"a size is \(H, W\) in pixels, not"):
            windows(reader, WindowConfig(cameras={"front": (0, 0)}), size=size)
    with pytest.raises(ValueError, match="arrivals are of 2 datasets, there are 1"):
        windows(reader, arrivals=[[1, 2]])


def test_columns_that_would_not_fit_into_memory_are_refused(reader: DatasetReader):
    assert load_columns(reader, ["action"], limit=11 * 16)["action"].nbytes == 11 * 16
    assert load_columns(reader, ["action"], episodes=[1], limit=16)["action"].tolist() == [[1.0, 0.0]]
    with refused("action | 11 rows | 1.76e-07 GB | 1.75e-07 GB"):
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
    some = load_columns(DatasetReader(root), ["index"], episodes=[0, 2])
    assert some["index"].ravel().tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    pq.write_table(together.take([0, 1, 2, 3, 5, 4, *range(6, 11)]), data / "file-000.parquet")
    with refused("file-000.parquet | row 4 | episode 1"):
        load_columns(DatasetReader(root), ["action"])


# ---- several datasets, and more of each


def test_windows_of_two_datasets_hold_their_own_rows_and_frames(reader: DatasetReader, tmp_path: Path):
    other = DatasetReader(write(tmp_path / "other", (2, 3)))
    config = WindowConfig(columns={"action": (0, 1)}, cameras={"front": (0, 0)}, goal=Goal(cameras=("wrist",)))
    both = whole(WindowDataset([reader, Subset(reader=other, episodes=[1])], config))
    first, second = whole(windows(reader, config)), whole(windows(Subset(reader=other, episodes=[1]), config))
    for name in ("action", "action_is_pad", "front"):
        np.testing.assert_array_equal(both[name], np.concatenate([first[name], second[name]]))
    shuffled = WindowDataset([reader, other], config).batch(np.array([12, 0, 15, 7]), np.zeros(4, np.int64))
    assert shuffled["action"][:, 0].tolist() == [[0, 1], [0, 0], [1, 2], [2, 2]]


def test_datasets_that_differ_are_named(reader: DatasetReader, tmp_path: Path):
    faster = DatasetReader(write(tmp_path / "faster", fps=20))
    with refused("faster | 20 rows | counting | 10"):
        WindowDataset([reader, faster], WindowConfig(columns=CURRENT))
    root = declare(write(tmp_path / "other"), "front", shape=[16, 30, 3])
    with refused("'front' | (16, 32, 3) | (16, 30, 3) | counting | other"):
        WindowDataset([reader, DatasetReader(root)], WindowConfig(cameras={"front": (0, 0)}))


def test_what_is_appended_is_taken_in_behind_what_was_there(root: Path, tmp_path: Path):
    other = write(tmp_path / "other", (2,))
    config = WindowConfig(columns={"action": (0, 1)}, cameras={"front": (0, 0)})
    dataset = WindowDataset([DatasetReader(root), DatasetReader(other)], config)
    before = whole(dataset)
    assert dataset.refresh() == 0
    append(root, 5)
    append(other, 3)
    assert dataset.refresh() == 8
    after = whole(dataset)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][:13], values)
    assert after["action"][13:, 0].tolist() == [[3, s] for s in range(5)] + [[1, s] for s in range(3)]
    assert dataset.arrivals == [[3, 1], [4, 2]]
    again = WindowDataset([DatasetReader(root), DatasetReader(other)], config, arrivals=dataset.arrivals)
    assert again.fingerprint(21) == dataset.fingerprint(21), "windows have the same numbers as where it grew"
    assert WindowDataset([DatasetReader(root), DatasetReader(other)], config).fingerprint(21) != again.fingerprint(21)


def test_windows_that_are_drawn_during_a_refresh_have_their_own_frames(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Episode 0 was in the file before and is not wanted, so that the limit makes a refresh move the others."""
    limit, config = 12 * 3 * 16 * 32, WindowConfig(cameras={"front": (0, 0)})
    windows(DatasetReader(root), config, cache_limit=limit)
    dataset = windows(Subset(reader=DatasetReader(root), episodes=lambda row: row.index > 0), config, cache_limit=limit)
    before, during, decode = whole(dataset), [], DatasetReader.stream

    def stream(reader: DatasetReader, index: int, camera: str, **options: Any) -> Iterator[np.ndarray]:
        during.append(whole(dataset))  # as a prefetching thread does
        return decode(reader, index, camera, **options)

    monkeypatch.setattr(DatasetReader, "stream", stream)
    append(root, 5)
    assert dataset.refresh() == 5
    assert len(during) == 1
    np.testing.assert_array_equal(during[0]["front"], before["front"])
    np.testing.assert_array_equal(whole(dataset)["front"][:7], before["front"])


def test_only_chosen_ones_of_the_new_episodes_are_taken(root: Path):
    dataset = windows(Subset(reader=DatasetReader(root), episodes=lambda row: row.length > 4))
    append(root, 2, 7)
    assert dataset.refresh() == 7
    fixed = windows(Subset(reader=DatasetReader(root), episodes=[0]))
    append(root, 9)
    assert fixed.refresh() == 0


def test_a_dataset_that_changed_under_a_training_is_named(root: Path, tmp_path: Path):
    dataset = windows(DatasetReader(root))
    for path in sorted(root.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    write(root, (4, 2, 6))
    with refused("data | episode 1 | changed | 1 rows"):
        dataset.refresh()


def rerecorded(root: Path) -> None:
    """Episode 1 with as many rows, and other values: a whole new file under the name."""
    path = root / "data/chunk-000/file-001.parquet"
    pq.write_table(with_column(pq.read_table(path), "action", [[8.0, 9.0]]), path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def another_video(root: Path) -> None:
    path = root / "videos/front/chunk-000/file-001.mp4"
    shutil.copyfile(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def another_rate(root: Path) -> None:
    edit_info(root, fps=20)


def another_order(root: Path) -> None:
    declare(root, "action", names=["y", "x"])


def declare(root: Path, feature: str, **facts: Any) -> Path:
    edit_json(root / "meta/info.json", lambda info: info["features"][feature].update(facts))
    return root


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (rerecorded, "data | episode 1 | file-001.parquet | begin anew"),
        (another_video, "data | episode 1 | file-001.mp4 | begin anew"),
        (another_rate, "data | 10 rows | 20 | begin anew"),
        (another_order, "data | 'action' | (x, y) | (y, x) | begin anew"),
    ],
)
def test_a_dataset_that_changed_with_the_same_lengths_is_named(root: Path, change: Any, told: str):
    declare(root, "action", names=["x", "y"])
    dataset = windows(DatasetReader(root), WindowConfig(columns={"action": (0, 0)}, cameras={"front": (0, 0)}))
    append(root, 2)
    assert dataset.refresh() == 2
    change(root)
    with refused(told):
        dataset.refresh()


def test_a_file_that_episodes_have_joined_has_not_changed(root: Path):
    """As LeRobot appends to the last file."""
    data, meta, info = root / "data/chunk-000", root / "meta/episodes/chunk-000", root / "meta/info.json"
    rows = [pq.read_table(data / f"file-{i:03d}.parquet") for i in range(3)]
    known = [pq.read_table(meta / f"file-{i:03d}.parquet") for i in range(3)]
    place, said = known[0].schema.get_field_index("data/file_index"), json.loads(info.read_text())
    for path in (*data.iterdir(), *meta.iterdir()):
        path.unlink()

    def committed(count: int) -> None:
        pq.write_table(pa.concat_tables(rows[:count]), data / "file-000.parquet")
        there = [table.set_column(place, known[0].field(place), pa.array([0])) for table in known[:count]]
        pq.write_table(pa.concat_tables(there), meta / "file-000.parquet")
        info.write_text(json.dumps(said | {"total_episodes": count, "total_frames": sum(LENGTHS[:count])}))

    committed(1)
    dataset = windows(Subset(reader=DatasetReader(root), episodes=lambda row: row.index != 1))
    committed(2)
    assert dataset.refresh() == 0
    committed(3)
    assert dataset.refresh() == 6
    assert dataset.refresh() == 0
    committed(3)
    with refused("episode 0 | changed"):
        dataset.refresh()


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        ({"names": ["x", "y"]}, {"names": ["y", "x"]}, "(x, y) | (y, x)"),
        ({"info": {"units": ["m", "m"]}}, {"info": {"units": ["mm", "mm"]}}, "m, m | mm, mm"),
    ],
)
def test_datasets_of_other_orders_or_units_are_not_trained_on_together(
    tmp_path: Path, here: dict, there: dict, told: str
):
    roots = declare(write(tmp_path / "here"), "action", **here), declare(write(tmp_path / "there"), "action", **there)
    readers, silent = [DatasetReader(root) for root in roots], DatasetReader(write(tmp_path / "silent"))
    told = f"'action' | {told} | {roots[0]} | {roots[1]}"
    with refused(told):
        WindowDataset(readers, WindowConfig(columns={"action": (0, 0)}))
    with refused(told):
        Normalizer.fit(readers, {"action": "min_max"}, constant="keep")
    assert len(WindowDataset([readers[0], silent], WindowConfig(columns={"action": (0, 0)}))) == 22
    assert len(WindowDataset(readers, WindowConfig(columns=CURRENT))) == 22, "what is not read does not matter"


def test_a_crop_shows_what_was_there(reader: DatasetReader):
    config = WindowConfig(cameras={"front": (0, 0)})
    plain, cropped = whole(windows(reader, config)), whole(windows(reader, config, transform=RandomCrop(pixels=2)))
    assert cropped["front"].shape == plain["front"].shape
    np.testing.assert_allclose(cropped["front"].mean((1, 2, 3, 4)), plain["front"].mean((1, 2, 3, 4)), atol=3)
