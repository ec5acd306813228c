"""A disk that is full, or fails: no finished episode is lost, and none is there twice."""

from __future__ import annotations

import itertools
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wait_until_killed
from dataset_command import run
from full_disk import file_size_limit
from point_mass import FEATURES, PointMass, Push
from recordings import Meddling, Robot, recording
from refusals import refused

from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter, Unconfirmed
from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.outcome import RecordingError, UnsavedError
from isthmus_datasets.recording.quarantine import recover, waiting
from isthmus_datasets.recording.reserve import RESERVE_BYTES
from isthmus_datasets.recording.robot_columns import open_dataset


def test_a_disk_that_is_full_for_the_encoder(tmp_path: Path):
    limit, unlimited = resource.RLIMIT_FSIZE, resource.RLIM_INFINITY
    with recording(tmp_path / "data", PointMass(), Push(steps=20)) as recorder:
        recorder.record(1)
        process = recorder.videos.processes["scene"].pid
        resource.prlimit(process, limit, (100, unlimited))
        with refused("episode 1 | could not write | scene.mp4", RecordingError):
            recorder.record(2)
        resource.prlimit(process, limit, (unlimited, unlimited))
        assert recorder.record(2).index == 1
    assert [row.facts["seed"] for row in DatasetReader(tmp_path / "data").episodes] == [1, 2]


