"""Recording: what a saved episode holds, row by row; what is refused; and that the rate is kept."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from point_mass import FEATURES, PERIOD_NS, PointMass, Push
from recordings import Meddling, Robot, Script, record, recording
from refusals import refused

from isthmus_datasets.format.images.frames import scan_video
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.outcome import RecordingError
from isthmus_datasets.recording.rate import Rate, Timing, VirtualClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import Observation, quantities
from isthmus_datasets.recording.robot_columns import open_dataset


def contents(root: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name not in (".lock", "reserve")
    }


def test_every_row_of_a_recorded_episode(tmp_path: Path):
    operator = Script("none", "none", "start", "none", "none", "success")
    record(tmp_path / "data", PointMass(), operator)
    reader = DatasetReader(tmp_path / "data")
    columns, row = reader.columns(0), reader.episodes[0]
    assert (reader.num_episodes, row.length, row.tasks) == (1, 3, ("push",))
    assert columns["action"].tolist() == [[2, -3], [3, -3], [4, -3]], "two steps before the start are not recorded"
    assert columns["sent_action"].tolist() == [[1, -1]] * 3, "what the robot has made of it"
    assert columns["control"][:, 0].tolist() == [0, 1, 0]
    # by hand: accelerated by (0, -1) and then (1, -1) m/s² four times, 0.1 s each, from (3, -6) m at rest
    np.testing.assert_allclose(columns["observation.speed"], [[0.1, -0.2], [0.2, -0.3], [0.3, -0.4]], atol=1e-6)
    np.testing.assert_allclose(columns["observation.state"], [[3, -6.01], [3.01, -6.03], [3.03, -6.06]], atol=1e-6)
    assert columns["observation.state"].dtype == np.float32
    np.testing.assert_allclose(columns["next.reward"][:, 0], [-3.01, -3.03, -3.06], atol=1e-6)
    for name in ("next.success", "next.done"):
        assert columns[name][:, 0].tolist() == [False, False, True], "the operator has said so"
    assert columns["next.truncated"][:, 0].tolist() == [False] * 3
    late = np.array([1, 2, -3_000_001, -7_000_003])
    times = [(10**18 + step * PERIOD_NS + late).tolist() for step in (2, 3, 4)]
    assert columns["capture_time_ns"].tolist() == times, "the robot's, to the nanosecond"
    assert columns["timestamp"][:, 0] == pytest.approx([0, 0.1, 0.2]), "the grid's"
    for camera, (height, width) in FEATURES.cameras.items():
        images = reader.frames(0, f"observation.images.{camera}").astype(int)
        assert images.shape == (3, height, width, 3)
        assert np.abs(images - np.array([50, 55, 60])[:, None, None, None]).max() <= 3
    facts = {"operator": "tester", "seed": 3, "success": True, "ending": "success"}
    assert row.facts == facts | {"overruns": 0, "dropped_frames": 0, "jitter_p99_ms": 0}
    final = reader.final(0)
    assert final is not None
    np.testing.assert_allclose(final["observation.state"], [3.06, -6.1], atol=1e-6, err_msg="after the last action")
    np.testing.assert_allclose(final["observation.speed"], [0.4, -0.5], atol=1e-6)
    assert np.unique(final["observation.images.wrist"]).tolist() == [65], "without loss"
    assert not (tmp_path / "data/.recording").exists()


class Held(PointMass):
    """Notes which thread holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.holding: list[int] = []
        self.held = threading.Event()

    def hold(self) -> None:
        self.holding.append(threading.get_ident())
        self.held.set()


def test_videos_are_decoded_by_another_thread_while_the_robot_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    robot, decoding = Held(), []

    def scan(path: Path, **options: Any) -> Any:
        robot.held.clear()
        assert robot.held.wait(10.0), "the control thread goes on meanwhile"
        decoding.append(threading.get_ident())
        return scan_video(path, **options)

    monkeypatch.setattr("isthmus_datasets.format.staging.scan_video", scan)
    recorder = record(tmp_path / "data", robot, Push(steps=3))
    assert recorder.summary().saved == 1
    assert len(decoding) == len(FEATURES.cameras)
    assert set(robot.holding) == {threading.get_ident()}
    assert threading.get_ident() not in decoding
    assert robot.steps == 3, "it is not acted on"


