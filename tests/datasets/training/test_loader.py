"""Windows cut at an episode's ends, every step once an epoch, resumed in mid-epoch, frames decoded once and never
stale."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from full_disk import file_size_limit
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.video import write_video
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.training.columns import load_columns
from isthmus_datasets.training.frame_cache import cached_frames, default_folder
from isthmus_datasets.training.loader import Batch, Loader
from isthmus_datasets.training.windows import WindowConfig, Windows

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


def write(root: Path, lengths: Sequence[int] = LENGTHS) -> Path:
    with DatasetWriter.create(root, fps=10, features=FEATURES) as writer:
        for index, length in enumerate(lengths):
            writer.append(make_episode(index, length))
    return root


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> DatasetReader:
    return DatasetReader(write(tmp_path_factory.mktemp("made") / "counting"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset that the test may change."""
    return write(tmp_path / "data")


def load(reader: DatasetReader, config: WindowConfig | None = None, **settings: Any) -> Loader:
    return Loader(reader, config or WindowConfig(columns=CURRENT), **{"batch_size": 4, **settings})


def whole(loader: Loader) -> Batch:
    """An epoch as one batch."""
    batches = list(loader)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def steps(batches: Iterable[Batch]) -> list[list[int]]:
    """The current step of every window, batch by batch."""
    return [batch["index"].ravel().tolist() for batch in batches]


def flat(parts: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


# ---- windows


def test_first_and_last_row_stand_beyond_the_ends(reader: DatasetReader):
    config = WindowConfig(columns={"action": (-2, 1), "contact": (0, 0), "frame_index": (1, 2)})
    batch = whole(load(reader, config, shuffle=False))
    windows, is_pad = batch["action"], batch["action_is_pad"]
    assert (windows.shape, windows.dtype, is_pad.shape, is_pad.dtype) == ((11, 4, 2), np.float64, (11, 4), np.bool_)
    assert windows[:, :, 1].tolist() == [
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 3],
        [0, 0, 0, 0],  # of the only step of episode 1
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 5],
        [3, 4, 5, 5],
    ]
    assert (windows[:, :, 0] == np.repeat([0, 1, 2], LENGTHS)[:, None]).all(), "no row of another episode"
    assert is_pad[:5].tolist() == [
        [True, True, False, False],
        [True, False, False, False],
        [False, False, False, False],
        [False, False, False, True],
        [True, True, False, True],
    ]
    assert batch["contact"].dtype == np.bool_
    assert batch["contact"][:, 0, 0].tolist() == [1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0]
    assert batch["frame_index"][:4, :, 0].tolist() == [[1, 2], [2, 3], [3, 3], [3, 3]]
    assert batch["frame_index_is_pad"][:4].tolist() == [[False, False], [False, False], [False, True], [True, True]]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(None, None, range(6)), (0, 0, range(2, 5)), (1, 0, range(1, 5)), (2, 1, range(6)), (9, 9, range(6))],
)
def test_padding_bounds_which_steps_are_current(before: int | None, after: int | None, expected: range):
    config = WindowConfig(columns={"action": (0, 1)}, cameras={"front": (-2, 0)}, pad_before=before, pad_after=after)
    assert config.current_steps(6) == expected


def test_episodes_shorter_than_a_window_have_none(reader: DatasetReader):
    windows = whole(load(reader, WindowConfig(columns={"action": (0, 3)}, pad_after=0)))
    assert sorted(windows["action"][:, 0].tolist()) == [[0, 0], [2, 0], [2, 1], [2, 2]]
    assert not windows["action_is_pad"].any()


def reference_windows(length: int, horizon: int, pad_before: int, pad_after: int) -> list[list[int]]:
    """What diffusion policy's create_indices and sample_sequence give: rows of each window."""
    return [
        [min(max(row, 0), length - 1) for row in range(start, start + horizon)]
        for start in range(-pad_before, length - horizon + pad_after + 1)
    ]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 8), st.integers(0, 8))
