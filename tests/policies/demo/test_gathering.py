"""Where a demo's demonstrations come from: what a person gave or recorded, or else a script."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.tools.subcommands import Export
from isthmus_policies.demo.making.gathering import TELEOP, Wanted, check_given, gather
from isthmus_policies.demonstrate import record

WANTED = Wanted(task="push_t", scripted="push_t", given=None, enough=2, episodes=2, images=False, seed=0)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of the script, as if a person had recorded them."""
    folder = tmp_path_factory.mktemp("recorded") / "mine"
    record.record(record.Options(task="push_t", dataset=folder, episodes=2, images=False), QUIET)
    return folder


def test_a_dataset_that_is_given_stays_where_it_is(recorded: Path, tmp_path: Path):
    found = gather(replace(WANTED, given=recorded), tmp_path / "new", QUIET)
    assert (found.folder, found.given, found.told) == (recorded, recorded, "from mine")
    assert (found.episodes, found.fps) == (2, 10)
    assert not (tmp_path / "new").exists()


def test_another_format_is_imported_at_the_tasks_rate(recorded: Path, tmp_path: Path):
    Export(source=recorded, target=tmp_path / "published.zarr").run(QUIET)
    (tmp_path / "published.zarr" / ".zattrs").unlink(missing_ok=True)  # published ones say neither rate nor task
    found = gather(replace(WANTED, given=tmp_path / "published.zarr"), tmp_path / "new", QUIET)
    assert (found.folder, found.told) == (tmp_path / "new", "imported from published.zarr")
    assert (found.episodes, found.fps, found.succeeded) == (2, 10, None)


def test_what_a_person_recorded_is_taken_where_it_is_enough(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(recorded, TELEOP / "push_t")
    assert gather(WANTED, tmp_path / "new", QUIET).given == TELEOP / "push_t"
    told = Console(record=True, width=200)
    found = gather(replace(WANTED, enough=3), tmp_path / "new", told)
    assert (found.folder, found.given, found.episodes) == (tmp_path / "new", None, 2)
    assert "has 2 episodes, fewer than 3: a script demonstrates" in told.export_text()


def test_what_cannot_be_read_names_the_command_that_has_more_options(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DatasetError, match=r"(?s)--demonstrations .*photos: .*isthmus-dataset import has more options"):
        gather(replace(WANTED, given=tmp_path / "photos"), tmp_path / "new", QUIET)


def test_a_single_episode_is_too_few(tmp_path: Path):
    with pytest.raises(DatasetError, match="has 1 episodes: at least one is learned from and one kept back"):
        gather(replace(WANTED, episodes=1), tmp_path / "new", QUIET)


def test_what_is_not_there_or_would_be_lost_is_refused(recorded: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="there is nothing; leave it out and a script demonstrates"):
        check_given(tmp_path / "none", tmp_path / "out")
    with pytest.raises(ValueError, match="which is emptied first: choose another --out"):
        check_given(recorded, recorded.parent)
