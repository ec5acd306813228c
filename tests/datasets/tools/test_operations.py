"""Datasets out of datasets: nothing but what was asked for changes, and images keep their bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from refusals import refused
from rich.console import Console
from spoiling import edit_info, edit_json, edit_parquet
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.frames import scan_video
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.operations import (
    delete_episodes,
    keep_episodes,
    merge,
    recompute_statistics,
    reencode,
    split,
)
from isthmus_datasets.tools.packing import pack
from isthmus_datasets.tools.scan.gather import gather
from isthmus_datasets.tools.subcommands import Export

FEATURES: Features = {
    "action": Feature(dtype="float64", shape=(2,)),
    "label": Feature(dtype="string", shape=(1,)),
    "still": Feature(dtype="image", shape=(3, 5, 3)),
    "camera": Feature(dtype="video", shape=(32, 32, 3)),
}
LENGTHS = (5, 9, 1, 14)


def make(root: Path, seed: int = 0, fps: int = 10) -> Path:
    """Four episodes of noise, tasks in turn."""
    random = np.random.default_rng(seed)
    with DatasetWriter.create(root, fps=fps, features=FEATURES, robot_type=f"robot{seed}") as writer:
        for i, length in enumerate(LENGTHS):
            columns = {
                "action": random.random((length, 2)),
                "label": np.full((length, 1), f"{seed}-{i}", object),
                "still": random.integers(0, 256, (length, 3, 5, 3), np.uint8),
            }
            camera = random.integers(0, 256, (length, 32, 32, 3), np.uint8)
            facts = {"success": i % 2 == 0, "seed": i, "score": i / 2}
            writer.append(Episode(columns=columns, videos={"camera": camera}, task=["lift", "put"][i % 2], facts=facts))
    return root


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DatasetReader:
    return DatasetReader(make(tmp_path_factory.mktemp("source") / "data"))


def assert_same(one: DatasetReader, i: int, other: DatasetReader, j: int) -> None:
    """The same episode, and the very same images."""
    here, there = one.episode(i), other.episode(j)
    assert (here.task, here.facts) == (there.task, there.facts)
    for name in FEATURES:
        if name != "camera":
            np.testing.assert_array_equal(here.columns[name], there.columns[name])
    np.testing.assert_array_equal(one.frames(i, "camera"), other.frames(j, "camera"))


def test_keep_and_delete(source: DatasetReader, tmp_path: Path):
    keep_episodes(source.root, tmp_path / "kept", [3, 0])
    kept = DatasetReader(tmp_path / "kept")
    assert [row.length for row in kept.episodes] == [14, 5]
    assert kept.tasks == ("put", "lift")
    assert_same(kept, 0, source, 3)
    assert_same(kept, 1, source, 0)
    np.testing.assert_array_equal(kept.columns(1)["index"].ravel(), np.arange(14, 19))
    delete_episodes(source.root, tmp_path / "rest", [3, 0])
    assert [row.facts["seed"] for row in DatasetReader(tmp_path / "rest").episodes] == [1, 2]


@pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="PyAV here has no encoder for AV1")
def test_av1_is_copied_and_not_encoded_anew(tmp_path: Path):
    """LeRobot's videos: key frames every second frame, as it makes them. And everything else works on them."""
    features = {"action": FEATURES["action"], "camera": FEATURES["camera"]}
    random = np.random.default_rng(0)
    with DatasetWriter.create(tmp_path / "av1", fps=10, features=features) as writer:
        for i in range(3):
            video, images = tmp_path / f"{i}.mp4", random.integers(0, 256, (6, 32, 32, 3), np.uint8)
            write_av1(video, images)
            columns = {"action": random.random((6, 2))}
            writer.append(Episode(columns=columns, videos={"camera": video}, task="lift", facts={}))
    whole = DatasetReader(tmp_path / "av1")
    keep_episodes(whole.root, tmp_path / "kept", [2, 0])
    split(whole.root, {tmp_path / "a": [0], tmp_path / "b": [1, 2]})
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "merged")
    pack(whole.root, tmp_path / "packed")
    keep_episodes(tmp_path / "packed", tmp_path / "unpacked", [2, 0])
    delete_episodes(whole.root, tmp_path / "rest", [1])
    recompute_statistics(tmp_path / "merged")
    for name, order in (("kept", (2, 0)), ("merged", (0, 1, 2)), ("packed", (0, 1, 2)), ("unpacked", (2, 0)),
                        ("rest", (0, 2))):  # fmt: skip
        made = DatasetReader(tmp_path / name)
        for i, of in enumerate(order):
            np.testing.assert_array_equal(made.frames(i, "camera"), whole.frames(of, "camera"))
        assert not [finding for finding in run_checks(gather(made.root)) if finding.severity == "error"]
    reencode(whole.root, tmp_path / "anew", crf=1)
    again = DatasetReader(tmp_path / "anew").frames(1, "camera").astype(int)
    assert np.abs(again - whole.frames(1, "camera")).mean() < 5
    OPERATIONS["export"](whole.root, tmp_path / "new.zarr")
    exported = np.asarray(zarr.open_group(str(tmp_path / "new.zarr"), mode="r")["data/camera"])
    np.testing.assert_array_equal(exported[6:12], whole.frames(1, "camera"))


