"""`make bench-recording`: whether recording two cameras keeps its rate and loses nothing, beside a bare loop; and
whether the thousandth episode costs what the first did."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.operator import Operator
from isthmus_datasets.recording.outcome import Summary
from isthmus_datasets.recording.rate import Clock, Rate, Timing, VirtualClock, WallClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot_columns import open_dataset
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.tasks.pick_place_script import PickPlaceScript
from isthmus_policies.demonstrate.tasks.push_t_script import PushTScript
from isthmus_policies.demonstrate.views import model_view
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

FPS = 30


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure recording."""

    seconds: float = 300.0
    """How long pick and place is recorded with two cameras, s; the last episode is not cut short."""
    episodes: int = 1000
    """Episodes of Push-T by its script, without cameras, as fast as they come."""
    bare_seconds: float = 10.0
    """How long the loop that does nothing is measured, s."""


QUICK = Options(seconds=1.0, episodes=3, bare_seconds=1.0)


def record(
    root: Path, robot: EnvRobot, operator: Operator, *, fps: int, clock: Clock, enough: Callable[[Summary], bool]
) -> tuple[Summary, NDArray[np.float64]]:
    """Record until it is `enough`. Returns a summary, and (episodes, 2): how many seconds each episode took, and how
    many of this processor's."""
    times = [(time.perf_counter(), time.process_time())]
    with (
        open_dataset(root, robot.features, fps=fps) as writer,
        Recorder(robot, operator, writer, task="speed", clock=clock) as recorder,
    ):
        for seed in itertools.count():
            recorder.record(seed)
            times.append((time.perf_counter(), time.process_time()))
            if enough(recorder.summary()):
                break
        return recorder.summary(), np.diff(times, axis=0)


def bare_jitter_ms(seconds: float) -> float:
    """p99 of a loop of the same rate that does nothing."""
    rate, timing = Rate(FPS, WallClock()), Timing(FPS)
    rate.wait()
    for _ in range(round(seconds * FPS)):
        timing.add(rate.wait())
    return timing.jitter_ms(99)


def with_cameras(root: Path, options: Options) -> list[Row]:
    """Pick and place by its script, at 30 Hz by the clock. Frames are counted in the files."""
    robot, script = EnvRobot(make_task("pick_place-randomized"), cameras=model_view), PickPlaceScript(noise=0.005)
    with closing(robot):
        wanted = options.seconds * FPS
        summary, times = record(root, robot, script, fps=FPS, clock=WallClock(), enough=lambda s: s.steps >= wanted)
    reader, cameras = DatasetReader(root), len(robot.features.cameras)
    decoded = sum(len(reader.frames(row.index, name)) for row in reader.episodes for name in row.videos)
    lost = cameras * (summary.steps + summary.dropped_frames) - decoded
    peer = f"a bare loop: {bare_jitter_ms(options.bare_seconds):.2f} ms"
    saving = (1e3 * (times[:, 0] - [row.length / FPS for row in reader.episodes])).tolist()
    success = 100 * float(np.mean([row.facts["success"] is True for row in reader.episodes]))
    busy = 100 * times[:, 1].sum() / summary.steps * FPS
    return [
        Row(metric=f"frames recorded, pick and place, 2 cameras 96 × 96 at {FPS} Hz", value=decoded, unit=""),
        Row(metric="frames dropped", value=lost, unit="", must="<= 0"),
        Row(metric="loop jitter, p99", value=summary.jitter_p99_ms, unit="ms", must="<= 5", peer=peer),
        Row(metric="loop jitter, p50", value=summary.jitter_p50_ms, unit="ms"),
        Row(metric="steps that took longer than the period", value=summary.overruns, unit=""),
        Row(
            metric="a step, saving included, of the period", value=busy, unit="%", peer="this process's processor time"
        ),
        Row(metric=f"{len(times)} episodes, of which succeed", value=success, unit="%"),
        over_seeds("to begin and save one of them", saving, "ms"),
    ]


def without_cameras(root: Path, options: Options) -> list[Row]:
    """As fast as they come. Demonstrations differ in length: what counts is the time of a step, saving included."""
    robot, script = EnvRobot(make_task("push_t")), PushTScript(noise=8.0)
    with closing(robot):
        _, times = record(
            root, robot, script, fps=10, clock=VirtualClock(), enough=lambda s: s.saved >= options.episodes
        )
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
    options = parse(Options(), QUICK)
    use_thread_budget()
    with tempfile.TemporaryDirectory() as temporary:
        rows = with_cameras(Path(temporary) / "cameras", options)
        return report("recording", rows + without_cameras(Path(temporary) / "state", options), options)


if __name__ == "__main__":
    sys.exit(main())
