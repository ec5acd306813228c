"""`isthmus-record TASK DATASET`: demonstrations by a scripted operator in simulation, as fast as it goes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from isthmus_datasets.info import DatasetError
from isthmus_datasets.operators.scripted import ScriptedOperator
from isthmus_datasets.pace import VirtualClock
from isthmus_datasets.recorder import Recorder, RecordingError
from isthmus_datasets.recording import open_dataset
from isthmus_policies.env_robot import Camera, EnvRobot
from isthmus_policies.push_t_script import PushTScript
from isthmus_sim.robots.pusher_picture import picture
from isthmus_sim.signals import Signals
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget


def push_t_picture(signals: Signals) -> NDArray[np.uint8]:
    """The table from above (96, 96, 3)."""
    block = (*signals["block_position"][0].tolist(), float(signals["block_angle"][0]))
    return picture(signals["agent_position"][0].tolist(), block)


@dataclass(frozen=True, kw_only=True)
class Demonstrated:
    """How a task is demonstrated: what is asked in words, who does it (noise -> operator), and what cameras see."""

    words: str
    operator: Callable[[float], ScriptedOperator]
    cameras: dict[str, Camera]


DEMONSTRATED = {
    "push_t": Demonstrated(
        words="push the T into its goal",
        operator=lambda noise: PushTScript(noise=noise),
        cameras={"scene": push_t_picture},
    ),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Record demonstrations into a new dataset, or go on with one."""

    task: Annotated[str, tyro.conf.Positional]
    """Name of the task: push_t."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset."""
    episodes: int = 100
    """How many more."""
    seed: int = 0
    """Of the first one; the next has the next."""
    noise: float = 8.0
    """Standard deviation of what is added to the operator's actions, in their unit: px for push_t. Demonstrations
    without any never show how to come back from a mistake."""
    pictures: bool = True
    """Whether cameras are recorded too."""


def record(options: Options, console: Console) -> str:
    """Record; what came of it. Raises KeyError for a task that nobody demonstrates, DatasetError, RecordingError."""
    how = DEMONSTRATED[options.task]
    task = make_task(options.task)
    fps, operator = round(1 / task.robot.control_period_s), how.operator(options.noise)
    with (
        closing(EnvRobot(task, cameras=how.cameras if options.pictures else {})) as robot,
        open_dataset(options.dataset, robot.features, fps=fps) as writer,
        Recorder(robot, operator, writer, task=how.words, clock=VirtualClock()) as recorder,
    ):
        seeds = range(options.seed, options.seed + options.episodes)
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
    try:
        console.print(record(options, console), highlight=False)
    except (DatasetError, RecordingError, OSError) as error:
        sys.exit(f"isthmus-record: {error}")
    console.print(f"next: isthmus-dataset check {options.dataset}", highlight=False)


if __name__ == "__main__":
    main()
