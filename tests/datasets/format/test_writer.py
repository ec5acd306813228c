"""Appending: what is refused, and that nothing saved is ever touched."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from full_disk import file_size_limit
from refusals import refused
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter

FEATURES: Features = {
    "action": Feature(dtype="float32", shape=(2,)),
    "label": Feature(dtype="string", shape=(1,)),
    "camera": Feature(dtype="video", shape=(16, 16, 3)),
}


def episode(length: int = 4, value: float = 1.0, task: str = "lift") -> Episode:
    return Episode(
        columns={
            "action": np.full((length, 2), value, np.float32),
            "label": np.full((length, 1), "a", object),
        },
        videos={"camera": np.full((length, 16, 16, 3), 90, np.uint8)},
        task=task,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset of two episodes."""
    return written(tmp_path / "data", FEATURES, [episode(4), episode(3, task="put")])


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


def with_columns(**columns) -> Episode:
    made = episode()
    return replace(made, columns=made.columns | columns)


def with_camera(video: np.ndarray | Path) -> Episode:
    return replace(episode(), videos={"camera": video})


BAD_NUMBER = np.array([[1, 2], [3, 4], [np.nan, 6], [7, 8]], np.float32)
REFUSED: dict[str, tuple[Episode, str]] = {
    "zero steps": (episode(0), "episode 2 | zero steps"),
    "no task": (episode(task=""), "episode 2 | what was asked"),
    "column missing": (replace(episode(), columns={"action": np.ones((4, 2), np.float32)}), "column label"),
    "column not declared": (with_columns(extra=np.ones((4, 1))), "column extra"),
    "index column": (with_columns(timestamp=np.ones((4, 1))), "column timestamp"),
    "another type": (with_columns(action=np.ones((4, 2))), "'action' | float64 | float32"),
    "another shape": (with_columns(action=np.ones((4, 3), np.float32)), "'action' | (4, 3)"),
    "a scalar without its axis": (with_columns(label=np.full(4, "a", object)), "'label' | (4,)"),
    "not strings": (with_columns(label=np.full((4, 1), 1)), "'label' | int64 | string"),
    "another length": (with_columns(label=np.full((5, 1), "a", object)), "'label' | 5 rows | 4"),
    "not a number": (with_columns(action=BAD_NUMBER), "'action' | step 2"),
    "infinite": (with_columns(action=np.full((4, 2), np.inf, np.float32)), "'action' | step 0"),
    "no video": (replace(episode(), videos={}), "video camera"),
    "video not declared": (replace(episode(), videos={**episode().videos, "other": Path("x")}), "video other"),
    "a frame too few": (with_camera(np.zeros((3, 16, 16, 3), np.uint8)), "'camera' | 3 rows | 4"),
    "another size": (with_camera(np.zeros((4, 18, 16, 3), np.uint8)), "'camera' | (4, 18, 16, 3)"),
    "no bytes": (with_camera(np.zeros((4, 16, 16, 3), np.float32)), "'camera' | float32 | uint8"),
    "a file that is missing": (with_camera(Path("nowhere/film.mp4")), "'camera' | nowhere/film.mp4"),
    "success is a number": (replace(episode(), facts={"success": 1}), "'success' | 1 | bool"),
    "seed too large": (replace(episode(), facts={"seed": 2**63}), "'seed' | 64 bits"),
    "a fact that is a list": (replace(episode(), facts={"score": [1]}), "'score' | list"),  # type: ignore[dict-item]
    "a fact that is not a number": (replace(episode(), facts={"score": np.nan}), "episode 2 | JSON"),
}


@pytest.mark.parametrize(("bad", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_episode_is_refused_and_the_next_appended(root: Path, bad: Episode, told: str):
    before = contents(root)
    with DatasetWriter.open(root) as writer:
        with refused(f"{root} | {told}"):
            writer.append(bad)
        assert contents(root) == before
        assert writer.append(episode(5)) == 2
    assert [row.length for row in DatasetReader(root).episodes] == [4, 3, 5]


def film(path: Path, *, frames: int = 4, fps: int = 10, height: int = 16) -> Path:
    return write_video(path, np.full((frames, height, 16, 3), 90, np.uint8), fps=fps)


def cut(path: Path) -> Path:
    """Without its last fifth, as an interrupted copy leaves it."""
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 5])
    return path


def noise_film(path: Path) -> Path:
    return write_video(path, np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8), fps=10)


def text(path: Path) -> Path:
    path.write_text("film")
    return path


FILMS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a frame too few": (lambda path: film(path, frames=3), "3 frames | 4 rows"),
    "a frame too many": (lambda path: film(path, frames=5), "5 frames | 4 rows"),
    "another rate": (lambda path: film(path, fps=20), "frame 1 | 1/10 s"),
    "another size": (lambda path: film(path, height=32), "(32, 16, 3) | (16, 16, 3)"),
    "truncated": (lambda path: cut(noise_film(path)), "film.mp4"),
    "no video": (lambda path: text(path), "film.mp4 | whole"),
}


