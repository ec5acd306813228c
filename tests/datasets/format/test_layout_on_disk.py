"""What is on disk is what LeRobot v3.0 demands, to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.writer import DatasetWriter

TOP = "observation.images.top"
FEATURES: Features = {
    "observation.state": Feature(dtype="float32", shape=(3,), names=("x", "y", "z")),
    "action": Feature(dtype="float64", shape=(2,)),
    "reward": Feature(dtype="float32", shape=(1,)),
    "capture_ns": Feature(dtype="int64", shape=(1,)),
    "matrix": Feature(dtype="float32", shape=(2, 3)),
    "in_control": Feature(dtype="string", shape=(1,)),
    "observation.image": Feature(dtype="image", shape=(4, 6, 3)),
    TOP: Feature(dtype="video", shape=(16, 32, 3)),
}


def episode(length: int, task: str, **facts) -> Episode:
    """Column `observation.state` counts 0, 1, 2 …; `reward` is 1, 2, 3 …; the camera is half as bright as white."""
    steps = np.arange(length)
    columns = {
        "observation.state": np.tile(steps.reshape(-1, 1), 3).astype(np.float32),
        "action": np.ones((length, 2)),
        "reward": (steps + 1).astype(np.float32).reshape(-1, 1),
        "capture_ns": (1_700_000_000_000_000_001 + steps).reshape(-1, 1),
        "matrix": np.zeros((length, 2, 3), np.float32),
        "in_control": np.full((length, 1), "operator", object),
        "observation.image": np.full((length, 4, 6, 3), (255, 51, 0), np.uint8),
    }
    return Episode(
        columns=columns, videos={TOP: np.full((length, 16, 32, 3), 128, np.uint8)}, task=task, facts=dict(facts)
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes of 4, 5 and 4 steps; the second has another task."""
    root = tmp_path_factory.mktemp("layout") / "data"
    with DatasetWriter.create(root, fps=10, features=FEATURES, robot_type="so101") as writer:
        assert writer.append(episode(4, "lift", success=True, operator="Ada", seed=7)) == 0
        assert writer.append(episode(5, "put", success=False, score=0.5)) == 1
        assert writer.append(episode(4, "lift")) == 2
    return root


def test_files(root: Path):
    numbered = [f"chunk-000/file-00{i}" for i in range(3)]
    expected = {".lock", "meta/info.json", "meta/stats.json", "meta/tasks.parquet"}
    expected |= {f"data/{n}.parquet" for n in numbered} | {f"meta/episodes/{n}.parquet" for n in numbered}
    expected |= {f"videos/{TOP}/{n}.mp4" for n in numbered}
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == expected


