"""`isthmus-record TASK DATASET`: episodes that a script or a policy drives, in simulation as fast as it goes, or by a
policy with a robot on ROS 2."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import track

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.operator import Operator
from isthmus_datasets.recording.outcome import RecordingError
from isthmus_datasets.recording.rate import VirtualClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot import CameraError, RobotError
from isthmus_datasets.recording.robot_columns import next_seed, open_dataset
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_policies.demonstrate.demonstration import (
    Demonstration,
    MeasuredRobot,
    demonstrated_tasks,
    find_demonstration,
)
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.policy_operator import policy_for
from isthmus_policies.demonstrate.ros2.options import Ros2Options, connect
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.registry import RegistryError
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget


@dataclass(frozen=True, kw_only=True)
class Options:
    """Record what a script or a policy does into a new dataset, or go on with one."""

    task: Annotated[str, tyro.conf.Positional]
    """Name of the task."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    episodes: int = 100
    """How many more episodes are recorded."""
    seed: int | None = None
    """Seed of the first episode; each has one more than the one before. By default 0, or the next after the dataset's
    own."""
    policy: Path | None = None
    """A policy file that drives in place of the task's script."""
    max_seconds: float = 20.0
    """How long an episode of a policy lasts at most, s."""
    robot: Annotated[Ros2Options, tyro.conf.OmitArgPrefixes] = field(default_factory=Ros2Options)
    noise: float | None = None
    """Standard deviation of what is added to the operator's actions, in their unit; by default what suits the task.
    Demonstrations without any never show how to come back from a mistake."""
    skill: float = 1.0
    """From 0 to 1. Whoever has less of it strays and lapses, and succeeds less often: for data of mixed quality."""
    images: bool = True
    """Whether cameras are recorded too."""
    lossless: tuple[str, ...] = ()
    """Cameras of a new dataset that are stored without loss."""
    calibration: tuple[Path, ...] = ()
    """Files of isthmus-calibrate: cameras of those names see from where the real ones are."""


def record(options: Options, console: Console) -> str:
    """Record; a line that says what there is now. An episode whose simulation diverges is told and left out.

    Raises:
        RegistryError: nobody demonstrates the task.
        DatasetError: the dataset cannot be gone on with.
        RecordingError: an episode cannot be recorded to its end, or be saved.
        UnsupportedError: something is not installed.
        CalibrationError: a camera cannot be placed.
        CameraError: a camera of a robot on ROS 2 gives nothing.
        PolicyFileError: the policy cannot be used.
        Refusal: there is no such robot on ROS 2, or it may not be driven.
    """
    demonstration = find_demonstration(options.task, *(() if options.policy else ("script",)))
    task = make_task(options.task)
    robot = make_robot(options, demonstration, task)
    with (
        closing(robot),
        open_dataset(
            options.dataset,
            robot.features,
            fps=round(1 / task.robot.control_period_s),
            lossless=options.lossless,
        ) as writer,
        Recorder(
            robot,
            make_operator(options, demonstration, task, robot),
            writer,
            task=demonstration.words,
            clock=None if options.robot.ros else VirtualClock(),
        ) as recorder,
    ):
        first = next_seed(options.dataset) if options.seed is None else options.seed
        seeds = range(first, first + options.episodes)
        by_hand = options.robot.ros and console.is_terminal
        turns = when_ready(seeds, console) if by_hand else shown(seeds, console)
        record_all(recorder, turns, console, simulated=not options.robot.ros)
        summary, endings = recorder.summary(), Counter(outcome.ending for outcome in recorder.outcomes)
    told = ", ".join(f"{endings[end]} ended by {end.value}" for end in Ending if endings[end])
    return f"{options.dataset}: {summary.saved} episodes more, {summary.steps} steps{': ' if told else ''}{told}"


def make_robot(options: Options, demonstration: Demonstration, task: Task) -> MeasuredRobot:
    """The robot, simulated or on ROS 2. Raises CalibrationError, CameraError, Refusal, UnsupportedError."""
    options.robot.refuse_unused()
    if options.robot.ros:
        return connect(options.robot, task.robot)
    return EnvRobot(task, cameras=demonstration.view_maker(options.calibration) if options.images else None)


def make_operator(options: Options, demonstration: Demonstration, task: Task, robot: MeasuredRobot) -> Operator:
    """Who drives. Raises PolicyFileError."""
    if options.policy is not None:
        steps = round(options.max_seconds / task.robot.control_period_s)
        return policy_for(options.policy, task.robot, robot, steps=steps)
    assert demonstration.script is not None
    return demonstration.script(demonstration.noise if options.noise is None else options.noise, options.skill)


def when_ready(seeds: Iterable[int], console: Console) -> Iterator[int]:
    """One after the other, each when somebody has put things back where an episode begins."""
    for number, seed in enumerate(seeds, start=1):
        console.input(f"episode {number}: put everything in place, then press Enter; the robot will move ")
        yield seed


def shown(seeds: Iterable[int], console: Console) -> Iterable[int]:
    """The same at once, with a bar where somebody watches."""
    return track(seeds, "recording", console=console, disable=not console.is_terminal)


def record_all(recorder: Recorder, seeds: Iterable[int], console: Console, *, simulated: bool) -> None:
    """An episode a seed. Raises RecordingError where the next one would fare no better, and where a real robot has had
    a fault: somebody has to look at it first."""
    for seed in seeds:
        try:
            recorder.record(seed)
        except RecordingError as error:
            if not (simulated and isinstance(error.__cause__, RobotError)):
                raise
            console.print(f"seed {seed}: {error}", highlight=False)


def wrong(options: Options) -> str:
    """What contradicts itself; empty when nothing does."""
    if not 0.0 <= options.skill <= 1.0 or (options.noise or 0.0) < 0.0:
        return "skill must be from 0 to 1, and noise not negative"
    if options.policy is not None and not 0.0 < options.max_seconds < math.inf:
        return f"max_seconds must be a positive number, not {options.max_seconds:g}"
    if options.robot.ros and options.policy is None:
        return "--ros needs --policy FILE: a script sees what only a simulator tells; people use isthmus-teleop --ros"
    if options.robot.ros and options.calibration:
        return "--calibration places simulated cameras; with --ros they are where they are"
    return ""


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    tasks = f"Tasks with a script: {', '.join(demonstrated_tasks('script'))}."
    options = tyro.cli(Options, prog="isthmus-record", description=f"{Options.__doc__} {tasks}", args=arguments)
    use_thread_budget()
    console = Console()
    if problem := wrong(options):
        sys.exit(f"isthmus-record: {problem}")
    try:
        console.print(record(options, console), highlight=False)
    except (
        RegistryError, DatasetError, RecordingError, UnsupportedError, CalibrationError, CameraError, PolicyFileError,
        Refusal, OSError,
    ) as error:  # fmt: skip
        sys.exit(f"isthmus-record: {error}")
    console.print(f"next: isthmus-dataset check {options.dataset}", highlight=False)


if __name__ == "__main__":
    main()