@pytest.mark.parametrize(("make", "told"), FILMS.values(), ids=FILMS.keys())
def test_a_bad_video_file_is_refused(root: Path, tmp_path: Path, make: Callable[[Path], Path], told: str):
    before = contents(root)
    with DatasetWriter.open(root) as writer:
        with refused(f"episode 2 | 'camera' | {told}"):
            writer.append(with_camera(make(tmp_path / "film.mp4")))
        assert contents(root) == before
        assert writer.append(with_camera(film(tmp_path / "film.mp4"))) == 2
    assert (tmp_path / "film.mp4").exists(), "it is copied"
    assert DatasetReader(root).frames(2, "camera").shape == (4, 16, 16, 3)


@pytest.mark.parametrize(
    ("fps", "features", "told"),
    [
        (0, FEATURES, "fps | 0"),
        (29.97, FEATURES, "fps | 29.97"),
        (10, {}, "one column"),
        (10, {"camera": FEATURES["camera"]}, "one column | video"),
        (10, FEATURES | {"index": FEATURES["action"]}, "'index'"),
        (10, FEATURES | {"a/b": FEATURES["action"]}, "'a/b'"),
        (10, FEATURES | {"image_count": FEATURES["action"]}, "image_count | LeRobot"),
        (10, FEATURES | {"odd": Feature(dtype="video", shape=(15, 16, 3))}, "odd | even"),
        (10, FEATURES | {"grey": Feature(dtype="image", shape=(16, 16, 1))}, "grey | (height, width, 3)"),
    ],
)
def test_a_bad_declaration_is_refused(tmp_path: Path, fps: int, features: Features, told: str):
    with refused(told):
        DatasetWriter.create(tmp_path / "data", fps=fps, features=features)
    assert not (tmp_path / "data").exists()


def test_a_folder_with_files_is_refused(root: Path, tmp_path: Path):
    with refused(f"{root} | not empty"):
        DatasetWriter.create(root, fps=10, features=FEATURES)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with refused("home | not empty"):
        DatasetWriter.create(tmp_path / "home", fps=10, features=FEATURES)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_nothing_to_open(tmp_path: Path):
    with refused("meta/info.json"):
        DatasetWriter.open(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_closed_writer_appends_nothing(root: Path):
    writer = DatasetWriter.open(root)
    writer.close()
    with refused("closed"):
        writer.append(episode())


def test_a_second_writer_is_told_who_has_the_dataset(root: Path):
    code = "import sys; from pathlib import Path; from isthmus_datasets.format.writer import DatasetWriter\n"
    code += "DatasetWriter.open(Path(sys.argv[1]))"
    with DatasetWriter.open(root) as writer:
        with refused(f"process {os.getpid()}"):
            DatasetWriter.open(root)
        other = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=False)
        assert f"is being written by process {os.getpid()} (" in other.stderr
        assert writer.append(episode()) == 2, "the first one goes on"
    assert subprocess.run([sys.executable, "-c", code, root], check=False).returncode == 0


def test_a_task_keeps_its_number(root: Path):
    with DatasetWriter.open(root) as writer:
        writer.append(episode(task="put"))
        writer.append(episode(task="new"))
    reader = DatasetReader(root)
    assert reader.tasks == ("lift", "put", "new")
    assert [int(reader.columns(i, ["task_index"])["task_index"][0, 0]) for i in range(4)] == [0, 1, 1, 2]