def fail_to_write(path: Path, content: bytes) -> None:
    raise OSError(28, f"could not write {path}")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No file of the dataset can be written, until `undo` makes room."""
    with monkeypatch.context() as patch:
        patch.setattr("isthmus_datasets.format.staging.write_synced", fail_to_write)
        yield patch


def test_a_disk_that_is_full_for_the_dataset(tmp_path: Path, full: pytest.MonkeyPatch):
    with recording(tmp_path / "data", Robot(), Push(steps=3)) as recorder:
        for _ in range(2):
            with refused("episode 0 | 3 steps | not saved yet", UnsavedError):
                recorder.record(1)
        full.undo()
        assert recorder.record(2).index == 1
        assert [outcome.index for outcome in recorder.outcomes] == [0, 1]
        assert waiting(tmp_path / "data") == []
    assert [row.facts["seed"] for row in DatasetReader(tmp_path / "data").episodes] == [1, 2]


def test_what_could_not_be_saved_is_saved_at_the_end(tmp_path: Path, full: pytest.MonkeyPatch):
    with recording(tmp_path / "data", PointMass(), Push(steps=20)) as recorder:
        with pytest.raises(UnsavedError):
            recorder.record(5)
        full.undo()
    reader = DatasetReader(tmp_path / "data")
    assert len(reader.frames(0, "observation.images.scene")) == reader.episodes[0].length == 20


def never_saved(root: Path, robot: PointMass) -> None:
    """Record an episode with seed 5 on a disk that is full to the end of the program."""
    with (
        refused(f"waits in {root}/.unsaved", UnsavedError),
        recording(root, robot, Push(steps=20)) as recorder,
        pytest.raises(UnsavedError),
    ):
        recorder.record(5)


def test_what_finds_no_room_to_the_end_is_saved_by_who_records_next(tmp_path: Path, full: pytest.MonkeyPatch):
    """As one whose saving went well, to the number; and once."""
    never_saved(tmp_path / "full", PointMass())
    with refused("20 steps | full/.unsaved", OSError):
        open_dataset(tmp_path / "full", FEATURES, fps=10)
    full.undo()
    for _ in range(2):
        open_dataset(tmp_path / "full", FEATURES, fps=10).close()
    with recording(tmp_path / "roomy", PointMass(), Push(steps=20)) as recorder:
        recorder.record(5)
    found, wanted = DatasetReader(tmp_path / "full"), DatasetReader(tmp_path / "roomy")
    assert found.num_episodes == 1
    assert found.episodes[0] == wanted.episodes[0]
    episode, other = found.episode(0), wanted.episode(0)
    assert episode.final is not None
    assert other.final is not None
    for parts, others in (
        (episode.columns, other.columns), (episode.videos, other.videos), (episode.final, other.final),
    ):  # fmt: skip
        assert parts.keys() == others.keys()
        for name in parts:
            np.testing.assert_array_equal(parts[name], others[name], err_msg=name)
    assert not (tmp_path / "full/.unsaved").exists()


def test_what_a_lost_sensor_has_ended_waits_too(tmp_path: Path, full: pytest.MonkeyPatch):
    root = tmp_path / "data"
    with recording(root, PointMass(lose=("wrist", 4)), Push(steps=20)) as recorder:
        with refused("'wrist' | no image", UnsavedError):
            recorder.record(5)
        full.undo()
    (outcome,) = recorder.outcomes
    assert (outcome.index, outcome.steps, outcome.ending) == (0, 3, Ending.SENSORS)
    assert "gave no image" in outcome.reason
    assert DatasetReader(root).episodes[0].facts["ending"] == "sensors"


def test_recover_saves_what_waits(tmp_path: Path, full: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    never_saved(root := tmp_path / "data", PointMass())
    full.undo()
    for said in ("saved now: episode 0", "no episode waits"):
        assert run("recover", root) == 0
        assert said in capsys.readouterr().out
    assert [row.facts["seed"] for row in DatasetReader(root).episodes] == [5]


def test_an_episode_that_is_there_already_is_not_appended_again(tmp_path: Path, full: pytest.MonkeyPatch):
    """As when a process dies after the commit, and others record before it is noticed."""
    never_saved(root := tmp_path / "data", PointMass())
    full.undo()
    shutil.copytree(root / ".unsaved", tmp_path / "kept")
    with recording(root, PointMass(), Push(steps=20)) as recorder:
        recorder.record(6)
    shutil.copytree(tmp_path / "kept", root / ".unsaved")
    with DatasetWriter.open(root) as writer:
        assert recover(writer) == []
    assert [row.facts["seed"] for row in DatasetReader(root).episodes] == [5, 6]
    assert waiting(root) == []


@pytest.mark.parametrize("name", ["rows.parquet", "episode.json"])
def test_a_damaged_episode_that_waits_is_named(tmp_path: Path, full: pytest.MonkeyPatch, name: str):
    never_saved(root := tmp_path / "data", PointMass())
    full.undo()
    (folder,) = waiting(root)
    (folder / name).write_bytes(b"{}")
    with refused(f"{folder} | move it elsewhere"):
        open_dataset(root, FEATURES, fps=10)
    folder.rename(tmp_path / "elsewhere")
    open_dataset(root, FEATURES, fps=10).close()
    assert DatasetReader(root).num_episodes == 0


def test_an_episode_that_cannot_even_wait_is_told(tmp_path: Path, full: pytest.MonkeyPatch):
    """It is there as long as its recorder is."""
    root = tmp_path / "data"
    with recording(root, PointMass(), Push(steps=20)) as recorder:
        with full.context() as patch:
            patch.setattr("isthmus_datasets.recording.quarantine.write_synced", fail_to_write)
            with refused("before this program ends", UnsavedError):
                recorder.record(5)
        assert waiting(root) == []
        with refused(f"waits in {root}/.unsaved", UnsavedError):
            recorder.record(6)
        full.undo()
    assert [row.facts["seed"] for row in DatasetReader(root).episodes] == [5]


def test_room_to_wait_is_reserved_while_recording_and_used_when_needed(tmp_path: Path, full: pytest.MonkeyPatch):
    reserve = tmp_path / "data/.recording/reserve"

    def taken() -> None:
        assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES

    with recording(tmp_path / "data", Robot(), Meddling(taken)) as recorder:
        with pytest.raises(UnsavedError):
            recorder.record(1)
        assert not reserve.exists()
        full.undo()
        recorder.record(2)
    assert DatasetReader(tmp_path / "data").num_episodes == 2


def test_without_that_room_nothing_is_recorded(tmp_path: Path):
    with recording(tmp_path / "data", robot := Robot(), Push(steps=3)) as recorder:
        with file_size_limit(RESERVE_BYTES - 1):
            with refused("could not write | reserve", RecordingError):
                recorder.record(1)
            assert robot.acts == []
        assert recorder.record(1).index == 0


class Killed:
    """Processes that do something with quarantine, each killed at one step more than the one before."""

    def __init__(self, root: Path, do: str) -> None:
        command = [sys.executable, str(Path(wait_until_killed.__file__)), str(root), do]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def next(self) -> bool:
        """Whether it was killed; if not, it was done before."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"x")
        code = int(self._process.stdout.readline())
        assert code in (0, -signal.SIGKILL)
        return code != 0

    def __enter__(self) -> Killed:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset for `wait_until_killed.wait`."""
    features = {"action": Feature(dtype="float64", shape=(2,)), "camera": Feature(dtype="video", shape=(32, 32, 3))}
    DatasetWriter.create(tmp_path / "data", fps=10, features=features).close()
    return tmp_path / "data"


def seeds(root: Path) -> list[int]:
    """Of the episodes, once all that waited are saved; the newest is whole."""
    with DatasetWriter.open(root) as writer:
        recover(writer)
    reader = DatasetReader(root)
    for row in reader.episodes[-1:]:
        assert (reader.columns(row.index)["action"] == row.facts["seed"]).all()
        assert len(reader.frames(row.index, "camera")) == row.length == wait_until_killed.STEPS
    return [int(row.facts["seed"] or 0) for row in reader.episodes]


def test_killed_at_every_step_of_setting_aside(root: Path):
    there: list[int] = []
    with Killed(root, "set aside") as processes:
        for step in itertools.count():
            killed, before = processes.next(), there
            there = seeds(root)
            assert there in (before, [*before, step]), "it is there as a whole, or not at all"
            if not killed:
                break
    assert step > 10
    assert there[-1] == step
    assert 2 <= len(there) < 8, "the rename decides, and so only the steps behind it keep the episode"


def test_killed_at_every_step_of_recovery(root: Path):
    with Killed(root, "recover") as processes:
        for step in itertools.count():
            wait_until_killed.wait(root, seed=step)
            killed = processes.next()
            assert seeds(root) == list(range(step + 1)), "once, whenever it was killed"
            if not killed:
                break
    assert step > 10


def not_confirmed(path: Path) -> None:
    """Flushing fails once an episode is committed."""
    if (path / "info.json").exists() and DatasetReader(path.parent).num_episodes:
        raise OSError(5, "Input/output error")


def test_an_episode_that_the_disk_does_not_confirm_is_told_as_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with recording(tmp_path / "data", Robot(), Push(steps=3)) as recorder:
        monkeypatch.setattr("isthmus_datasets.format.writer.sync", not_confirmed)
        outcome = recorder.record(1)
        assert (outcome.index, recorder.summary().saved) == (0, 1)
        assert "episode 0 is in " in outcome.reason
        assert "the disk does not confirm it" in str(recorder.summary())
    assert DatasetReader(tmp_path / "data").num_episodes == 1


def test_one_that_waited_and_is_not_confirmed_is_told_as_saved_and_stays(tmp_path: Path, full: pytest.MonkeyPatch):
    never_saved(root := tmp_path / "data", PointMass())
    full.undo()
    with full.context() as patch, DatasetWriter.open(root) as writer:
        patch.setattr("isthmus_datasets.format.writer.sync", not_confirmed)
        with refused("episode 0 | data | not confirm", Unconfirmed) as raised:
            recover(writer)
        assert "waits" not in str(raised.value)
    assert len(waiting(root)) == 1, "what the disk may lose is kept beside it"
    with DatasetWriter.open(root) as writer:
        assert recover(writer) == [], "it is not appended again"
    assert [row.facts["seed"] for row in DatasetReader(root).episodes] == [5]
    assert waiting(root) == []
