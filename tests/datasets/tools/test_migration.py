"""Datasets that an earlier version recorded: what becomes of them, and that they can be gone on with."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_command import run
from refusals import refused
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import INDEX_FEATURES, Feature
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.rate import VirtualClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import Observation, quantities
from isthmus_datasets.recording.robot_columns import open_dataset
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.migration import migrate
from isthmus_datasets.tools.scan.gather import gather

_names = runpy.run_path(str(Path(__file__).parents[1] / "recording/point_mass.py"))
PointMass, Push = _names["PointMass"], _names["Push"]
FEATURES = replace(
    _names["FEATURES"], cameras={"scene": (32, 48)}, simulation={"environment_state": quantities({"goal": "m"})}
)
OLD = {
    "observation.state": FEATURES.columns["state"],
    "observation.speed": FEATURES.columns["speed"],
    "observation.environment_state": FEATURES.simulation["environment_state"],
    "observation.images.scene": Feature(dtype="video", shape=(32, 48, 3)),
    "action": FEATURES.action,
    "action.sent": FEATURES.action,
    "control": Feature(dtype="int64", shape=(1,), info={"values": ["human", "policy", "script"]}),
    "capture_time_ns": Feature(dtype="int64", shape=(4,), names=("state", "speed", "environment_state", "scene")),
    "simulator_state": Feature(dtype="float64", shape=(4,)),
    "next.reward": Feature(dtype="float32", shape=(1,)),
    "next.success": Feature(dtype="bool", shape=(1,)),
}


def old_episode(control: list[int], success: bool | None, told: bool = False) -> Episode:
    """`told`: whether the robot itself reported the success in the last row."""
    n, random = len(control), np.random.default_rng(len(control))
    columns: dict[str, Any] = {
        name: random.normal(size=(n, *feature.shape)).astype(feature.numpy)
        for name, feature in OLD.items()
        if feature.numpy.kind == "f"
    }
    columns |= {
        "control": np.array(control)[:, None],
        "capture_time_ns": np.arange(4 * n).reshape(n, 4),
        "next.success": np.array([[False]] * (n - 1) + [[told]]),
    }
    videos = {"observation.images.scene": np.full((n, 32, 48, 3), 90, np.uint8)}
    facts = {"operator": "tester", "seed": 1, "success": success}
    return Episode(columns=columns, videos=videos, task="push", facts=facts)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A success that only the operator told, a policy with a person's help that the world told, and a failure."""
    episodes = [
        old_episode([0, 0, 0], success=True),
        old_episode([1, 0, 0, 1], success=True, told=True),
        old_episode([2, 2], success=False),
    ]
    return written(tmp_path / "old", OLD, episodes, robot_type="point_mass")


def test_columns_get_their_names_and_rows_tell_how_it_goes_on(old: Path, tmp_path: Path):
    assert migrate(old, tmp_path / "new") == 2
    before, after = DatasetReader(old), DatasetReader(tmp_path / "new")
    assert not {"action.sent", "observation.environment_state"} & after.info.features.keys()
    one, new = before.columns(1), after.columns(1)
    np.testing.assert_array_equal(new["sent_action"], one["action.sent"])
    np.testing.assert_array_equal(new["simulation.environment_state"], one["observation.environment_state"])
    assert new["intervention"].ravel().tolist() == [False, True, True, False]
    assert new["policy_known"].ravel().tolist() == [True, False, False, True]
    assert after.info.features["capture_time_ns"].names == ("state", "speed", "scene")
    np.testing.assert_array_equal(new["capture_time_ns"], one["capture_time_ns"][:, [0, 1, 3]])
    assert not after.columns(0)["intervention"].any(), "a person alone intervenes in nothing"
    ends = [[after.columns(i)[f"next.{name}"][:, 0].tolist() for name in ("success", "done", "truncated")]
            for i in (0, 2)]  # fmt: skip
    assert ends == [
        [[False, False, True], [False, False, True], [False] * 3],
        [[False, False], [False, True], [False, True]],
    ]
    assert [row.facts.get("ending") for row in after.episodes] == ["success", "success", None]
    assert after.frames(1, "observation.images.scene").shape == (4, 32, 48, 3)
    assert not [finding for finding in run_checks(gather(tmp_path / "new")) if finding.severity == "error"]


def test_what_a_simulator_knows_had_the_only_capture_time(tmp_path: Path):
    times = Feature(dtype="int64", shape=(1,), names=("environment_state",))
    features = {**{name: feature for name, feature in OLD.items() if not feature.is_video}, "capture_time_ns": times}
    episode = old_episode([0, 0, 0], success=True)
    columns = episode.columns | {"capture_time_ns": np.arange(3)[:, None]}
    migrate(written(tmp_path / "old", features, [replace(episode, columns=columns, videos={})]), tmp_path / "new")
    assert "capture_time_ns" not in DatasetReader(tmp_path / "new").info.features


class Goal(PointMass):
    """The point mass with a goal that only its simulator knows."""

    features = FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.features = FEATURES

    def observe(self) -> Observation:
        seen = super().observe()
        times = {name: seen.capture_time_ns[name] for name in FEATURES.sensors}
        images = {"scene": seen.images["scene"]}
        return replace(seen, images=images, capture_time_ns=times, simulation={"environment_state": np.zeros(1)})


def test_it_can_be_gone_on_with(old: Path, tmp_path: Path):
    with refused("old | isthmus-dataset migrate"):
        open_dataset(old, FEATURES, fps=10)
    assert run("migrate", old, tmp_path / "new") == 0
    robot = Goal()
    with (
        open_dataset(tmp_path / "new", robot.features, fps=10) as writer,
        Recorder(robot, Push(steps=3), writer, task="push", clock=VirtualClock()) as recorder,
    ):
        assert recorder.record(1).index == 3


def test_one_that_lacks_only_whether_the_policy_is_known_gets_that(old: Path, tmp_path: Path):
    migrate(old, tmp_path / "newest")
    newest = DatasetReader(tmp_path / "newest")
    features = {name: f for name, f in newest.info.features.items() if name not in ("policy_known", *INDEX_FEATURES)}
    with DatasetWriter.create(tmp_path / "recent", fps=10, features=features, robot_type="point_mass") as writer:
        for row in newest.episodes:
            episode = newest.episode(row.index)
            kept = {name: values for name, values in episode.columns.items() if name in features}
            truncated = kept | {"next.truncated": ~kept["next.truncated"]}
            writer.append(replace(episode, columns=truncated))
    with refused("recent | isthmus-dataset migrate"):
        open_dataset(tmp_path / "recent", FEATURES, fps=10)
    assert migrate(tmp_path / "recent", tmp_path / "again") == 2
    open_dataset(tmp_path / "again", FEATURES, fps=10).close()
    again = DatasetReader(tmp_path / "again")
    for index in range(3):
        known, was = again.columns(index)["policy_known"], newest.columns(index)["policy_known"]
        np.testing.assert_array_equal(known, was)
        ends = DatasetReader(tmp_path / "recent").columns(index)["next.truncated"]
        np.testing.assert_array_equal(again.columns(index)["next.truncated"], ends)


def test_what_is_not_old_is_refused(old: Path, tmp_path: Path):
    migrate(old, tmp_path / "new")
    with refused("new | earlier"):
        migrate(tmp_path / "new", tmp_path / "again")
    assert not (tmp_path / "again").exists()