def test_what_the_columns_are(tmp_path: Path):
    open_dataset(tmp_path / "data", FEATURES, fps=10).close()
    features = DatasetReader(tmp_path / "data").info.features
    assert features["capture_time_ns"].names == ("state", "speed", "scene", "wrist")
    assert features["sent_action"].names == ("ax", "ay")
    assert features["action"].info == {"units": ["m/s^2", "m/s^2"]}
    assert features["control"].info == {"values": ["human", "policy", "script"]}
    assert features["observation.images.scene"].shape == (32, 48, 3)


def test_a_camera_without_loss_is_chosen_once_for_the_dataset(tmp_path: Path):
    """Greys of 40, 45 …, not rounded by yuv420p; the other camera has loss, and stays so."""
    root, robot = tmp_path / "data", PointMass()
    for lossless in (("wrist",), ()):
        with (
            open_dataset(root, robot.features, fps=10, lossless=lossless) as writer,
            Recorder(robot, Script("start", "none", "success"), writer, task="push", clock=VirtualClock()) as recorder,
        ):
            recorder.record(3)
    reader = DatasetReader(root)
    assert reader.info.features["observation.images.wrist"].is_lossless
    assert not reader.info.features["observation.images.scene"].is_lossless
    for index in range(2):
        images = reader.frames(index, "observation.images.wrist")
        np.testing.assert_array_equal(images, np.broadcast_to([[[[40]]], [[[45]]]], images.shape))
    with refused("with loss | observation.images.scene"):
        open_dataset(root, robot.features, fps=10, lossless=("wrist", "scene"))
    with refused("camera top | scene, wrist"):
        open_dataset(tmp_path / "other", robot.features, fps=10, lossless=("top",))
    assert not (tmp_path / "other").exists()


def test_an_episode_replays_exactly_from_the_simulator_state(tmp_path: Path):
    record(tmp_path / "data", Robot(), Push(steps=9, noise=0.3))
    columns = DatasetReader(tmp_path / "data").columns(0)
    robot = PointMass()
    for before, sent, after in zip(
        columns["simulator_state"], columns["sent_action"], columns["simulator_state"][1:], strict=False
    ):
        robot.state = before.copy()
        robot.act(sent.copy())
        np.testing.assert_array_equal(robot.state, after)


def test_a_scripted_operator_repeats_itself_and_stops_at_success(tmp_path: Path):
    class Home(Push):
        def plan(self, observation: Observation, step: int) -> np.ndarray:
            return -observation.columns["state"].astype(np.float32) - observation.columns["speed"].astype(np.float32)

    for name in ("a", "b"):
        record(tmp_path / name, Robot(), Home(steps=500, noise=0.05))
    one, other = (DatasetReader(tmp_path / name) for name in ("a", "b"))
    assert one.episodes[0].facts["success"] is True
    assert 20 < one.episodes[0].length < 500
    assert one.columns(0)["next.success"][:, 0].tolist() == [False] * (one.episodes[0].length - 1) + [True]
    np.testing.assert_array_equal(one.columns(0)["action"], other.columns(0)["action"])


def test_the_robot_says_whether_it_was_done_when_the_operator_does_not(tmp_path: Path):
    record(tmp_path / "data", Robot(), Push(steps=4))
    assert DatasetReader(tmp_path / "data").episodes[0].facts["success"] is False


def test_a_discarded_episode_leaves_nothing(tmp_path: Path):
    root = tmp_path / "data"
    operator = Script("start", "stop", "start", "none", "discard")
    with recording(root, PointMass(), operator) as recorder:
        recorder.record(1)
        before = contents(root)
        recorder.record(2)
        assert recorder.summary().reasons == ("episode 1 was discarded after 2 steps by the operator",)
    assert contents(root) == before
    assert not (root / ".recording").exists()