def test_info(root: Path):
    info = json.loads((root / "meta/info.json").read_text())
    features = info.pop("features")
    assert info == {
        "codebase_version": "v3.0",
        "robot_type": "so101",
        "total_episodes": 3,
        "total_frames": 13,
        "total_tasks": 2,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": 10,
        "splits": {"train": "0:3"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    index = ["timestamp", "frame_index", "episode_index", "index", "task_index"]
    assert list(features) == [*FEATURES, *index]
    assert features["observation.state"] == {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]}
    assert features["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}
    assert features["index"] == {"dtype": "int64", "shape": [1], "names": None}
    assert features[TOP] == {
        "dtype": "video",
        "shape": [16, 32, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": 16,
            "video.width": 32,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.fps": 10,
            "video.channels": 3,
            "has_audio": False,
            "is_depth_map": False,
        },
    }


def test_a_dataset_without_cameras_has_no_video_path(tmp_path: Path):
    DatasetWriter.create(tmp_path / "d", fps=30, features={"action": FEATURES["action"]}).close()
    info = json.loads((tmp_path / "d/meta/info.json").read_text())
    assert (info["video_path"], info["robot_type"], info["total_episodes"]) == (None, None, 0)


def test_data(root: Path):
    file = pq.ParquetFile(root / "data/chunk-000/file-001.parquet")
    assert file.metadata.num_row_groups == 1
    assert file.metadata.row_group(0).column(0).compression == "SNAPPY"
    schema = file.schema_arrow
    assert TOP not in schema.names
    assert {name: schema.field(name).type for name in schema.names} == {
        "observation.state": pa.list_(pa.float32(), 3),
        "action": pa.list_(pa.float64(), 2),
        "reward": pa.float32(),
        "capture_ns": pa.int64(),
        "matrix": pa.list_(pa.list_(pa.float32())),
        "in_control": pa.string(),
        "observation.image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        "timestamp": pa.float32(),
        "frame_index": pa.int64(),
        "episode_index": pa.int64(),
        "index": pa.int64(),
        "task_index": pa.int64(),
    }
    rows = file.read().to_pydict()
    assert rows["timestamp"] == np.array([0, 0.1, 0.2, 0.3, 0.4], np.float32).tolist()
    assert rows["frame_index"] == [0, 1, 2, 3, 4]
    assert rows["episode_index"] == [1] * 5
    assert rows["index"] == [4, 5, 6, 7, 8]
    assert rows["task_index"] == [1] * 5
    assert rows["capture_ns"][4] == 1_700_000_000_000_000_005
    assert rows["observation.image"][0]["bytes"].startswith(b"\x89PNG")


def test_episodes(root: Path):
    rows = pq.ParquetFile(root / "meta/episodes/chunk-000/file-001.parquet").read()
    kinds = {"success": pa.bool_(), "operator": pa.string(), "seed": pa.int64(), "facts": pa.string()}
    assert {name: rows.schema.field(name).type for name in kinds} == kinds
    (row,) = rows.to_pylist()
    assert {name: value for name, value in row.items() if not name.startswith("stats/")} == {
        "episode_index": 1,
        "tasks": ["put"],
        "length": 5,
        "data/chunk_index": 0,
        "data/file_index": 1,
        "dataset_from_index": 4,
        "dataset_to_index": 9,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 1,
        f"videos/{TOP}/chunk_index": 0,
        f"videos/{TOP}/file_index": 1,
        f"videos/{TOP}/from_timestamp": 0.0,
        f"videos/{TOP}/to_timestamp": 0.5,
        "success": False,
        "operator": None,
        "seed": None,
        "facts": '{"score": 0.5}',
    }
    assert row["stats/reward/mean"] == [3.0]
    assert row["stats/reward/count"] == [5]
    assert np.shape(row[f"stats/{TOP}/std"]) == (3, 1, 1)


def test_every_episode_has_the_same_columns(root: Path):
    """LeRobot joins these files and refuses what differs."""
    files = sorted((root / "meta/episodes/chunk-000").iterdir())
    assert len({str(pq.ParquetFile(path).schema_arrow) for path in files}) == 1


def test_tasks_are_the_index_of_a_pandas_frame(root: Path):
    rows = pq.ParquetFile(root / "meta/tasks.parquet").read()
    assert rows.to_pydict() == {"task_index": [0, 1], "task": ["lift", "put"]}
    pandas = json.loads(rows.schema.metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"]
    assert [column["name"] for column in pandas["columns"]] == ["task_index", "task"]


def test_statistics(root: Path):
    statistics = json.loads((root / "meta/stats.json").read_text())
    names = {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
    assert all(set(each) == names for each in statistics.values())
    assert "in_control" not in statistics
    shapes = {name: np.shape(each["mean"]) for name, each in statistics.items()}
    assert (shapes["observation.state"], shapes["reward"], shapes["matrix"]) == ((3,), (1,), (2, 3))
    assert shapes[TOP] == shapes["observation.image"] == (3, 1, 1)
    reward = statistics["reward"]  # 1 2 3 4, 1 2 3 4 5, 1 2 3 4
    assert (reward["min"], reward["max"], reward["count"]) == ([1.0], [5.0], [13])
    assert reward["mean"] == pytest.approx([35 / 13])
    assert reward["std"] == pytest.approx([np.std([1, 2, 3, 4, 1, 2, 3, 4, 5, 1, 2, 3, 4])])
    assert np.ravel(statistics["observation.image"]["mean"]) == pytest.approx([1.0, 0.2, 0.0])
    assert np.ravel(statistics[TOP]["q50"]) == pytest.approx(3 * [0.5], abs=0.02)
    assert statistics[TOP]["count"] == [13]


def test_video_is_at_a_constant_rate_from_zero(root: Path):
    with av.open(str(root / f"videos/{TOP}/chunk-000/file-001.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-4)
