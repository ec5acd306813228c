"""`make bench-recording`: whether recording two cameras keeps its rate and loses nothing, beside a bare loop; and
whether the thousandth episode costs what the first did."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from common import Row, over_seeds, report
from numpy.typing import NDArray

from isthmus_datasets.operators.operator import Operator
from isthmus_datasets.operators.scripted import ScriptedOperator
from isthmus_datasets.pace import Clock, Pace, Timing, VirtualClock, WallClock
from isthmus_datasets.reader import DatasetReader
from isthmus_datasets.recorder import Recorder
from isthmus_datasets.recording import open_dataset
from isthmus_datasets.robot import Observation, Robot, RobotFeatures, quantities
from isthmus_policies.env_robot import EnvRobot
from isthmus_policies.push_t_script import PushTScript
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

FPS = 30
JOINTS = {f"joint_{number}": "rad" for number in range(6)}
CAMERAS = {"scene": (96, 96), "wrist": (96, 96)}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure recording."""

    seconds: float = 300.0
    """How long two cameras are recorded, s."""
    episode_seconds: float = 30.0
    """Length of each of those episodes, s."""
    episodes: int = 1000
    """Episodes of Push-T by its script, without cameras, as fast as they come."""
    bare_seconds: float = 10.0
    """How long the loop that does nothing is measured, s."""


class SyntheticRobot:
    """Six joints that go where they are sent, and a bright square that moves over a coloured ground."""

    def __init__(self, cameras: dict[str, tuple[int, int]]) -> None:
        self.features = RobotFeatures(
            robot_type="synthetic", columns={"state": quantities(JOINTS)}, cameras=cameras, action=quantities(JOINTS)
        )
        self._ground = np.linspace(40, 200, 96 * 96 * 3).reshape(96, 96, 3).astype(np.uint8)

    def reset(self, seed: int) -> None:
        self._random, self._state = np.random.default_rng(seed), np.zeros(len(JOINTS), np.float32)

    def observe(self) -> Observation:
        now = time.monotonic_ns()
        return Observation(
            columns={"state": self._state},
            pictures={name: self._picture() for name in self.features.cameras},
            capture_time_ns=dict.fromkeys(self.features.sensors, now),
        )

    def _picture(self) -> NDArray[np.uint8]:
        picture = self._ground.copy()
        x, y = self._random.integers(0, 88, 2)
        picture[y : y + 8, x : x + 8] = 250
        return picture

    def act(self, action: NDArray[Any]) -> NDArray[Any]:
        self._state = np.clip(action, -1.0, 1.0)
        return self._state

    def close(self) -> None:
        pass


class Wave(ScriptedOperator):
    """Moves all joints to and fro."""

    def plan(self, observation: Observation, step: int) -> NDArray[Any]:
        return np.full(len(JOINTS), np.sin(step / 10), np.float32)


def record(
    root: Path, robot: Robot, operator: Operator, *, fps: int, episodes: int, clock: Clock
) -> tuple[Recorder, NDArray[np.float64]]:
    """Returns the recorder, and (episodes, 2): how many seconds each episode took, and how many of this processor's."""
    times = [(time.perf_counter(), time.process_time())]
    with (
        open_dataset(root, robot.features, fps=fps) as writer,
        Recorder(robot, operator, writer, task="speed", clock=clock) as recorder,
    ):
        for seed in range(episodes):
            recorder.record(seed)
            times.append((time.perf_counter(), time.process_time()))
    return recorder, np.diff(times, axis=0)


def bare_jitter_ms(seconds: float) -> float:
    """p99 of a loop of the same rate that does nothing."""
    pace, timing = Pace(FPS, WallClock()), Timing(FPS)
    pace.wait()
    for _ in range(round(seconds * FPS)):
        timing.add(pace.wait())
    return timing.jitter_ms(99)


def with_cameras(root: Path, options: Options) -> list[Row]:
    """At 30 Hz by the clock. Frames are counted in the files."""
    steps, episodes = round(options.episode_seconds * FPS), round(options.seconds / options.episode_seconds)
    robot, operator = SyntheticRobot(CAMERAS), Wave(steps=steps)
    recorder, times = record(root, robot, operator, fps=FPS, episodes=max(1, episodes), clock=WallClock())
    summary, reader = recorder.summary(), DatasetReader(root)
    decoded = sum(len(reader.frames(row.index, name)) for row in reader.episodes for name in row.videos)
    lost = len(CAMERAS) * (steps * len(times) + summary.dropped_frames) - decoded
    peer = f"a bare loop: {bare_jitter_ms(options.bare_seconds):.2f} ms"
    saving = (1e3 * (times[:, 0] - steps / FPS)).tolist()
    return [
        Row(metric=f"frames recorded, 2 cameras 96 × 96 at {FPS} Hz", value=decoded, unit=""),
        Row(metric="frames dropped", value=lost, unit="", must="<= 0"),
        Row(metric="loop jitter, p99", value=summary.jitter_p99_ms, unit="ms", must="<= 5", peer=peer),
        Row(metric="loop jitter, p50", value=summary.jitter_p50_ms, unit="ms"),
        Row(metric="steps that took longer than the period", value=summary.overruns, unit=""),
        over_seeds(f"to begin and save an episode of {options.episode_seconds:g} s", saving, "ms"),
    ]


def without_cameras(root: Path, options: Options) -> list[Row]:
    """As fast as they come. Demonstrations differ in length: what counts is the time of a step, saving included."""
    robot, script = EnvRobot(make_task("push_t")), PushTScript(noise=8.0)
    _, times = record(root, robot, script, fps=10, episodes=options.episodes, clock=VirtualClock())
    rows = DatasetReader(root).episodes
    steps, part = np.array([row.length for row in rows]), max(1, min(100, options.episodes // 2))
    first, last = (1e3 * times[of].sum(axis=0) / steps[of].sum() for of in (slice(part), slice(-part, None)))
    wall, processor = (last / first).tolist()
    total, success = times[:, 0].sum(), 100 * float(np.mean([row.facts["success"] is True for row in rows]))
    return [
        Row(metric=f"{options.episodes} episodes of Push-T, {steps.sum()} steps", value=total, unit="s", must="<= 300"),
        Row(metric="… that succeed", value=success, unit="%"),
        Row(metric=f"a step of the first {part} episodes", value=first[0], unit="ms"),
        Row(metric=f"… of the last {part}", value=last[0], unit="ms"),
        Row(metric="last / first", value=wall, unit="", must="<= 1.2", peer=f"in processor time: {processor:.3f}"),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = tyro.cli(Options, prog="bench-recording")
    use_thread_budget()
    with tempfile.TemporaryDirectory() as temporary:
        rows = with_cameras(Path(temporary) / "cameras", options)
        return report("recording", rows + without_cameras(Path(temporary) / "state", options))


if __name__ == "__main__":
    sys.exit(main())