def test_an_interrupted_recorder_leaves_nothing(tmp_path: Path):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), recording(tmp_path / "data", PointMass(), Meddling(interrupt)) as recorder:
        recorder.record(1)
    assert list(contents(tmp_path / "data")) == [tmp_path / "data/meta/info.json"]
    assert not (tmp_path / "data/.recording").exists()
    assert recorder.videos.processes == {}


def test_a_session(tmp_path: Path):
    """Saved, discarded, another start wanted, saved, and quit in the middle of the last."""
    events = ["start", "stop", "start", "none", "discard", "none", "discard", "none", "start", "none", "success"]
    with recording(tmp_path / "data", Robot(), Script(*events, "start", "none", "quit")) as recorder:
        summary = recorder.run(10, seed=1)
    assert (summary.saved, summary.discarded, summary.steps, summary.dropped_frames) == (2, 2, 3, 0)
    assert "2 episodes saved (3 steps), 2 discarded; 0 frames dropped" in str(summary)
    rows = DatasetReader(tmp_path / "data").episodes
    assert [(row.length, row.facts["seed"], row.facts["success"]) for row in rows] == [(1, 1, False), (2, 4, True)]


def wrong_column(observation: Observation, **columns: Any) -> Observation:
    return replace(observation, columns={**observation.columns, **columns})


CHANGES: dict[str, tuple[Callable[[Observation], Observation], str]] = {
    "shape": (lambda o: wrong_column(o, state=np.zeros(3)), "'observation.state' | (3,) | (2,)"),
    "type": (lambda o: wrong_column(o, state=np.zeros(2, complex)), "'observation.state' | complex128 | float32"),
    "not a number": (lambda o: wrong_column(o, speed=np.array([0, np.nan])), "'observation.speed' | nan"),
    "one more": (lambda o: wrong_column(o, new=np.zeros(2)), "columns ['new', 'speed', 'state'] | ['speed', 'state']"),
    "one less": (lambda o: replace(o, columns={"state": o.columns["state"]}), "columns ['state'] | ['speed', 'state']"),
    "no time": (lambda o: replace(o, capture_time_ns={"state": 1}), "capture times ['state'] | ['speed', 'state']"),
    "time in seconds": (lambda o: replace(o, capture_time_ns={"state": 1.5, "speed": 2}), "'capture_time_ns' | float"),
    "no reward": (lambda o: replace(o, reward=None), "declares reward"),
}


@pytest.mark.parametrize(("change", "told"), CHANGES.values(), ids=CHANGES.keys())
def test_an_observation_that_changes_midway_is_refused(tmp_path: Path, change: Any, told: str):
    root = tmp_path / "data"
    record(root, Robot(), Push(steps=2))
    with recording(root, robot := Robot(change), Push(steps=5)) as recorder:
        with refused(f"data | episode 1 | {told}", RecordingError):
            recorder.record(3)
        robot.change = lambda observation: observation
        assert recorder.record(3).index == 1, "and on it goes"
    assert [row.length for row in DatasetReader(root).episodes] == [2, 5]


def test_a_bad_action_never_reaches_the_robot(tmp_path: Path):
    for start in ("start", "none"):
        operator, robot = Script(start, "none", "stop"), Robot()
        bad = replace(operator.decide(robot.observe()), action=np.array([np.nan, 0], np.float32))
        operator.decide = lambda observation, bad=bad: bad
        with refused("'action' | nan", RecordingError):
            record(tmp_path / "data", robot, operator)
        assert robot.acts == []


@pytest.mark.parametrize("end", ["stop", "success"])
def test_an_episode_of_zero_steps_is_refused(tmp_path: Path, end: str):
    with refused(f"episode 0 | '{end}' | 'start'", RecordingError):
        record(tmp_path / "data", Robot(), Script("none", end))
    assert DatasetReader(tmp_path / "data").num_episodes == 0


