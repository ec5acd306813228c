"""`isthmus-dataset`: what a person types, and what then lies on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_command import run

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter

LENGTHS = (4, 5, 6)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three episodes of 4, 5 and 6 steps; every state tells its episode and step."""
    features = {
        "observation.state": Feature(dtype="float32", shape=(2,)),
        "action": Feature(dtype="float32", shape=(1,)),
    }
    with DatasetWriter.create(tmp_path / "source", fps=10, features=features, robot_type="disc") as writer:
        for number, length in enumerate(LENGTHS):
            steps = np.arange(length, dtype=np.float32)
            state = np.stack((np.full(length, number, np.float32), steps), axis=-1)
            columns = {"observation.state": state, "action": steps[:, None]}
            final = {"observation.state": np.array([number, length], np.float32)}
            writer.append(Episode(columns=columns, videos={}, task="push", facts={"success": True}, final=final))
    return tmp_path / "source"


def episodes(path: Path) -> list[int]:
    """Which of the source's episodes are in the dataset, as their states tell."""
    reader = DatasetReader(path)
    return [int(reader.columns(i)["observation.state"][0, 0]) for i in range(reader.num_episodes)]


def test_select_split_and_merge(dataset: Path, tmp_path: Path):
    assert run("select", dataset, tmp_path / "kept", "--keep", 2, 0) == 0
    assert episodes(tmp_path / "kept") == [2, 0]
    assert run("select", dataset, tmp_path / "rest", "--delete", 1) == 0
    assert episodes(tmp_path / "rest") == [0, 2]
    assert run("split", dataset, tmp_path / "first", tmp_path / "last", "--share", 0.7) == 0
    assert (episodes(tmp_path / "first"), episodes(tmp_path / "last")) == ([0, 1], [2])
    assert run("merge", tmp_path / "all", tmp_path / "last", tmp_path / "first") == 0
    assert episodes(tmp_path / "all") == [2, 0, 1]
    assert episodes(dataset) == [0, 1, 2], "sources stay as they are"


def test_packed_and_counted_anew_it_is_still_clean(dataset: Path, tmp_path: Path):
    assert run("pack", dataset, tmp_path / "packed") == 0
    assert len(list((tmp_path / "packed").glob("data/*/*.parquet"))) == 1
    (tmp_path / "packed" / "meta" / "stats.json").unlink()
    assert run("check", tmp_path / "packed") == 1
    assert run("statistics", tmp_path / "packed") == 0
    assert run("check", tmp_path / "packed") == 0
    assert episodes(tmp_path / "packed") == [0, 1, 2]


def test_to_zarr_and_back(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("export-zarr", dataset, tmp_path / "replay.zarr") == 0
    assert run("import", tmp_path / "replay.zarr", tmp_path / "again") == 0
    assert episodes(tmp_path / "again") == [0, 1, 2]
    assert DatasetReader(tmp_path / "again").info.robot_type == "disc"
    final = DatasetReader(tmp_path / "again").final(1)
    assert final is not None
    assert final["observation.state"].tolist() == [1, 5], "what followed the last action"
    assert "next: isthmus-dataset check" in capsys.readouterr().out


def test_view_shows_every_episode(dataset: Path, capsys: pytest.CaptureFixture[str]):
    assert run("view", dataset) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 episodes, 15 steps at 10 Hz, robot disc" in shown
    assert "observation.state: float32 [2]" in shown
    assert "success True" in shown


def test_what_cannot_be_is_said_and_leaves_nothing(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for arguments, problem in (
        (("select", dataset, tmp_path / "x"), "either --keep or --delete"),
        (("select", dataset, tmp_path / "x", "--keep", 0, 7), "3 episodes, there is no episode 7"),
        (("split", dataset, tmp_path / "x", tmp_path / "y", "--share", 1.0), "leaves one side without any"),
        (("merge", dataset, dataset), "there already"),
        (("view", tmp_path / "x"), "no dataset"),
        (("import", tmp_path / "nothing", tmp_path / "x"), "nothing"),
        (("import", dataset, tmp_path / "x"), "is of LeRobot v3.0, as datasets are here: use it as it is"),
    ):
        assert run(*arguments) == 2
        assert problem in " ".join(capsys.readouterr().err.split())
        assert not (tmp_path / "x").exists()


def test_an_import_that_fails_leaves_nothing(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The first episode could be read, the last cannot: a dataset of two episodes would look whole."""
    assert run("export-zarr", dataset, tmp_path / "replay.zarr") == 0
    chunk = max((tmp_path / "replay.zarr/data/action").glob("[0-9]*"))
    chunk.write_bytes(chunk.read_bytes()[:-4])
    assert run("import", tmp_path / "replay.zarr", tmp_path / "again") == 2
    assert "error" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", ["meta/info.json", "data/chunk-000/file-000.parquet"])
def test_a_file_that_git_has_not_fetched_is_called_so(dataset: Path, name: str, capsys: pytest.CaptureFixture[str]):
    (dataset / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n")
    assert run("pack", dataset, dataset.with_name("packed")) == 2
    assert "is a Git LFS pointer" in " ".join(capsys.readouterr().err.split())


def test_an_empty_description_is_called_empty(dataset: Path, capsys: pytest.CaptureFixture[str]):
    (dataset / "meta/info.json").write_text("")
    assert run("check", dataset) == 2
    assert "is empty: copy the dataset again" in " ".join(capsys.readouterr().err.split())
