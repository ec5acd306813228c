"""`isthmus-record TASK DATASET`: demonstrations by a scripted operator in simulation, as fast as it goes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import track

from isthmus_datasets.calibration.error import CalibrationError
from isthmus_datasets.info import DatasetError
from isthmus_datasets.operators.scripted import ScriptedOperator
from isthmus_datasets.pace import VirtualClock
from isthmus_datasets.recorder import Recorder, RecordingError
from isthmus_datasets.recording import next_seed, open_dataset
from isthmus_policies.demonstrate.env_robot import EnvRobot, View
from isthmus_policies.demonstrate.push_t_script import PushTScript
from isthmus_policies.demonstrate.views import PushTView, arm_view, placements, random_arm_view
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget


def pick_place_script(noise: float, skill: float) -> ScriptedOperator:
    """Imported when asked for: its inverse kinematics are in a package that only who teleoperates installs."""
    try:
        from isthmus_policies.demonstrate.pick_place_script import PickPlaceScript
    except ModuleNotFoundError as error:
        raise UnsupportedError(f'pick_place needs {error.name}: pip install "isthmus[teleop]"') from error
    return PickPlaceScript(noise=noise, skill=skill)


@dataclass(frozen=True, kw_only=True)
class Demonstrated:
    """How a task is demonstrated: what is asked in words, who does it (noise, skill -> operator), what cameras see that
    are placed; noise, in the unit of the action: what a demonstration has unless something else is asked for."""

    words: str
    operator: Callable[[float, float], ScriptedOperator]
    cameras: Callable[..., View]
    noise: float


_PICK_PLACE = Demonstrated(
    words="put the cube into the zone",
    operator=pick_place_script,
    cameras=arm_view,
    noise=0.005,
)
DEMONSTRATED = {
    "push_t": Demonstrated(
        words="push the T into its goal",
        operator=lambda noise, skill: PushTScript(noise=noise, skill=skill),
        cameras=PushTView,
        noise=8.0,
    ),
    "pick_place": _PICK_PLACE,
    "pick_place-randomized": replace(_PICK_PLACE, cameras=random_arm_view),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Record demonstrations into a new dataset, or go on with one."""

    task: Annotated[str, tyro.conf.Positional]
    """Name of the task: push_t, pick_place, pick_place-randomized."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    episodes: int = 100
    """How many more."""
    seed: int | None = None
    """Of the first one; the next has the next. By default 0, or what comes after the dataset's own."""
    noise: float | None = None
    """Standard deviation of what is added to the operator's actions, in their unit: px for push_t, rad for pick_place;
    by default 8 and 0.005. Demonstrations without any never show how to come back from a mistake."""
    skill: float = 1.0
    """From 0 to 1. Whoever has less of it strays and lapses, and succeeds less often: for data of mixed quality."""
    pictures: bool = True
    """Whether cameras are recorded too."""
    calibration: tuple[Path, ...] = ()
    """Files of isthmus-calibrate: cameras of those names see from where the real ones are."""


def record(options: Options, console: Console) -> str:
    """Record; what came of it. Raises KeyError for a task that nobody demonstrates, DatasetError, RecordingError,
    UnsupportedError, CalibrationError."""
    how = DEMONSTRATED[options.task]
    task = make_task(options.task)
    cameras = partial(how.cameras, placed=placements(options.calibration))
    fps = round(1 / task.robot.control_period_s)
    operator = how.operator(how.noise if options.noise is None else options.noise, options.skill)
    with (
        closing(EnvRobot(task, cameras=cameras if options.pictures else None)) as robot,
        open_dataset(options.dataset, robot.features, fps=fps) as writer,
        Recorder(robot, operator, writer, task=how.words, clock=VirtualClock()) as recorder,
    ):
        first = next_seed(options.dataset) if options.seed is None else options.seed
        seeds = range(first, first + options.episodes)
        for seed in track(seeds, "recording", console=console, disable=not console.is_terminal):
            recorder.record(seed)
        summary = recorder.summary()
    return f"{options.dataset}: {summary.saved} episodes more, {summary.steps} steps"


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    options = tyro.cli(Options, prog="isthmus-record", args=arguments)
    use_thread_budget()
    console = Console()
    if options.task not in DEMONSTRATED:
        sys.exit(f"isthmus-record: nobody demonstrates {options.task!r}; there are: {', '.join(DEMONSTRATED)}")
    if not 0.0 <= options.skill <= 1.0 or (options.noise or 0.0) < 0.0:
        sys.exit("isthmus-record: skill must be from 0 to 1, and noise not negative")
    try:
        console.print(record(options, console), highlight=False)
    except (DatasetError, RecordingError, UnsupportedError, CalibrationError, OSError) as error:
        sys.exit(f"isthmus-record: {error}")
    console.print(f"next: isthmus-dataset check {options.dataset}", highlight=False)


if __name__ == "__main__":
    main()
