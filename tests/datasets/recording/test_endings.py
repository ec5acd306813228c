"""How episodes end, what their last rows say of it, and what is kept when something is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from point_mass import PointMass, Push
from recordings import Robot, Script, record, recording
from refusals import refused

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.outcome import RecordingError
from isthmus_datasets.recording.robot import CameraError, RobotError, RobotLost


def test_a_limit_ends_an_episode(tmp_path: Path):
    record(tmp_path / "data", Robot(), Script("start", *["none"] * 9), max_steps=5)
    assert DatasetReader(tmp_path / "data").episodes[0].length == 5


ENDS = {
    "the operator's success": (Script("start", "none", "success"), {}, None, "success", False),
    "the operator's stop": (Script("start", "none", "stop"), {}, None, "operator", True),
    "a script's time": (Push(steps=2), {}, None, "time", True),
    "the limit": (Script("start", "none", "none"), {"max_steps": 2}, None, "time", True),
    "the world's success": (Script("start", "none", "none"), {}, True, "success", False),
    "the world's failure": (Script("start", "none", "none"), {}, False, "failure", False),
    "a success that ends no world": (Script("start", "none", "success"), {}, False, "success", False),
    "a stop upon the world's failure": (Script("start", "none", "stop"), {}, False, "failure", False),
}


@pytest.mark.parametrize(("operator", "options", "world", "ending", "truncated"), ENDS.values(), ids=ENDS.keys())
def test_every_row_tells_how_its_episode_goes_on(
    tmp_path: Path, operator: Any, options: dict, world: bool | None, ending: str, truncated: bool
):
    """Of two steps the second is the last; `world`: whether the robot's world ends there, and with success."""
    robot = Robot(lambda seen: seen if world is None else replace(seen, ended=True, success=world))
    outcome = record(tmp_path / "data", robot, operator, **options).outcomes[0]
    reader = DatasetReader(tmp_path / "data")
    columns, facts = reader.columns(0), reader.episodes[0].facts
    assert outcome.ending is Ending(ending)
    assert facts["ending"] == ending
    assert columns["next.done"][:, 0].tolist() == [False, True]
    assert columns["next.truncated"][:, 0].tolist() == [False, truncated]
    assert columns["next.success"][:, 0].tolist() == [False, ending == "success"]
    assert facts["success"] is (ending == "success")
    assert len(robot.acts) == 2, "a world that has ended is not acted in"


def test_a_success_that_only_the_operator_can_tell(tmp_path: Path):
    robot = Robot(lambda seen: replace(seen, success=None))
    robot.features = replace(robot.features, success=False)
    observe = robot.observe
    robot.observe = lambda: replace(observe(), success=None)
    with recording(tmp_path / "data", robot, Script("start", "success", "start", "stop")) as recorder:
        recorder.run(2)
    reader = DatasetReader(tmp_path / "data")
    assert [row.facts.get("success") for row in reader.episodes] == [True, None], "a stop does not tell"
    assert [reader.columns(i)["next.success"].tolist() for i in range(2)] == [[[True]], [[False]]]


def test_a_world_that_ends_before_the_start_begins_anew(tmp_path: Path):
    robot, resets = Robot(lambda seen: replace(seen, ended=True)), []
    reset = robot.reset
    robot.reset = lambda seed: (resets.append(seed), reset(seed))[1]
    record(tmp_path / "data", robot, Script("none", "none", "none", "start", "stop"))
    assert resets == [3, 3]
    columns = DatasetReader(tmp_path / "data").columns(0)
    np.testing.assert_allclose(columns["observation.state"], [[3, -6]], err_msg="where it began anew")


class Failing(PointMass):
    """With two cameras; raises `error` in `call`, "observe" or "act", of a step."""

    def __init__(self, call: str, error: Exception, step: int = 4) -> None:
        super().__init__()
        self.call, self.error, self.step = call, error, step

    def _meet(self, call: str) -> None:
        if self.call == call and self.steps == self.step:
            raise self.error

    def observe(self) -> Any:
        self._meet("observe")
        return super().observe()

    def act(self, action: Any) -> Any:
        self._meet("act")
        return super().act(action)


LOSSES = {
    "a camera": ("observe", CameraError("wrist", "gave no image for 0.5 s"), 3),
    "the robot": ("observe", RobotLost("nothing from /joint_states"), 3),
    "the robot, before it acts": ("act", RobotLost("nothing from /joint_states"), 4),
}


@pytest.mark.parametrize(("call", "error", "kept"), LOSSES.values(), ids=LOSSES.keys())
def test_what_was_seen_before_a_sensor_was_lost_is_kept(tmp_path: Path, call: str, error: Exception, kept: int):
    """Beside an episode that begins as this one does, and goes on."""
    root = tmp_path / "data"
    with recording(root, robot := Failing("", error), Push(steps=6)) as recorder:
        recorder.record(2)
        robot.call = call
        with refused(f"{error} | episode 1 | {kept} steps", RecordingError) as caught:
            recorder.record(2)
        robot.call = ""
        assert recorder.record(3).index == 2, "and on it goes"
    assert caught.value.__cause__ is error
    assert [(outcome.index, outcome.ending) for outcome in recorder.outcomes] == [
        (0, Ending.TIME), (1, Ending.SENSORS), (2, Ending.TIME),
    ]  # fmt: skip
    summary = recorder.summary()
    assert (summary.saved, summary.discarded, summary.steps) == (3, 0, 12 + kept)
    assert str(error) in str(summary)
    reader = DatasetReader(root)
    whole, columns, row = reader.columns(0), reader.columns(1), reader.episodes[1]
    assert row.length == kept
    assert (row.facts["ending"], row.facts.get("success")) == ("sensors", None)
    for name in set(columns) - {"index", "episode_index", "next.done", "next.truncated"}:
        np.testing.assert_array_equal(columns[name], whole[name][:kept], err_msg=name)
    for name in ("next.done", "next.truncated"):
        assert columns[name][:, 0].tolist() == [False] * (kept - 1) + [True]
    final = reader.final(1)
    assert final is not None
    for name in ("observation.state", "observation.speed"):
        np.testing.assert_array_equal(final[name], whole[name][kept], err_msg="what the last action has led to")
    for camera, shape in (("scene", (32, 48)), ("wrist", (16, 16))):
        frames = reader.frames(1, f"observation.images.{camera}").mean(axis=(1, 2, 3))
        np.testing.assert_allclose(frames, 40 + 5 * np.arange(kept), atol=3)
        image = final[f"observation.images.{camera}"]
        assert (image.shape, np.unique(image).tolist()) == ((*shape, 3), [40 + 5 * kept])


DISCARDS = {
    "lost before a step was seen to its end": ("observe", CameraError("wrist", "gone"), 1),
    "lost at the start": ("observe", RobotLost("silent"), 0),
    "a robot that cannot go on": ("act", RobotError("it has diverged"), 4),
}


@pytest.mark.parametrize(("call", "error", "step"), DISCARDS.values(), ids=DISCARDS.keys())
def test_what_leaves_nothing_that_is_worth_keeping(tmp_path: Path, call: str, error: Exception, step: int):
    with recording(tmp_path / "data", Failing(call, error, step), Push(steps=6)) as recorder:
        with refused(f"{error} | episode 0", RecordingError):
            recorder.record(1)
        assert not list((tmp_path / "data/.recording").glob("*/"))
    assert recorder.summary().discarded == 1
    assert DatasetReader(tmp_path / "data").num_episodes == 0