def test_windows_are_those_of_diffusion_policy(length: int, observed: int, executed: int, more: int):
    predicted = observed + executed - 1 + more
    config = WindowConfig.diffusion(observations=["s"], observed=observed, predicted=predicted, executed=executed)
    expected = reference_windows(length, predicted, observed - 1, executed - 1)
    if not expected:
        with pytest.raises(ValueError, match="no step of 1 episodes has a window"):
            Windows(config, [length])
        return
    windows = Windows(config, [length])
    chosen = np.arange(len(windows))
    assert windows.rows(chosen, config.columns["action"])[0].tolist() == expected
    assert windows.rows(chosen, config.columns["s"])[0].tolist() == [rows[:observed] for rows in expected]


def test_the_reference_settings_leave_an_episodes_last_7_steps_out():
    assert WindowConfig.diffusion(observations=["s"]).current_steps(100) == range(93)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "at least one column or camera"),
        ({"columns": {"action": (1, 0)}}, r"'action': offsets \(1, 0\) hold no row"),
        ({"cameras": {"front": (0, -1)}}, r"'front': offsets \(0, -1\) hold no row"),
        ({"columns": CURRENT, "pad_after": -1}, "must not be negative"),
    ],
)
def test_windows_that_hold_nothing_are_refused(config: dict, message: str):
    with pytest.raises(ValueError, match=message):
        WindowConfig(**config)


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


# ---- the cache of frames


class Counting(DatasetReader):
    """Counts the episodes that it decodes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.decoded: list[int] = []

    def frames(self, index: int, camera: str, rows: Any = None) -> np.ndarray:
        self.decoded.append(index)
        return super().frames(index, camera, rows)


def shades(frames: np.ndarray) -> list[int]:
    """Grey level of every frame."""
    return frames.mean(axis=(1, 2, 3)).round().astype(int).tolist()


def files(root: Path, camera: str = "front") -> list[str]:
    return sorted(path.suffix for path in (default_folder(root) / camera).iterdir() if path.name != ".lock")


def test_frames_are_decoded_once_and_shared(root: Path):
    first, second = Counting(root), Counting(root)
    frames = cached_frames(first, "front")
    assert frames.shape == (11, 16, 32, 3)
    assert not frames.flags.writeable
    assert cached_frames(second, "front").tobytes() == frames.tobytes()
    assert (first.decoded, second.decoded) == ([0, 1, 2], [])
    assert files(root) == [".json", ".u8"]
    assert sorted(path.name for path in root.iterdir()) == [".lock", "data", "meta", "videos"], "LeRobot's, untouched"


def test_a_changed_video_is_decoded_anew_and_only_that(root: Path, tmp_path: Path):
    before = shades(cached_frames(DatasetReader(root), "front"))
    other = np.full((1, 16, 32, 3), 250, np.uint8)
    write_video(root / "videos/front/chunk-000/file-001.mp4", other, fps=10)
    reader = Counting(root)
    after = shades(cached_frames(reader, "front"))
    assert before[4] < 200 < after[4]
    assert after[:4] + after[5:] == before[:4] + before[5:]
    assert reader.decoded == [1]
    assert files(root) == [".json", ".u8"], "what is stale is removed"


def test_an_episode_more_costs_one_episode(root: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="isthmus_datasets")
    before = shades(cached_frames(DatasetReader(root), "front"))
    with DatasetWriter.open(root) as writer:
        writer.append(make_episode(3, 5))
    reader = Counting(root)
    after = shades(cached_frames(reader, "front"))
    assert (after[:11], len(after), reader.decoded) == (before, 16, [3])
    assert [text.partition(", in ")[0] for text in caplog.messages] == [
        "front: 11 frames decoded, 0 kept",
        "front: 5 frames decoded, 11 kept",
    ]


def test_a_video_that_changes_while_it_is_decoded_is_not_kept(root: Path):
    class Changing(Counting):
        def frames(self, index: int, camera: str, rows: Any = None) -> np.ndarray:
            os.utime(root / "videos/front/chunk-000/file-000.mp4", ns=(0, 10**9 * index))
            return super().frames(index, camera, rows)

    with pytest.raises(DatasetError, match="videos of 'front' changed while they were decoded"):
        cached_frames(Changing(root), "front")
    assert files(root) == []


SCRIPT = """
import os, signal, sys
from pathlib import Path
from isthmus_datasets.training.frame_cache import cached_frames
from isthmus_datasets.format.reader import DatasetReader

