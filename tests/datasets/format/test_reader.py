"""Reading: what was appended comes back, LeRobot's large files are read, and damage is named."""

from __future__ import annotations

import json
import string
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from refusals import all_refused, refused
from spoiling import cut, edit_info, edit_parquet, with_column
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import NUMBERS, Feature, Features
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter

SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def features(draw: st.DrawFn) -> Feature:
    kind = draw(st.sampled_from([*NUMBERS, "string", "image"]))
    if kind == "string":
        return Feature(dtype=kind, shape=(1,))
    if kind == "image":
        return Feature(dtype=kind, shape=(draw(st.integers(1, 5)), draw(st.integers(1, 5)), 3))
    return Feature(dtype=kind, shape=tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))))


def values(feature: Feature, length: int) -> st.SearchStrategy[np.ndarray]:
    if feature.dtype == "string":
        return st.lists(st.text(), min_size=length, max_size=length).map(
            lambda words: np.array(words, object).reshape(-1, 1)
        )
    elements = hnp.from_dtype(feature.numpy, allow_nan=False, allow_infinity=False)
    if feature.dtype == "float64":
        elements = st.floats(-1e100, 1e100)  # its square is a number, and so is its standard deviation
    return hnp.arrays(feature.numpy, (length, *feature.shape), elements=elements)


@st.composite
def episodes(draw: st.DrawFn, declared: Features) -> Episode:
    length = draw(st.integers(1, 4))
    facts = draw(st.dictionaries(st.text(string.ascii_lowercase, min_size=1), SCALARS | st.text(), max_size=3))
    typed = st.fixed_dictionaries(
        {}, optional={"success": st.booleans(), "operator": st.text(), "seed": st.integers(0, 2**63 - 1)}
    )
    return Episode(
        columns={name: draw(values(feature, length)) for name, feature in declared.items()},
        task=draw(st.text(min_size=1)),
        facts=facts | draw(typed),
    )


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_what_is_appended_comes_back(data: st.DataObject):
    declared = {f"f{i}": data.draw(features()) for i in range(data.draw(st.integers(1, 4)))}
    made = [data.draw(episodes(declared)) for _ in range(data.draw(st.integers(1, 3)))]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        with DatasetWriter.create(root, fps=10, features=declared) as writer:
            assert [writer.append(episode) for episode in made] == list(range(len(made)))
        reader = DatasetReader(root)
        assert reader.num_episodes == len(made)
        for i, episode in enumerate(made):
            got = reader.episode(i)
            assert (got.task, got.facts, got.length) == (episode.task, episode.facts, episode.length)
            assert list(got.columns) == list(declared)
            for name, feature in declared.items():
                assert got.columns[name].dtype == feature.numpy
                np.testing.assert_array_equal(got.columns[name], episode.columns[name])


TOP = "observation.images.top"
LENGTHS = (3, 40, 7, 25, 12)


def grey(episode: int, step: int) -> int:
    """The grey level of a frame: others for neighbours, in episode and step."""
    return 10 + (53 * episode + 6 * step) % 230


def film(episodes: list[int]) -> np.ndarray:
    levels = [grey(e, s) for e in episodes for s in range(LENGTHS[e])]
    return np.array(levels, np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 16, 16, 3), np.uint8)


