"""`isthmus-record TASK DATASET`: demonstrations by a scripted operator in simulation, as fast as it goes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import track

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.recording.columns import next_seed, open_dataset
from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.rate import VirtualClock
from isthmus_datasets.recording.recorder import Recorder, RecordingError
from isthmus_datasets.recording.robot import RobotError
from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_policies.demonstrate.demonstration import demonstrated_tasks, find_demonstration
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.registry import RegistryError
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget


@dataclass(frozen=True, kw_only=True)
class Options:
    """Record demonstrations by a script into a new dataset, or go on with one."""

    task: Annotated[str, tyro.conf.Positional]
    """Name of the task."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    episodes: int = 100
    """How many more episodes are recorded."""
    seed: int | None = None
    """Seed of the first episode; each has one more than the one before. By default 0, or the next after the dataset's
    own."""
    noise: float | None = None
    """Standard deviation of what is added to the operator's actions, in their unit; by default what suits the task.
    Demonstrations without any never show how to come back from a mistake."""
    skill: float = 1.0
    """From 0 to 1. Whoever has less of it strays and lapses, and succeeds less often: for data of mixed quality."""
    images: bool = True
    """Whether cameras are recorded too."""
    calibration: tuple[Path, ...] = ()
    """Files of isthmus-calibrate: cameras of those names see from where the real ones are."""


def record(options: Options, console: Console) -> str:
    """Record; a line that says what there is now. An episode whose simulation diverges is told and left out.

    Raises:
        RegistryError: nobody demonstrates the task.
        DatasetError: the dataset cannot be gone on with.
        RecordingError: an episode cannot be recorded.
        UnsupportedError: something is not installed.
        CalibrationError: a camera cannot be placed.
    """
    demonstration = find_demonstration(options.task, "script")
    assert demonstration.script is not None
    task = make_task(options.task)
    cameras = demonstration.view_maker(options.calibration)
    operator = demonstration.script(demonstration.noise if options.noise is None else options.noise, options.skill)
    with (
        closing(EnvRobot(task, cameras=cameras if options.images else None)) as robot,
        open_dataset(options.dataset, robot.features, fps=round(1 / task.robot.control_period_s)) as writer,
        Recorder(robot, operator, writer, task=demonstration.words, clock=VirtualClock()) as recorder,
    ):
        first = next_seed(options.dataset) if options.seed is None else options.seed
        seeds = range(first, first + options.episodes)
        record_all(recorder, track(seeds, "recording", console=console, disable=not console.is_terminal), console)
        summary, endings = recorder.summary(), Counter(outcome.ending for outcome in recorder.outcomes)
    told = ", ".join(f"{endings[end]} ended by {end.value}" for end in Ending if endings[end])
    return f"{options.dataset}: {summary.saved} episodes more, {summary.steps} steps{': ' if told else ''}{told}"


def record_all(recorder: Recorder, seeds: Iterable[int], console: Console) -> None:
    """An episode a seed. Raises RecordingError where the next one would fare no better."""
    for seed in seeds:
        try:
            recorder.record(seed)
        except RecordingError as error:
            if not isinstance(error.__cause__, RobotError):
                raise
            console.print(f"seed {seed}: {error}", highlight=False)


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    tasks = f"Tasks with a script: {', '.join(demonstrated_tasks('script'))}."
    options = tyro.cli(Options, prog="isthmus-record", description=f"{Options.__doc__} {tasks}", args=arguments)
    use_thread_budget()
    console = Console()
    if not 0.0 <= options.skill <= 1.0 or (options.noise or 0.0) < 0.0:
        sys.exit("isthmus-record: skill must be from 0 to 1, and noise not negative")
    try:
        console.print(record(options, console), highlight=False)
    except (RegistryError, DatasetError, RecordingError, UnsupportedError, CalibrationError, OSError) as error:
        sys.exit(f"isthmus-record: {error}")
    console.print(f"next: isthmus-dataset check {options.dataset}", highlight=False)


if __name__ == "__main__":
    main()
