"""LeRobot's layout before v3.0: its numbers bit for bit, its videos as they are, its inconsistencies reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import refused
from spoiling import edit_info
from written import imported

from isthmus_datasets.convert.importers.opening import import_dataset, open_source
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.writer import DatasetWriter

FPS = 10
CAMERA = "observation.images.top"
TASKS = ["pick the cube", "place the cube"]
LENGTHS = [4, 6]
SPLITS = {"train": "0:1", "test": "1:2"}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_lines(path: Path, values: list[dict]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


def rows(episode: int, **changed: pa.Array) -> pa.Table:
    """Rows of an episode; element k of its actions is 100 × episode + step."""
    length = LENGTHS[episode]
    ramp = 100.0 * episode + np.arange(length)
    columns = {
        "action": pa.array(np.stack([ramp, ramp], 1).tolist(), pa.list_(pa.float64(), 2)),
        "next.success": pa.array([step == length - 1 for step in range(length)]),
        "timestamp": pa.array(np.arange(length, dtype=np.float32) / FPS),
        "frame_index": pa.array(range(length)),
        "episode_index": pa.array([episode] * length),
        "index": pa.array([sum(LENGTHS[:episode]) + i for i in range(length)]),
        "task_index": pa.array([episode] * length),
    }
    return pa.table(columns | changed)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two episodes of 4 and 6 steps, one camera, a task each."""
    root = tmp_path / "v21"
    features = {
        "action": {"dtype": "float64", "shape": [2], "names": {"motors": ["pan", "lift"]}},
        "next.success": {"dtype": "bool", "shape": [1], "names": None},
        CAMERA: {"dtype": "video", "shape": [3, 16, 32], "names": ["channels", "height", "width"]},
        **{name: {"dtype": "int64", "shape": [1], "names": None} for name in ("frame_index", "index", "task_index")},
        "episode_index": {"dtype": "int64", "shape": [1], "names": None},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    }
    info = {
        "codebase_version": "v2.1",
        "robot_type": "so100",
        "fps": FPS,
        "total_episodes": 2,
        "chunks_size": 1000,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    }
    write_json(root / "meta/info.json", info)
    write_lines(root / "meta/tasks.jsonl", [{"task_index": i, "task": task} for i, task in enumerate(TASKS)])
    entries = [{"episode_index": i, "tasks": [TASKS[i]], "length": n, "operator": "Ada"} for i, n in enumerate(LENGTHS)]
    write_lines(root / "meta/episodes.jsonl", entries)
    (root / "data/chunk-000").mkdir(parents=True)
    for episode, length in enumerate(LENGTHS):
        pq.write_table(rows(episode), root / f"data/chunk-000/episode_{episode:06d}.parquet")
        frames = np.full((length, 16, 32, 3), 40 * episode, np.uint8)
        write_video(root / f"videos/chunk-000/{CAMERA}/episode_{episode:06d}.mp4", frames, fps=FPS)
    return root


def replace_rows(root: Path, episode: int, **changed: pa.Array) -> None:
    pq.write_table(rows(episode, **changed), root / f"data/chunk-000/episode_{episode:06d}.parquet")


def test_episodes_are_as_they_were(dataset: Path):
    source = open_source(dataset)
    assert (source.fps, source.robot_type, source.findings) == (10, "so100", [])
    assert source.features["action"].names == ("pan", "lift")
    assert source.features[CAMERA].shape == (16, 32, 3)
    first, second = source.episodes
    assert (first.task, second.task) == ("pick the cube", "place the cube")
    assert second.columns["action"].dtype == np.float64
    assert second.columns["action"][:, 0].tolist() == [100, 101, 102, 103, 104, 105]
    assert first.columns["next.success"].tolist() == [[False], [False], [False], [True]]
    assert first.facts == {"operator": "Ada"}
    assert set(first.columns) == {"action", "next.success"}


def test_videos_are_joined_without_being_encoded_again(dataset: Path, tmp_path: Path):
    source = open_source(dataset)
    saved = imported(source, tmp_path / "v3")
    assert [row.length for row in saved.episodes] == LENGTHS
    assert saved.tasks == tuple(TASKS)
    original = dataset / f"videos/chunk-000/{CAMERA}/episode_000001.mp4"
    assert (tmp_path / f"v3/videos/{CAMERA}/chunk-000/file-001.mp4").read_bytes() == original.read_bytes()
    np.testing.assert_array_equal(saved.columns(1)["action"], source.episodes[1].columns["action"])


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        (
            {"timestamp": pa.array(np.array([0, 0.1, 0.2, 0.35], np.float32))},
            "episode 0: timestamps are up to 0.0500 s off the grid of 10 Hz, first at step 3: put on it",
        ),
        (
            {"task_index": pa.array([1, 1, 1, 1])},
            "episode 0: its rows have the task ['place the cube'], meta/episodes.jsonl ['pick the cube']: rows' kept",
        ),
        ({"task_index": pa.array([0, 0, 1, 1])}, "episode 0 has 2 tasks: joined by ' / '"),
    ],
)
def test_inconsistencies_are_reported(dataset: Path, changed: dict, finding: str):
    replace_rows(dataset, 0, **changed)
    source = open_source(dataset)
    assert source.episodes[0].length == 4
    assert finding in source.findings