def write_av1(path: Path, images: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libsvtav1", rate=10, options={"g": "2", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"  # pyright: ignore[reportAttributeAccessIssue]
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))  # pyright: ignore
        container.mux(stream.encode())  # pyright: ignore


def test_split_and_merge_give_the_whole_again(source: DatasetReader, tmp_path: Path):
    split(source.root, {tmp_path / "a": [0, 1], tmp_path / "b": [2, 3]})
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "whole")
    whole = DatasetReader(tmp_path / "whole")
    assert whole.info == source.info
    for index in range(4):
        assert_same(whole, index, source, index)
    statistics = [json.loads((root / "meta/stats.json").read_text()) for root in (source.root, whole.root)]
    assert statistics[0] == statistics[1]


def test_merging_two_robots_names_both(source: DatasetReader, tmp_path: Path):
    merge([source.root, make(tmp_path / "other", seed=1)], tmp_path / "both")
    both = DatasetReader(tmp_path / "both")
    assert (both.num_episodes, both.info.robot_type) == (8, "robot0+robot1")
    assert both.episode(6).columns["label"][0, 0] == "1-2"


def test_what_does_not_fit_together_is_not_merged(source: DatasetReader, tmp_path: Path):
    with refused("10 | other | 20"):
        merge([source.root, make(tmp_path / "other", fps=20)], tmp_path / "both")
    features = {**FEATURES, "action": Feature(dtype="float64", shape=(2,), names=("x", "y"))}
    with refused("'action' | data | named | 'x', 'y'"):
        merge([source.root, written(tmp_path / "named", features)], tmp_path / "both")
    with refused("nothing to merge"):
        merge([], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"units": ["rad", "rad"]}, {"units": ["deg", "deg"]}),
        ({"units": ["rad", "rad"]}, None),
        ({"depth_unit": "mm"}, {"depth_unit": "m"}),
    ],
)
def test_numbers_of_another_meaning_are_not_merged(tmp_path: Path, one: dict, other: dict | None):
    roots = [
        written(tmp_path / name, {"action": Feature(dtype="float64", shape=(2,), info=info)})
        for name, info in (("one", one), ("other", other))
    ]
    with refused(f"'action' | '{next(iter(one))}' | {roots[0]} | {roots[1]}"):
        merge(roots, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_how_a_video_is_encoded_is_no_meaning(source: DatasetReader, tmp_path: Path):
    features = {name: replace(feature, info=None) for name, feature in source.info.features.items()}
    columns = {name: feature for name, feature in features.items() if name in FEATURES}
    merge([written(tmp_path / "empty", columns), source.root], tmp_path / "both")
    assert DatasetReader(tmp_path / "both").num_episodes == 4


def test_mistakes_leave_nothing_behind(source: DatasetReader, tmp_path: Path):
    with refused("episode 4"):
        keep_episodes(source.root, tmp_path / "kept", [0, 4])
    (tmp_path / "there").mkdir()
    with refused("there is there already"):
        pack(source.root, tmp_path / "there")
    broken = make(tmp_path / "broken")
    (broken / "videos/camera/chunk-000/file-003.mp4").unlink()
    for operation in (lambda: merge([broken], tmp_path / "new"), lambda: pack(broken, tmp_path / "new")):
        with refused("file-003.mp4 is missing"):
            operation()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "there"]