def by_hand(root: Path) -> Path:
    """As LeRobot writes it: episodes 0, 1, 2 and 3, 4 share a Parquet file; 0, 1 and 2, 3, 4 an mp4."""
    features = {
        "action": {"dtype": "float32", "shape": [2], "names": {"motors": ["a", "b"]}},
        TOP: {"dtype": "video", "shape": [3, 16, 16], "names": ["channels", "height", "width"], "info": {}},
        **{n: {"dtype": "int64", "shape": [1], "names": None} for n in ("frame_index", "episode_index", "index")},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        "task_index": {"dtype": "int64", "shape": [1], "names": None},
    }
    names = "chunk-{chunk_index:03d}/file-{file_index:03d}"
    info = {
        "codebase_version": "v3.0",
        "robot_type": "so100",
        "total_episodes": 5,
        "total_frames": sum(LENGTHS),
        "total_tasks": 2,
        "chunks_size": 1000,
        "fps": 10,
        "splits": {"train": "0:5"},
        "data_path": f"data/{names}.parquet",
        "video_path": f"videos/{{video_key}}/{names}.mp4",
        "features": features,
        "somebody's": "own",
    }
    for folder in ("meta/episodes/chunk-000", "data/chunk-000"):
        (root / folder).mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    tasks = pa.table({"task_index": [0, 1], "__index_level_0__": ["lift", "put"]})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    rows = []
    for e, length in enumerate(LENGTHS):
        first, start = sum(LENGTHS[:e]), sum(LENGTHS[:2]) if e >= 2 else 0
        rows.append(
            {
                "episode_index": e,
                "tasks": [["lift", "put"][e % 2]],
                "length": length,
                "data/chunk_index": 0,
                "data/file_index": int(e >= 3),
                "dataset_from_index": first,
                "dataset_to_index": first + length,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                f"videos/{TOP}/chunk_index": 0,
                f"videos/{TOP}/file_index": int(e >= 2),
                f"videos/{TOP}/from_timestamp": (first - start) / 10,
                f"videos/{TOP}/to_timestamp": (first - start + length) / 10,
                "quality": "good",
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    for file, several in enumerate([[0, 1, 2], [3, 4]]):
        with pq.ParquetWriter(root / f"data/chunk-000/file-00{file}.parquet", table(several[0]).schema) as writer:
            for e in several:
                writer.write_table(table(e))
    write_video(root / f"videos/{TOP}/chunk-000/file-000.mp4", film([0, 1]), fps=10)
    write_video(root / f"videos/{TOP}/chunk-000/file-001.mp4", film([2, 3, 4]), fps=10)
    return root


def table(episode: int) -> pa.Table:
    steps, first = np.arange(LENGTHS[episode]), sum(LENGTHS[:episode])
    numbers = np.stack([np.full(len(steps), episode), steps], axis=1).astype(np.float32)
    return pa.table(
        {
            "action": pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), 2),
            "timestamp": pa.array((steps / 10).astype(np.float32)),
            "frame_index": steps,
            "episode_index": np.full(len(steps), episode),
            "index": first + steps,
            "task_index": np.full(len(steps), episode % 2),
        }
    )


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> DatasetReader:
    return DatasetReader(by_hand(tmp_path_factory.mktemp("large") / "data"))


@pytest.mark.parametrize("episode", range(5))
def test_episodes_that_share_files(large: DatasetReader, episode: int):
    columns = large.columns(episode)
    assert set(columns) == {"action", "timestamp", "frame_index", "episode_index", "index", "task_index"}
    np.testing.assert_array_equal(columns["action"][:, 0], np.full(LENGTHS[episode], episode))
    np.testing.assert_array_equal(columns["action"][:, 1], np.arange(LENGTHS[episode]))
    np.testing.assert_array_equal(columns["index"].ravel(), sum(LENGTHS[:episode]) + np.arange(LENGTHS[episode]))
    frames = large.frames(episode, TOP)
    assert (frames.shape, frames.dtype) == ((LENGTHS[episode], 16, 16, 3), np.uint8)
    expected = [grey(episode, step) for step in range(LENGTHS[episode])]
    np.testing.assert_allclose(frames.mean(axis=(1, 2, 3)), expected, atol=2)


def test_what_is_said_about_them(large: DatasetReader):
    assert [row.tasks for row in large.episodes] == [("lift",), ("put",), ("lift",), ("put",), ("lift",)]
    assert large.episodes[4].facts == {"quality": "good"}
    assert large.info.features["action"] == Feature(dtype="float32", shape=(2,), names=("a", "b"))
    assert large.info.features[TOP] == Feature(dtype="video", shape=(16, 16, 3)), "channels come last"
    assert large.info.extra == {"somebody's": "own"}
    assert large.info.robot_type == "so100"


