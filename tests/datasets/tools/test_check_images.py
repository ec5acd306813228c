"""Cameras that lose frames, hang, or see nothing: found in the right episode, in single and in packed files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from spoiling import edit_parquet, with_column

from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.images.frames import read_frames
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.tools.packing import pack

VIDEO = "videos/camera/chunk-000/file-003.mp4"


def rewrite(path: Path, change, fps: int = 10) -> None:
    """The frames that `change` makes of those in the file."""
    count = 60
    write_video(path, change(read_frames(path, range(count), fps=10)), fps=fps, crf=20, key_every=10)


@pytest.mark.parametrize(
    ("change", "fps", "message"),
    [
        (lambda f: np.delete(f, 20, axis=0), 10, "has 59 frames when decoded, the episode has 60 rows"),
        (lambda f: np.insert(f, 20, f[20], axis=0), 10, "has 61 frames when decoded, the episode has 60 rows"),
        (lambda f: f, 12, "has frame 1 not at 0.1 s"),
        (lambda f: f[:, :, :24], 10, "has frames of shape (32, 24, 3), declared is (32, 32, 3)"),
    ],
    ids=["lost", "double", "rate", "shape"],
)
def test_frames_that_are_not_those_of_the_rows(dataset: Path, demonstrations, change, fps: int, message: str):
    rewrite(dataset / VIDEO, change, fps)
    found, said = demonstrations.check(dataset)
    assert found == [("error", "frames", 3)]
    assert f"camera {message}" in said


def test_a_video_of_another_length_than_meta_episodes_says(dataset: Path, demonstrations):
    row = dataset / "meta/episodes/chunk-000/file-003.parquet"
    edit_parquet(row, lambda table: with_column(table, "videos/camera/to_timestamp", [5.8]))
    found, said = demonstrations.check(dataset)
    assert found == [("error", "frames", 3)]
    assert "is from 0 to 5.8 s in meta/episodes, which is not 60 rows" in said


@pytest.fixture
def packed(clean_dataset: Path, tmp_path: Path) -> Path:
    """The clean dataset in LeRobot's large files."""
    pack(clean_dataset, tmp_path / "packed")
    assert len(list((tmp_path / "packed/videos").rglob("*.mp4"))) == 1
    return tmp_path / "packed"


def test_nothing_is_found_in_large_files(packed: Path, demonstrations):
    assert demonstrations.check(packed) == ([], "")


def test_a_lost_frame_in_a_large_file_shows_at_its_end(packed: Path, demonstrations):
    path = next((packed / "videos").rglob("*.mp4"))
    frames = read_frames(path, range(600), fps=10)
    write_video(path, np.delete(frames, 200, axis=0), fps=10, crf=20)
    found, said = demonstrations.check(packed)
    assert found == [("error", "frames", 9)]
    assert "has 59 frames" in said


def test_rows_lost_from_a_large_file_are_of_the_right_episode(packed: Path, demonstrations):
    path = next((packed / "data").rglob("*.parquet"))
    table = pq.read_table(path)
    keep = np.delete(np.arange(600), [245, 246])
    pq.write_table(table.take(keep), path)
    found, said = demonstrations.check(packed)
    assert found[:1] == [("error", "rows", 4)]
    assert {episode for _, _, episode in found} == {4}
    assert "has 58 rows of it, meta/episodes says 60" in said


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["missing", "empty"])
def test_a_lost_large_file_concerns_all_its_episodes(packed: Path, demonstrations, damage):
    damage(next((packed / "data").rglob("*.parquet")))
    found, _ = demonstrations.check(packed)
    assert found == [("error", "files", episode) for episode in range(10)]


def filmed(demonstrations, root: Path, change) -> Path:
    """With the images of episode 6 changed."""
    episodes = demonstrations.episodes(8)
    frames = change(np.array(episodes[6].videos["camera"]))
    episodes[6] = replace(episodes[6], videos={"camera": frames})
    return demonstrations.save(root, episodes)