def edit_line(root: Path, name: str, **entries: object) -> None:
    """Entries of the first line of meta/NAME.jsonl."""
    path = root / f"meta/{name}.jsonl"
    first, *others = map(json.loads, path.read_text().splitlines())
    write_lines(path, [first | entries, *others])


def test_lists_that_an_episode_says_are_kept_as_text(dataset: Path):
    edit_line(dataset, "episodes", skills=[{"name": "reach", "until": 2}], scores=[0.5, 1.0])
    source = open_source(dataset)
    facts = source.episodes[0].facts
    assert json.loads(str(facts["skills"])) == [{"name": "reach", "until": 2}]
    assert json.loads(str(facts["scores"])) == [0.5, 1.0]
    assert source.findings == ["episode 0: skills, scores are no single values: kept as text (JSON)"]


def test_what_else_the_description_says_is_kept(dataset: Path, tmp_path: Path):
    edit_info(dataset, collected_at="the lab", splits=SPLITS, total_videos=2)
    (dataset / "meta/modality.json").write_text("{}")
    (dataset / "meta/episodes_stats.jsonl").write_text("")
    source = open_source(dataset)
    assert source.extra == {"collected_at": "the lab", "splits": SPLITS}
    assert source.findings == ["not imported: meta/modality.json"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda root: replace_rows(root, 1, load=pa.array([0.0] * 6)), "episode_000001.parquet | load | info.json"),
        (lambda root: edit_line(root, "tasks", said_by="Ada"), "tasks.jsonl | said_by"),
    ],
)
def test_what_has_no_place_is_refused_by_name(dataset: Path, change, told: str):
    change(dataset)
    with refused(told):
        list(open_source(dataset).episodes)


def test_a_template_may_call_the_chunk_by_its_newer_name(dataset: Path):
    path = dataset / "meta/info.json"
    path.write_text(path.read_text().replace("{episode_chunk", "{chunk_index"))
    assert len(open_source(dataset).episodes) == 2


def test_a_template_that_nobody_can_fill_is_refused(dataset: Path):
    path = dataset / "meta/info.json"
    path.write_text(path.read_text().replace("{episode_chunk", "{year"))
    with refused("data_path | {year:03d} | episode_chunk, chunk_index"):
        open_source(dataset)


def test_a_total_that_is_wrong_is_reported(dataset: Path):
    edit_info(dataset, total_episodes=3)
    assert open_source(dataset).findings == ["meta/info.json says 3 episodes, meta/episodes.jsonl lists 2"]


@pytest.mark.parametrize("name", ["meta/episodes.jsonl", "meta/tasks.jsonl"])
def test_a_missing_description_is_named(dataset: Path, name: str):
    (dataset / name).unlink()
    with refused(f"{name} cannot be read"):
        open_source(dataset)


def test_all_missing_files_are_named_before_anything_is_written(dataset: Path):
    missing = ["data/chunk-000/episode_000001.parquet", f"videos/chunk-000/{CAMERA}/episode_000001.mp4"]
    for name in missing:
        (dataset / name).unlink()
    with refused(f"2 of 4 | {', '.join(missing)}"):
        open_source(dataset)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "whole"),
        (lambda path: pq.write_table(rows(0), path), "episode 1 | 4 rows | meta/episodes.jsonl | 6"),
        (lambda path: replace_rows(path.parents[2], 1, task_index=pa.array([7] * 6)), "episode 1 | {7} | tasks.jsonl"),
        (lambda path: replace_rows(path.parents[2], 1, action=pa.array([[1.0]] * 6)), "episode 1 | 6 numbers | 6 rows"),
    ],
)
def test_a_damaged_episode_is_named(dataset: Path, change, told: str):
    change(dataset / "data/chunk-000/episode_000001.parquet")
    source = open_source(dataset)
    assert source.episodes[0].length == 4
    with refused(f"episode_000001.parquet | {told}"):
        source.episodes[1]


def test_a_video_with_a_frame_missing_is_not_appended(dataset: Path, tmp_path: Path):
    video = dataset / f"videos/chunk-000/{CAMERA}/episode_000001.mp4"
    write_video(video, np.zeros((5, 16, 32, 3), np.uint8), fps=FPS)
    source = open_source(dataset)
    with DatasetWriter.create(tmp_path / "v3", fps=FPS, features=source.features) as writer:
        with refused("episode 1 | 5 frames | 6 rows"):
            import_dataset(source, writer)
        assert writer.num_episodes == 1


def test_images_can_be_left_out(dataset: Path):
    source = open_source(dataset, ImportOptions(images=False))
    assert set(source.features) == {"action", "next.success"}
    assert source.episodes[0].videos == {}


def test_its_rate_cannot_be_changed(dataset: Path):
    with refused("fps | task, robot_type, images"):
        open_source(dataset, ImportOptions(fps=5))