@pytest.mark.parametrize("rows", [[0], [39], [5, 3, 3, 39, 0], [38, 1], []])
def test_single_frames_in_any_order(large: DatasetReader, rows: list[int]):
    frames = large.frames(1, TOP, rows)
    assert frames.shape == (len(rows), 16, 16, 3)
    np.testing.assert_allclose(frames.mean(axis=(1, 2, 3)), [grey(1, row) for row in rows], atol=2)


def test_what_is_not_there(large: DatasetReader):
    all_refused(
        {
            "5 episodes | episode 5": lambda: large.columns(5),
            "5 episodes | episode -1": lambda: large.episode(-1),
            "rows 0 to 2 | [3]": lambda: large.frames(0, TOP, [3]),
        },
        IndexError,
    )
    all_refused(
        {
            "episode 0 | 'wrist' | observation.images.top": lambda: large.frames(0, "wrist"),
            "episode 0 | nonsense": lambda: large.columns(0, ["nonsense"]),
        }
    )


def test_some_columns(large: DatasetReader):
    assert list(large.columns(2, ["index", "action"])) == ["index", "action"]
    assert large.columns(2, []) == {}


def test_without_videos(large: DatasetReader):
    assert large.episode(0, videos=False).videos == {}
    assert list(large.episode(0).videos) == [TOP]


def ours(root: Path) -> Path:
    random = np.random.default_rng(0)
    features = {"action": Feature(dtype="float64", shape=(2,)), "camera": Feature(dtype="video", shape=(32, 32, 3))}
    noise = [(random.integers(0, 256, (20, 32, 32, 3), np.uint8), random.random((20, 2))) for _ in range(3)]
    made = [Episode(columns={"action": action}, videos={"camera": film}, task="a") for film, action in noise]
    return written(root, features, made)


def swap_data(root: Path) -> None:
    one, two = (root / f"data/chunk-000/file-00{i}.parquet" for i in (1, 2))
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def rows(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], object]:
    """Of episode 1."""
    return lambda root: edit_parquet(root / DATA, change)


def widened(table: pa.Table) -> pa.Table:
    column = pa.array([[1.0, 2.0, 3.0]] * 20, pa.list_(pa.float64(), 3))
    return table.set_column(table.column_names.index("action"), "action", column)


BLACK = np.zeros((32, 32, 3), np.uint8)
DATA, FILM = "data/chunk-000/file-001.parquet", "videos/camera/chunk-000/file-001.mp4"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "parquet missing": (lambda root: (root / DATA).unlink(), f"{DATA} is missing"),
    "parquet truncated": (lambda root: cut(root / DATA), f"{DATA} | whole"),
    "parquet of another episode": (swap_data, f"{DATA} | other rows"),
    "column missing": (rows(lambda table: table.drop_columns(["action"])), f"{DATA} | column action"),
    "rows missing": (rows(lambda table: table.slice(0, 19)), f"{DATA} | 19 rows | 0 to 20"),
    "a value missing": (
        rows(lambda table: with_column(table, "action", [[1.0, 2.0]] * 19 + [None])),
        f"{DATA} | column 'action' | 1 rows",
    ),
    "another shape": (rows(widened), f"{DATA} | column 'action' | 60 numbers | 20 rows | (2,)"),
    "mp4 missing": (lambda root: (root / FILM).unlink(), f"{FILM} is missing"),
    "mp4 truncated": (lambda root: cut(root / FILM), FILM),
    "mp4 empty": (lambda root: (root / FILM).write_bytes(b""), f"{FILM} | whole"),
    "mp4 too short": (lambda root: write_video(root / FILM, [BLACK] * 15, fps=10), f"{FILM} | 1.500 s"),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_named_and_the_other_episodes_are_read(tmp_path: Path, damage: Callable, told: str):
    reader = DatasetReader(ours(tmp_path / "data"))
    damage(reader.root)
    with refused(f"episode 1 | {told}"):
        reader.episode(1)
    assert reader.episode(0).length == 20