class Reader(DatasetReader):
    decoded = 0
    def frames(self, *args):
        if self.decoded == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        self.decoded += 1
        return super().frames(*args)

reader = Reader(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read(1)
cached_frames(reader, "front")
print(reader.decoded)
"""


def start(root: Path, *, die_at: int = -1) -> subprocess.Popen[str]:
    """A process that fills the cache when it is told to, and is killed before it decodes so many episodes more."""
    command = [sys.executable, "-c", SCRIPT, str(root), str(die_at)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_killed_build_is_not_taken_for_a_whole_one(root: Path):
    process = start(root, die_at=2)
    process.communicate("x", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert (default_folder(root) / "front" / ".partial").stat().st_size == 11 * 16 * 32 * 3, "as large as a whole one"
    reader = Counting(root)
    frames = cached_frames(reader, "front")
    assert reader.decoded == [0, 1, 2]
    for row in reader.episodes:
        part = frames[row.first : row.first + row.length]
        np.testing.assert_array_equal(part, reader.frames(row.index, "front"))
    assert files(root) == [".json", ".u8"]


def test_of_two_processes_one_decodes(root: Path):
    both = [start(root) for _ in range(2)]
    for process in both:
        assert process.stdin
        process.stdin.write("x")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sorted(counts) == [0, 3]
    assert files(root) == [".json", ".u8"]


def test_a_cache_file_cut_short_is_made_anew(root: Path):
    cached_frames(DatasetReader(root), "front")
    (path,) = (default_folder(root) / "front").glob("*.u8")
    path.write_bytes(path.read_bytes()[:-1])
    reader = Counting(root)
    assert min(shades(cached_frames(reader, "front"))) > 0
    assert reader.decoded == [0, 1, 2]


def test_a_full_disk_is_named_before_anything_is_decoded(root: Path):
    reader = Counting(root)
    message = r"could not write 1.69e-05 GB of decoded frames to .*data.frames/front"
    with file_size_limit(10_000), pytest.raises(OSError, match=message) as caught:
        cached_frames(reader, "front")
    assert "GB free: free some, or give another folder" in str(caught.value)
    assert reader.decoded == []
    assert files(root) == []


def test_the_cache_can_be_elsewhere(root: Path, tmp_path: Path):
    loader = load(DatasetReader(root), WindowConfig(cameras={"front": (0, 0)}), cache=tmp_path / "elsewhere")
    assert len(next(iter(loader))["front"]) == 4
    assert list((tmp_path / "elsewhere/front").glob("*.u8"))
    assert not default_folder(root).exists()


def test_damage_names_file_and_episode(root: Path):
    video = root / "videos/wrist/chunk-000/file-002.mp4"
    content = video.read_bytes()
    video.unlink()
    with pytest.raises(DatasetError, match=r"wrist/chunk-000/file-002.mp4 is missing: .*episode 2"):
        cached_frames(DatasetReader(root), "wrist")
    video.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match=r"episode 2: .*file-002.mp4 (is not a whole video|lacks)"):
        cached_frames(DatasetReader(root), "wrist")
    write_video(video, np.zeros((6, 16, 16, 3), np.uint8), fps=10)
    with pytest.raises(DatasetError, match=r"episode 2: the video of 'wrist' has shape \(6, 16, 16, 3\), declared"):
        cached_frames(DatasetReader(root), "wrist")
    assert files(root, "wrist") == []