class Disk:
    """Fails the `at`-th call of what reaches the disk, and all after it until it is `free`d."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left, self.calls = at, 0
        for name in ("fsync", "replace"):
            monkeypatch.setattr(os, name, self._limited(getattr(os, name)))

    def _limited(self, call: Callable) -> Callable:
        def run(*args):
            self.calls += 1
            if self.calls > self.left:
                raise OSError(errno.ENOSPC, "No space left on device")
            return call(*args)

        return run

    def free(self) -> None:
        self.left = 10**9


def test_a_full_disk_at_any_point_loses_only_the_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root, lengths, refused, error = tmp_path / "data", [], 0, None
    DatasetWriter.create(root, fps=10, features=FEATURES).close()
    while refused == 0 or error:
        with monkeypatch.context() as patch, DatasetWriter.open(root) as writer:
            disk = Disk(patch, refused)
            error = append_error(writer, episode(5, task=f"task {refused}"))
            lengths += [5] * (writer.num_episodes - len(lengths))
            check_saved(root, lengths)
            if error is None:
                break
            assert error.errno == errno.ENOSPC
            assert str(root) in str(error)
            refused += 1
            disk.free()
            assert writer.append(episode(2)) == len(lengths)
            lengths.append(2)
    assert refused > 10
    assert lengths.count(5) == 2, (
        "refused before the commit; but for the last flush, which is after it, and the last try"
    )


def append_error(writer: DatasetWriter, episode: Episode) -> OSError | None:
    try:
        writer.append(episode)
    except OSError as error:
        return error
    return None


def check_saved(root: Path, lengths: list[int]) -> None:
    """The lengths of all; and the last two episodes are whole."""
    reader = DatasetReader(root)
    assert [row.length for row in reader.episodes] == lengths
    for row in reader.episodes[-2:]:
        assert reader.episode(row.index).length == len(reader.frames(row.index, "camera")) == row.length


def noise(steps: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (steps, 16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("large", "name"),
    [
        (replace(episode(200), videos={"camera": noise(200)}), "videos_camera_chunk-000_file-002.mp4"),
        (with_columns(label=np.array([[noise(20).tobytes().hex()]] * 4, object)), "data_chunk-000_file-002.parquet"),
    ],
    ids=["video", "parquet"],
)
def test_the_system_refuses_to_write(root: Path, large: Episode, name: str):
    """Noise cannot be made smaller."""
    before = contents(root)
    with DatasetWriter.open(root) as writer:
        with file_size_limit(25_000), refused(f"could not write | {name}", OSError) as caught:
            writer.append(large)
        assert caught.value.errno == errno.EFBIG
        assert contents(root) == before
        assert writer.append(episode()) == 2


def test_what_cannot_be_tidied_up_does_not_hide_that_it_is_saved(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Who is told of an error appends it again."""

    def fail(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    with DatasetWriter.open(root) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", fail)
            with pytest.warns(RuntimeWarning, match=r"\.staging could not be removed"):
                assert writer.append(episode()) == 2
        assert writer.append(episode()) == 3
    assert DatasetReader(root).num_episodes == 4


@pytest.mark.parametrize("inside", [True, False], ids=["its own", "another's"])
def test_a_recordings_video_takes_its_room_once(root: Path, tmp_path: Path, inside: bool):
    """Another's file is copied: who writes into it again does not write into the dataset."""
    folder = root / ".recording" if inside else tmp_path
    with DatasetWriter.open(root) as writer:
        folder.mkdir(exist_ok=True)
        video = write_video(folder / "camera.mp4", cast(np.ndarray, episode().videos["camera"]), fps=10)
        writer.append(replace(episode(), videos={"camera": video}))
    saved = root / "videos/camera/chunk-000/file-002.mp4"
    assert saved.samefile(video) == inside
    assert saved.read_bytes() == video.read_bytes()


def test_leftovers_of_a_crash_are_not_read_and_go_away(root: Path):
    whole = contents(root)
    with DatasetWriter.open(root) as writer:
        writer.append(episode(6, task="third"))
    (root / "meta/info.json").write_bytes(whole[root / "meta/info.json"])  # as if the commit had not come
    (root / ".staging").mkdir()
    (root / ".staging" / "half").write_bytes(b"half")
    reader = DatasetReader(root)
    assert (reader.num_episodes, reader.tasks) == (2, ("lift", "put"))
    with DatasetWriter.open(root) as writer:
        assert not (root / "data/chunk-000/file-002.parquet").exists()
        assert writer.append(episode(2, task="other")) == 2
    assert DatasetReader(root).tasks == ("lift", "put", "other")
    statistics = json.loads((root / "meta/stats.json").read_text())
    assert statistics["action"]["count"] == [9], "4 + 3 + 2: stats.json had counted the third"


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]"])
def test_statistics_are_made_anew_when_they_are_missing_or_wrong(root: Path, content: bytes | None):
    path = root / "meta/stats.json"
    before = json.loads(path.read_text())
    path.unlink() if content is None else path.write_bytes(content)
    with DatasetWriter.open(root) as writer:
        writer.append(episode(2))
    after = json.loads(path.read_text())
    assert after["action"]["count"] == [before["action"]["count"][0] + 2]
    assert after["frame_index"]["max"] == [3.0]


def test_files_numbered_by_others_are_not_overwritten(root: Path):
    (root / "data/chunk-000/file-007.parquet").write_bytes(b"another's")
    with refused("2 episodes | pack"):
        DatasetWriter.open(root)
    assert (root / "data/chunk-000/file-007.parquet").exists()


def test_the_thousand_and_first_file_is_in_the_next_folder(tmp_path: Path):
    root = tmp_path / "data"
    DatasetWriter.create(root, fps=10, features={"action": FEATURES["action"]}).close()
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | {"chunks_size": 2}))
    with DatasetWriter.open(root) as writer:
        for value in range(5):
            writer.append(Episode(columns={"action": np.full((1, 2), value, np.float32)}, task="a"))
    files = sorted(str(path.relative_to(root / "data")) for path in (root / "data").rglob("*.parquet"))
    assert files == [f"chunk-00{i // 2}/file-00{i % 2}.parquet" for i in range(5)]
    assert [DatasetReader(root).columns(i, ["action"])["action"][0, 0] for i in range(5)] == [0, 1, 2, 3, 4]
