"""`isthmus-roll-out RUN DATASET`: what a policy does in simulation, as a dataset that others learn from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.columns import column_name
from isthmus_policies.demonstrate.features import STATE, robot_features
from isthmus_policies.evaluation.evaluate import MakeRunner
from isthmus_policies.evaluation.play import Options as Playing
from isthmus_policies.evaluation.play import subject
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.task import Task
from isthmus_sim.threads import one_torch_thread, use_thread_budget

PROGRAM = "isthmus-roll-out"
SUCCESS, DONE, TRUNCATED = "next.success", "next.done", "next.truncated"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Let a policy act in many worlds side by side and record its episodes: all numbers that the robot reads, and its
    commands. Cameras are left out."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the policy's run."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset, which is made."""
    task: str | None = None
    """Registered name of the task; by default the one that the policy was trained for."""
    engine: str | None = None
    """Name of the engine; by default the one it was trained in."""
    episodes: int = 1_000
    """Episodes that are kept."""
    only_success: bool = False
    """Whether only those are kept that reach the task's goal."""
    worlds: int = 64
    seed: int = 30_000
    """Seed of the first worlds; those that follow have the next ones."""
    most_rounds: int = 1_000
    """So often all worlds begin anew, at most: a policy that never succeeds would never end."""

    def __post_init__(self) -> None:
        if min(self.episodes, self.worlds, self.most_rounds) < 1:
            raise ValueError("episodes, worlds and most_rounds must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Acted:
    """One episode: readings (T, n), commands (T, m), and how it ended."""

    readings: NDArray[np.float32]
    commands: NDArray[np.float32]
    succeeded: bool
    truncated: bool


def roll_out(task: Task, make_runner: MakeRunner, engine: str, worlds: int, seed: int) -> list[Acted]:
    """One episode of each world, to its own end: those that end early are not more often among them."""
    env = Env(task, make_engine(task.scene, worlds, engine), seed)
    runner = make_runner(env)
    numbers = [signal.name for signal in task.robot.signals if signal.dtype != "uint8"]
    readings, commands = [], []
    found: dict[int, Acted] = {}
    for t in range(task.episode_steps):
        readings.append(_rows(env.signals, numbers))
        with one_torch_thread():
            step = runner.step(env)
        runner.restart(step.ended)
        commands.append(_rows(step.commands, [command.name for command in task.robot.commands]))
        for world in set(step.ended.tolist()) - found.keys():
            found[world] = Acted(
                readings=np.stack([rows[world] for rows in readings[: t + 1]]),
                commands=np.stack([rows[world] for rows in commands[: t + 1]]),
                succeeded=bool(step.succeeded[world]),
                truncated=bool(step.truncated[world]),
            )
        if len(found) == worlds:
            break
    env.close()
    return [found[world] for world in sorted(found)]


def _rows(values: dict[str, Tensor], names: list[str]) -> NDArray[np.float32]:
    """(worlds, numbers): a copy."""
    return torch.cat([values[name].flatten(1) for name in names], dim=-1).float().cpu().numpy()


def episodes(options: Options, task: Task, make_runner: MakeRunner, engine: str) -> Iterator[tuple[int, Acted]]:
    """As many as are wanted, each with the seed of its worlds. Raises ValueError where too few are found."""
    kept = 0
    for seed in range(options.seed, options.seed + options.most_rounds):
        for acted in roll_out(task, make_runner, engine, options.worlds, seed):
            if kept < options.episodes and (acted.succeeded or not options.only_success):
                kept += 1
                yield seed, acted
        if kept == options.episodes:
            return
    raise ValueError(
        f"{options.most_rounds * options.worlds} episodes gave {kept} of {options.episodes}: it succeeds too seldom; "
        "take a better policy, fewer --episodes or more --most-rounds"
    )


def dataset_features(task: Task) -> Features:
    """What is recorded of the task's robot."""
    robot, flag = robot_features(task.robot), Feature(dtype="bool", shape=(1,))
    numbers = {column_name(STATE): robot.columns[STATE], "action": robot.action}
    return numbers | dict.fromkeys((SUCCESS, DONE, TRUNCATED), flag)


def episode_of(acted: Acted, words: str, seed: int) -> Episode:
    """As it is kept."""
    last = np.zeros((len(acted.readings), 1), bool)
    last[-1] = True
    columns = {
        column_name(STATE): acted.readings,
        "action": acted.commands,
        SUCCESS: last & acted.succeeded,
        DONE: last & (not acted.truncated),
        TRUNCATED: last & acted.truncated,
    }
    return Episode(columns=columns, task=words, facts={"success": acted.succeeded, "operator": "policy", "seed": seed})


def record(options: Options, console: Console) -> None:
    """Raises ValueError, OSError and DatasetError."""
    what = subject(Playing(run=options.run, task=options.task, engine=options.engine, seed=options.seed))
    fps = round(1.0 / what.task.robot.control_period_s)
    features, kind = dataset_features(what.task), what.task.robot.name
    with (
        DatasetWriter.create(options.dataset, fps=fps, features=features, robot_type=kind) as writer,
        Progress(console=console, transient=True) as progress,
    ):
        bar = progress.add_task("rolling out", total=options.episodes)
        for seed, acted in episodes(options, what.task, what.make_runner, what.engine):
            writer.append(episode_of(acted, what.name, seed))
            progress.advance(bar)
    console.print(f"{options.episodes} episodes → [bold]{options.dataset}[/]")


def main() -> None:
    """Entry point of `isthmus-roll-out`."""
    try:
        options = tyro.cli(Options, prog=PROGRAM)
        use_thread_budget()
        record(options, Console())
    except (ValueError, DatasetError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