EPISODES, TASKS = "meta/episodes/chunk-000/file-001.parquet", "meta/tasks.parquet"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no info": (lambda root: (root / "meta/info.json").unlink(), "no dataset | meta/info.json"),
    "half an info": (lambda root: cut(root / "meta/info.json"), "meta/info.json | read"),
    "info of nothing": (lambda root: (root / "meta/info.json").write_text("3"), "meta/info.json | JSON object"),
    "newer": (lambda root: edit_info(root, codebase_version="v4.0"), "v4.0 | v3.0 | update"),
    "older": (lambda root: edit_info(root, codebase_version="v2.1"), "v2.1 | v3.0 | import it first"),
    "no version": (lambda root: edit_info(root, codebase_version=None), "codebase_version | None"),
    "no rate": (lambda root: edit_info(root, fps=0), "fps is 0"),
    "a negative total": (lambda root: edit_info(root, total_frames=-1), "total_frames is -1"),
    "no features": (lambda root: edit_info(root, features=None), "features are missing"),
    "an unknown type": (lambda root: edit_info(root, features={"a": {"dtype": "text", "shape": [1]}}), "'a' | 'text'"),
    "no shape": (lambda root: edit_info(root, features={"a": {"dtype": "int64"}}), "'a' | shape"),
    "outside": (lambda root: edit_info(root, data_path="../{file_index}"), "data_path | ../{file_index}"),
    "unknown field": (lambda root: edit_info(root, data_path="{a}"), "data_path | {a}"),
    "an episode too few": (lambda root: edit_info(root, total_episodes=4), "episode 3 of 4"),
    "meta/episodes missing": (lambda root: (root / EPISODES).unlink(), "episode 1 of 3"),
    "meta/episodes truncated": (lambda root: cut(root / EPISODES), f"{EPISODES} | whole"),
    "tasks missing": (lambda root: (root / TASKS).unlink(), f"{TASKS} is missing"),
    "a task too few": (lambda root: edit_info(root, total_tasks=2), f"{TASKS} | 2 tasks"),
    "tasks out of order": (
        lambda root: pq.write_table(pa.table({"task_index": [1, 0], "task": ["a", "b"]}), root / TASKS),
        f"{TASKS} | task_index",
    ),
}


@pytest.mark.parametrize(("break_it", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_dataset_is_refused(tmp_path: Path, break_it: Callable[[Path], object], told: str):
    root = ours(tmp_path / "data")
    break_it(root)
    with refused(f"{root} | {told}"):
        DatasetReader(root)


def test_a_newer_minor_version_is_read(tmp_path: Path):
    root = ours(tmp_path / "data")
    edit_info(root, codebase_version="v3.1")
    assert DatasetReader(root).num_episodes == 3


def test_a_dataset_without_episodes(tmp_path: Path):
    DatasetWriter.create(tmp_path / "data", fps=10, features={"a": Feature(dtype="int64", shape=(1,))}).close()
    reader = DatasetReader(tmp_path / "data")
    assert (reader.num_episodes, reader.tasks) == (0, ())


def test_a_reader_does_not_see_what_comes_later(tmp_path: Path):
    root = ours(tmp_path / "data")
    reader = DatasetReader(root)
    with DatasetWriter.open(root) as writer:
        writer.append(reader.episode(0))
    assert (reader.num_episodes, DatasetReader(root).num_episodes) == (3, 4)
    np.testing.assert_array_equal(DatasetReader(root).episode(3).columns["action"], reader.episode(0).columns["action"])


@pytest.mark.parametrize("names", [["a", "b"], {"motors": ["a", "b"]}, [["a", "b"]], {"motors": [["a", "b"]]}])
def test_names_in_whatever_way_others_write_them(names: object):
    """Unitree's are nested once more."""
    assert Feature.from_json({"dtype": "float32", "shape": [2], "names": names}).names == ("a", "b")