def stuck(frames: np.ndarray) -> np.ndarray:
    frames[20:45] = frames[20]
    return frames


def paint(start: int, stop: int, grey: int):
    def change(frames: np.ndarray) -> np.ndarray:
        frames[start:stop] = grey
        return frames

    return change


@pytest.mark.parametrize(
    ("change", "expected", "message"),
    [
        (stuck, ("warning", "stuck", 6), "camera shows one image for 2.5 s from step 20, while the robot moves"),
        (paint(0, 9, 5), ("warning", "empty-images", 6), "camera is black in 9 of 60 frames, first at step 0"),
        (paint(50, 58, 250), ("warning", "empty-images", 6), "camera is washed out in 8 of 60 frames"),
        (paint(50, 53, 120), ("note", "empty-images", 6), "camera is of one grey in 3 of 60 frames, first at step 50"),
    ],
    ids=["stuck", "black", "white", "grey"],
)
def test_images_that_show_nothing_new(tmp_path: Path, demonstrations, change, expected: tuple, message: str):
    found, said = demonstrations.check(filmed(demonstrations, tmp_path / "d", change))
    assert [each for each in found if each[1] != "statistics"] == [expected]
    assert message in said


def test_a_camera_that_looks_at_a_robot_at_rest_is_not_stuck(tmp_path: Path, demonstrations):
    episodes = demonstrations.episodes(8)
    noise = np.random.default_rng(0).normal(0, 0.005, (30, 3))
    for name in ("action", "observation.state"):
        episodes[6].columns[name][20:50] = (episodes[6].columns[name][20] + noise).astype(np.float32)
    episodes[6] = replace(episodes[6], videos={"camera": stuck(np.array(episodes[6].videos["camera"]))})
    found, _ = demonstrations.check(demonstrations.save(tmp_path / "d", episodes))
    assert [each for each in found if each[1] == "stuck"] == []


def test_a_thing_beside_the_robot_that_drifts_by_a_rounding_is_no_movement(tmp_path: Path, demonstrations):
    features = demonstrations.features | {"observation.environment_state": Feature(dtype="float32", shape=(1,))}
    episodes = demonstrations.episodes(8)
    for episode in episodes:
        episode.columns["observation.environment_state"] = np.linspace(0.0, 3e-7, 60, dtype=np.float32)[:, None]
    episodes[6].columns["observation.state"][20:50] = episodes[6].columns["observation.state"][20]
    episodes[6] = replace(episodes[6], videos={"camera": stuck(np.array(episodes[6].videos["camera"]))})
    found, _ = demonstrations.check(demonstrations.save(tmp_path / "d", episodes, features))
    assert [each for each in found if each[1] == "stuck"] == []


def test_images_in_the_rows_are_looked_at_like_videos(tmp_path: Path, demonstrations):
    features = {name: f for name, f in demonstrations.features.items() if name != "camera"}
    features["wrist_image"] = Feature(dtype="image", shape=(32, 32, 3))
    episodes = []
    for episode in demonstrations.episodes(3):
        frames = np.array(episode.videos["camera"])
        frames = stuck(frames) if len(episodes) == 1 else frames
        episodes.append(replace(episode, columns=episode.columns | {"wrist_image": frames}, videos={}))
    found, said = demonstrations.check(demonstrations.save(tmp_path / "d", episodes, features))
    assert found == [("warning", "stuck", 1)]
    assert "wrist_image shows one image for 2.5 s" in said


def test_findings_carry_what_to_do(dataset: Path, tmp_path: Path):
    from isthmus_datasets.tools.checks.show import to_json
    from isthmus_datasets.tools.checks.suite import run_checks
    from isthmus_datasets.tools.scan.gather import gather

    (dataset / VIDEO).unlink()
    scan = gather(dataset)
    plain = json.loads(to_json(scan, run_checks(scan)))
    assert plain["errors"] == 1
    assert plain["findings"][0]["fix"].startswith("copy the file again")