def test_an_image_of_another_size(tmp_path: Path):
    robot = PointMass()
    observe = robot.observe
    robot.observe = lambda: replace(
        seen := observe(),
        images={**seen.images, "wrist": np.zeros((16, 18 if robot.steps == 3 else 16, 3), np.uint8)},
    )
    with refused("'wrist' | uint8 (16, 18, 3)", RecordingError):
        record(tmp_path / "data", robot, Push(steps=6))
    assert DatasetReader(tmp_path / "data").num_episodes == 0


def test_an_encoder_that_is_killed(tmp_path: Path):
    root = tmp_path / "data"
    operator = Meddling(lambda: os.kill(recorder.videos.processes["wrist"].pid, signal.SIGKILL))
    with recording(root, PointMass(), operator) as recorder:
        with refused("episode 0 | wrist.mp4 | exit code -9", RecordingError):
            recorder.record(1)
        assert not list((root / ".recording").glob("*/"))
        operator.meddle = lambda: None
        assert recorder.record(1).index == 0, "with a new process"
    assert DatasetReader(root).frames(0, "observation.images.wrist").shape == (200, 16, 16, 3)


def test_two_recorders_on_one_dataset(tmp_path: Path):
    with open_dataset(tmp_path / "data", FEATURES, fps=10), refused(f"data | process {os.getpid()}"):
        open_dataset(tmp_path / "data", FEATURES, fps=10)


@pytest.mark.parametrize(
    ("robot", "fps", "told"),
    [
        (replace(FEATURES, robot_type="arm"), 10, "robot_type | point_mass | arm"),
        (FEATURES, 20, "fps | 10 | 20"),
        (replace(FEATURES, action=quantities({"ax": "m/s^2"})), 10, "action | (2,) | (1,)"),
        (replace(FEATURES, action=quantities({"ax": "g", "ay": "g"})), 10, "action | 'm/s^2' | 'g'"),
        (replace(FEATURES, reward=False), 10, "next.reward | not there"),
    ],
)
def test_a_dataset_of_another_robot_is_refused(tmp_path: Path, robot: Any, fps: int, told: str):
    open_dataset(tmp_path / "data", FEATURES, fps=10).close()
    with refused(told):
        open_dataset(tmp_path / "data", robot, fps=fps)
    DatasetWriter.open(tmp_path / "data").close()


class BusyClock:
    """Time that passes by sleeping and by `work`."""

    def __init__(self) -> None:
        self.now = 5

    def now_ns(self) -> int:
        return self.now

    def sleep_until(self, time_ns: int) -> None:
        self.now = max(self.now, time_ns)


def test_the_rate_and_what_is_said_of_it(tmp_path: Path):
    """10 Hz. Step 5 takes 30 ms too long, and then step 9 takes 320 ms: two deadlines pass without a row."""
    clock, times = BusyClock(), []

    class Slow(Push):
        def plan(self, observation: Observation, step: int) -> Any:
            times.append(clock.now)
            clock.now += {5: 130_000_000, 9: 320_000_000}.get(step, 40_000_000)
            return super().plan(observation, step)

    recorder = record(tmp_path / "data", Robot(), Slow(steps=20), clock=clock)
    periods = (np.array(times) - times[0]) / 1e8
    assert periods == pytest.approx([0, 1, 2, 3, 4, 5, 6.3, 7, 8, 9, 12.2, *range(13, 23)]), "the grid stays"
    summary = recorder.summary()
    assert (summary.overruns, summary.dropped_frames) == (2, 2)
    assert summary.jitter_p50_ms == 0
    assert summary.jitter_max_ms == pytest.approx(220)
    facts = DatasetReader(tmp_path / "data").episodes[0].facts
    assert (facts["overruns"], facts["dropped_frames"]) == (2, 2)


def test_deadlines_do_not_drift():
    """30 Hz does not divide a second: after ten minutes the grid is still exact."""
    clock, timing = VirtualClock(), Timing(30)
    rate = Rate(30, clock)
    rate.wait()
    for _ in range(18_000):
        timing.add(rate.wait())
    assert clock.now_ns() == 600 * 10**9
    assert timing.jitter_ms(100) < 1e-5