def test_pack_makes_one_file_of_many(source: DatasetReader, tmp_path: Path):
    pack(source.root, tmp_path / "packed")
    packed = DatasetReader(tmp_path / "packed")
    files = sorted(str(path.relative_to(packed.root)) for path in packed.root.rglob("*.*") if path.is_file())
    name = "chunk-000/file-000"
    assert files == [
        f"data/{name}.parquet",
        f"meta/episodes/{name}.parquet",
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
        f"videos/camera/{name}.mp4",
    ]
    assert packed.info == source.info
    groups = pq.ParquetFile(packed.root / f"data/{name}.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == list(LENGTHS)
    assert [row.videos["camera"].start_s for row in packed.episodes] == [0.0, 0.5, 1.4, 1.5]
    assert [row.videos["camera"].end_s for row in packed.episodes] == [0.5, 1.4, 1.5, 2.9]
    for index in range(4):
        assert_same(packed, index, source, index)
    assert (packed.root / "meta/tasks.parquet").read_bytes() == (source.root / "meta/tasks.parquet").read_bytes()


def test_pack_begins_a_new_file_when_one_is_full(source: DatasetReader, tmp_path: Path):
    pack(source.root, tmp_path / "packed", data_mb=0, video_mb=0)
    packed = DatasetReader(tmp_path / "packed")
    assert (
        [row.file for row in packed.episodes] == [row.videos["camera"].file for row in packed.episodes] == [0, 1, 2, 3]
    )
    for index in range(4):
        assert_same(packed, index, source, index)


def test_a_packed_dataset_is_recorded_on_and_packed_again(source: DatasetReader, tmp_path: Path):
    pack(source.root, tmp_path / "packed")
    with DatasetWriter.open(tmp_path / "packed") as writer:
        assert writer.append(source.episode(1)) == 4
    pack(tmp_path / "packed", tmp_path / "again")
    again = DatasetReader(tmp_path / "again")
    assert len(list((again.root / "videos").rglob("*.mp4"))) == 1
    for index in range(4):
        assert_same(again, index, source, index)
    np.testing.assert_array_equal(again.columns(4)["action"], source.columns(1)["action"])
    keep_episodes(again.root, tmp_path / "cut", [2, 1])
    assert_same(DatasetReader(tmp_path / "cut"), 1, source, 1)


def test_videos_encoded_in_another_way_get_a_file_of_their_own(source: DatasetReader, tmp_path: Path):
    """With frames that need later ones (x264's default), and a third of the first kind again."""
    other = write_video(tmp_path / "other.mp4", source.frames(3, "camera"), fps=10)
    episode = source.episode(3)
    foreign = replace(episode, videos={"camera": other})
    pack(written(tmp_path / "mixed", FEATURES, [episode, foreign, foreign, episode]), tmp_path / "packed")
    mixed, packed = DatasetReader(tmp_path / "mixed"), DatasetReader(tmp_path / "packed")
    assert [row.videos["camera"].file for row in packed.episodes] == [0, 1, 1, 2]
    for index in range(4):
        assert_same(packed, index, mixed, index)
    keep_episodes(packed.root, tmp_path / "kept", [2])
    assert_same(DatasetReader(tmp_path / "kept"), 0, mixed, 2)


def test_an_episode_that_begins_within_a_group_of_frames_is_encoded_anew(source: DatasetReader, tmp_path: Path):
    """As in files that somebody encoded as one film."""
    pack(source.root, tmp_path / "packed")
    film = np.full((sum(LENGTHS), 32, 32, 3), 40, np.uint8)
    film[5:14] = 200
    path = tmp_path / "packed/videos/camera/chunk-000/file-000.mp4"
    with_one_key_frame = write_video(path, film, fps=10)
    assert scan_video(with_one_key_frame, fps=10).frames == sum(LENGTHS)
    keep_episodes(tmp_path / "packed", tmp_path / "kept", [1])
    frames = DatasetReader(tmp_path / "kept").frames(0, "camera")
    assert frames.shape[0] == 9
    np.testing.assert_allclose(frames, 200, atol=3)


def test_reencode_makes_smaller_files(source: DatasetReader, tmp_path: Path):
    reencode(source.root, tmp_path / "small", crf=40)
    small = DatasetReader(tmp_path / "small")
    assert [row.length for row in small.episodes] == list(LENGTHS)
    sizes = [sum(path.stat().st_size for path in root.rglob("*.mp4")) for root in (source.root, small.root)]
    assert sizes[1] < sizes[0] / 2
    np.testing.assert_array_equal(small.columns(3)["action"], source.columns(3)["action"])


def test_statistics_computed_anew(source: DatasetReader, tmp_path: Path):
    pack(source.root, tmp_path / "packed")
    path = tmp_path / "packed/meta/stats.json"
    before = json.loads(path.read_text())
    rows = pq.ParquetFile(tmp_path / "packed/meta/episodes/chunk-000/file-000.parquet").read()
    without = rows.drop_columns([name for name in rows.column_names if name.startswith("stats/")])
    pq.write_table(without, tmp_path / "packed/meta/episodes/chunk-000/file-000.parquet")
    path.unlink()
    with refused("recompute"):
        DatasetWriter.open(tmp_path / "packed")
    with refused("recompute"):
        pack(tmp_path / "packed", tmp_path / "again")
    recompute_statistics(tmp_path / "packed")
    after = json.loads(path.read_text())
    assert after.keys() == before.keys()
    for feature, each in after.items():
        for name, value in each.items():
            np.testing.assert_allclose(value, before[feature][name], rtol=1e-9, atol=1e-12)
    pack(tmp_path / "packed", tmp_path / "again")
    DatasetWriter.open(tmp_path / "packed").close()


def test_statistics_are_not_computed_while_another_writes(source: DatasetReader):
    with DatasetWriter.open(source.root), refused(f"process {os.getpid()}"):
        recompute_statistics(source.root)


OPERATIONS: dict[str, Callable[[Path, Path], object]] = {
    "select": lambda source, new: keep_episodes(source, new, [0]),
    "merge": lambda source, new: merge([source], new),
    "pack": pack,
    "reencode": reencode,
    "export": lambda source, new: Export(source=source, target=new).run(Console(quiet=True)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_would_be_lost_is_refused_by_name(tmp_path: Path, operation: str):
    """Columns of meta/episodes that are no fact, of the data that nobody declares, of the tasks; in any file."""
    source = make(tmp_path / "source")
    facts, data = "meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-002.parquet"
    for path, column, value in (
        (facts, "subtasks", ["reach", "grasp"]),
        (facts.replace("000.p", "003.p"), "camera/exposure", 0.5),
        (facts, "when", datetime(2026, 1, 1)),
        (facts, "digest", b"0"),
        (facts, "stats/action/q05", [0.1, 0.2]),
        (facts, "stats/speed/min", [0.1]),
        (data, "depth", 0.5),
        ("meta/tasks.parquet", "said_by", "Ada"),
    ):
        before = (source / path).read_bytes()
        edit_parquet(source / path, lambda t, c=column, v=value: t.append_column(c, pa.array([v] * len(t))))
        refused_by(operation, source, column)
        (source / path).write_bytes(before)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_files_and_statistics_that_would_be_lost_are_refused_by_name(tmp_path: Path, operation: str):
    source = make(tmp_path / "source")
    (source / "meta/subtasks.parquet").write_bytes(b"")
    refused_by(operation, source, "meta/subtasks.parquet")
    (source / "meta/subtasks.parquet").unlink()
    edit_json(source / "meta/stats.json", lambda statistics: statistics["action"].update(q05=[0.1, 0.2]))
    refused_by(operation, source, "action/q05")


def refused_by(operation: str, source: Path, name: str) -> None:
    new = source.with_name("new.zarr")
    with refused(f"source | {name} | lost"):
        OPERATIONS[operation](source, new)
    assert not new.exists()


@pytest.mark.parametrize("operation", ["select", "merge", "pack", "reencode"])
def test_what_else_the_description_says_is_kept(tmp_path: Path, operation: str):
    source = make(tmp_path / "source")
    features = json.loads((source / "meta/info.json").read_text())["features"]
    features["action"] |= {"fps": 10, "names": {"motors": ["x", "y"]}}
    features["still"]["video_info"] = {"of": "another version"}
    edit_info(source, features=features, collected_at="the lab")
    OPERATIONS[operation](source, tmp_path / "new")
    made = json.loads((tmp_path / "new/meta/info.json").read_text())
    assert made["collected_at"] == "the lab"
    assert made["features"]["action"] == features["action"]
    assert made["features"]["still"] == features["still"]


def test_splits_are_kept_where_episodes_keep_their_numbers(tmp_path: Path):
    source, splits = make(tmp_path / "source"), {"train": "0:3", "test": "3:4"}
    edit_info(source, splits=splits)
    for operation in ("merge", "pack", "reencode"):
        OPERATIONS[operation](source, tmp_path / operation)
        assert json.loads((tmp_path / operation / "meta/info.json").read_text())["splits"] == splits
    refused_by("select", source, "splits")
    with refused("splits | lost"):
        merge([source, source], tmp_path / "twice")


def test_sources_that_say_different_things_are_not_merged(tmp_path: Path):
    one, other = make(tmp_path / "one"), make(tmp_path / "other", seed=1)
    edit_info(one, collected_at="the lab")
    edit_info(other, collected_at="a kitchen")
    with refused("other/meta/info.json | collected_at | 'a kitchen' | 'the lab'"):
        merge([one, other], tmp_path / "both")


def test_what_tasks_say_besides_is_not_lost_by_an_append(tmp_path: Path):
    source = make(tmp_path / "source")
    edit_parquet(source / "meta/tasks.parquet", lambda t: t.append_column("said_by", pa.array(["Ada"] * len(t))))
    with refused("tasks.parquet | said_by | lost"):
        DatasetWriter.open(source)


def test_statistics_of_others_stay(tmp_path: Path):
    source, rows = make(tmp_path / "source"), "meta/episodes/chunk-000/file-000.parquet"
    edit_parquet(source / rows, lambda t: t.append_column("stats/action/q05", pa.array([[0.1, 0.2]])))
    edit_json(source / "meta/stats.json", lambda statistics: statistics["action"].update(q05=[0.1, 0.2]))
    recompute_statistics(source)
    assert pq.read_table(source / rows)["stats/action/q05"].to_pylist() == [[0.1, 0.2]]
    assert json.loads((source / "meta/stats.json").read_text())["action"]["q05"] == [0.1, 0.2]
