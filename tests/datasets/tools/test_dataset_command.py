"""`isthmus-dataset check` and `report`, as a person or CI calls them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_command import run
from spoiling import edit_info
from written import written

from isthmus_datasets.tools.checks.suite import CHECKS, name_of, run_checks
from isthmus_datasets.tools.report.operator_agreement import agreement
from isthmus_datasets.tools.report.smoothness import action_smoothness, spectral_arc_length
from isthmus_datasets.tools.report.starts import starts
from isthmus_datasets.tools.scan.gather import gather

PUSHT = Path(__file__).parents[3].parent / "shared" / "data" / "pusht_human" / "pusht_cchi_v7_replay.zarr"
needs_pusht = pytest.mark.skipif(not PUSHT.exists(), reason=f"the human Push-T demonstrations are not at {PUSHT}")


def black(path: Path) -> None:
    """The end of episode 3 is black."""
    from isthmus_datasets.format.images.frames import read_frames
    from isthmus_datasets.format.images.video import write_video

    frames = read_frames(path, range(60), fps=10)
    frames[53:] = 0
    write_video(path, frames, fps=10, crf=20)


def test_exit_codes(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("check", dataset) == 0
    assert "10 episodes, 600 steps, 1.0 min: nothing found" in capsys.readouterr().out
    shutil.copy(dataset / "meta/tasks.parquet", dataset / "data/chunk-000/file-099.parquet")
    assert run("check", dataset) == 0
    assert run("check", dataset, "--strict") == 1
    capsys.readouterr()
    (dataset / "meta/stats.json").unlink()
    assert run("check", dataset) == 1
    out = capsys.readouterr().out
    assert "10 episodes, 600 steps, 1.0 min: 1 error, 1 warning, 0 notes" in out
    assert out.index("error ") < out.index("warning "), "errors first"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (None, "is no dataset: there is no meta/info.json"),
        ({"codebase_version": "v4.0"}, "newer than v3.0: update this program"),
        ({"fps": 0}, "fps is 0"),
        ({"data_path": 1.5}, "data_path 1.5 is no template"),
    ],
)
@pytest.mark.parametrize("command", ["check", "report"])
def test_what_cannot_be_read_at_all(
    dataset: Path, capsys: pytest.CaptureFixture[str], command: str, entries: dict | None, message: str
):
    if entries is None:
        (dataset / "meta/info.json").unlink()
    else:
        edit_info(dataset, **entries)
    assert run(command, dataset) == 2
    assert message in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_findings_as_json(dataset: Path, tmp_path: Path):
    (dataset / "data/chunk-000/file-007.parquet").unlink()
    assert run("check", dataset, "--json", tmp_path / "findings.json") == 1
    said = json.loads((tmp_path / "findings.json").read_text())
    assert (said["episodes"], said["steps"], said["errors"], said["warnings"], said["notes"]) == (10, 600, 1, 0, 0)
    assert said["findings"] == [
        {
            "severity": "error",
            "check": "files",
            "episode": 7,
            "message": "data/chunk-000/file-007.parquet is missing",
            "fix": "copy the file again from where it was recorded, or delete the episode",
        }
    ]
    assert [path.name for path in tmp_path.iterdir() if "findings" in path.name] == ["findings.json"]


def test_many_findings_of_one_cause_are_one_row(dataset: Path, capsys: pytest.CaptureFixture[str]):
    for i in range(9):
        (dataset / f"data/chunk-000/file-00{i}.parquet").unlink()
    assert run("check", dataset) == 1
    out = capsys.readouterr().out
    assert out.count("files") == 1
    assert "0–8" in out
    assert "(and 8" in re.sub(r"[│\s]+", " ", out)


def test_as_a_program(clean_dataset: Path):
    command = [sys.executable, "-m", "isthmus_datasets.tools.cli", "check", str(clean_dataset)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().endswith("nothing found")


def test_the_page_shows_the_dataset_and_needs_nothing_else(dataset: Path, tmp_path: Path):
    black(dataset / "videos/camera/chunk-000/file-003.mp4")
    assert run("report", dataset) == 0
    page = (tmp_path / "arm-report.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page) == [], "nothing from elsewhere"
    for title in ("Findings", "Images", "Durations", "Start states", "Actions", "Delay", "Smoothness", "Operators"):
        assert f"<h2>{title}" in page
    assert page.count("<svg") == 4
    assert page.count("<img") == 3 * 8
    for check in CHECKS:
        assert f"<td>{name_of(check)}</td>" in page
    for text in (
        "camera is black in 7 of 60 frames",
        ">10</b>",
        ">90%</b>",
        "observation.state[elbow]",
        "agrees with Bob",
    ):
        assert text in page


def test_a_name_is_not_taken_for_html(demonstrations, tmp_path: Path):
    episodes = demonstrations.episodes(2)
    episodes[0].facts["operator"] = "<script>alert(1)</script>"
    demonstrations.save(tmp_path / "<b>", episodes)
    assert run("report", tmp_path / "<b>", "--out", tmp_path / "page.html") == 0
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "<b>:" not in page


def test_a_dataset_without_episodes_has_a_page(demonstrations, tmp_path: Path):
    demonstrations.save(tmp_path / "d", [])
    assert run("check", tmp_path / "d") == 1, "a page all the same"
    assert run("report", tmp_path / "d", "--out", tmp_path / "page.html") == 0
    assert ">0</b>" in (tmp_path / "page.html").read_text()


def test_where_episodes_start(clean_dataset: Path):
    found = starts(gather(clean_dataset), limit=2)
    assert found
    assert found.names == ["observation.state[shoulder]", "observation.state[elbow]"]
    assert found.values.shape == (10, 2)
    ten = type(found)(names=["x"], values=np.arange(0.05, 1, 0.1)[:, None], low=np.zeros(1), high=np.ones(1))
    assert ten.covered.tolist() == [1.0]
    three = type(found)(
        names=["x"], values=np.array([[-9.0], [0.05], [0.31], [0.39]]), low=np.zeros(1), high=np.ones(1)
    )
    assert three.covered.tolist() == [0.2]


def test_smoothness_is_that_of_the_published_measure(clean_dataset: Path):
    time = np.linspace(0, 1, 101)
    reach = 30 * time**2 * (1 - time) ** 2
    assert spectral_arc_length(reach, 100) == pytest.approx(-1.41, abs=0.01), "a minimum-jerk reach of one second"
    assert spectral_arc_length(5 * reach, 100) == pytest.approx(spectral_arc_length(reach, 100)), "however large"
    two = np.concatenate([reach, np.zeros(30), reach])
    assert spectral_arc_length(two, 100) < -2, "a stop in between is less smooth"
    assert list(action_smoothness(gather(clean_dataset))) == list(range(10))


def test_operators_agree_with_whom_they_do_the_same_as(demonstrations, tmp_path: Path):
    """Ada's action is twice the state, and so is Bob's; Cid's is the opposite."""
    rng = np.random.default_rng(0)
    episodes = []
    for name in ("Ada", "Ada", "Bob", "Bob", "Cid", "Cid"):
        (episode,) = demonstrations.episodes(1)
        state = rng.uniform(-1, 1, (60, 3)).astype(np.float32)
        episode.columns["action"] = (state * [1, 0, 0] * (-2 if name == "Cid" else 2)).astype(np.float32)
        episode.columns["observation.state"] = (state * [1, 0, 0]).astype(np.float32)
        episode.facts["operator"] = name
        episodes.append(episode)
    features = {name: f for name, f in demonstrations.features.items() if name != "camera"}
    found = agreement(gather(demonstrations.save(tmp_path / "d", episodes, features)), [])
    assert found
    assert found.operators == ["Ada", "Bob", "Cid"]
    np.testing.assert_allclose(found.values, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], atol=0.2)


@needs_pusht
def test_nothing_is_found_in_good_human_demonstrations(tmp_path: Path):
    from isthmus_datasets.convert.importers.opening import open_source
    from isthmus_datasets.convert.importers.source import ImportOptions

    source = open_source(PUSHT, ImportOptions(fps=10, task="push the T"))
    assert run_checks(gather(written(tmp_path / "pusht", source.features, source.episodes[::32]))) == []
