"""`isthmus-roll-out RUN DATASET`: what a policy does in simulation, as a dataset that others learn from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from isthmus_datasets.recording.robot_columns import camera_name, column_name
from isthmus_policies.chunks.runner import network_runner
from isthmus_policies.chunks.training.roll_outs import usual_execution
from isthmus_policies.chunks.training.run import holds_chunks, load_chunk_run
from isthmus_policies.demonstrate.features import STATE, robot_features
from isthmus_policies.evaluation.evaluate import MakeRunner
from isthmus_policies.evaluation.play import Options as Playing
from isthmus_policies.evaluation.play import Subject, subject
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.evaluation.take_over import TakeOver
from isthmus_policies.training.run import load_run
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.task import Task
from isthmus_sim.threads import one_torch_thread, use_thread_budget

PROGRAM = "isthmus-roll-out"
Images = dict[str, NDArray[np.uint8]]
Rows = tuple[NDArray[np.float32], Images, NDArray[np.float32]]
"""Readings, images by signal and commands of all worlds at one step."""
SUCCESS, DONE, TRUNCATED = "next.success", "next.done", "next.truncated"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Let a policy act in many worlds side by side and record its episodes: all numbers that the robot reads, and its
    commands; with --images what its cameras see, too."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the policy's run."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset, which is made."""
    task: str | None = None
    """Registered name of the task; by default the one that the policy was trained for."""
    robot: str | None = None
    """The robot, as isthmus-train --robot takes it: one with cameras, say, that the policy can do without."""
    engine: str | None = None
    """Name of the engine; by default the one it was trained in."""
    images: bool = False
    """Whether the robot's cameras are recorded."""
    training: bool = False
    """Whether what happens only in training happens here, such as looks that change from step to step."""
    begun_by: Path | None = None
    """Run of a policy of chunks that begins each episode. What is recorded is how the policy goes on from there."""
    begun_s: float = 3.0
    """At the latest after so long the policy takes over, s; the moment is drawn evenly."""
    episodes: int = 1_000
    """Episodes that are kept."""
    only_success: bool = False
    """Whether only those are kept that reach the task's goal."""
    least: int = 1
    """Rows that an episode must have to be kept: whoever takes over shortly before the end shows no whole chunk."""
    worlds: int = 64
    seed: int = 30_000
    """Seed of the first worlds; those that follow have the next ones."""
    most_rounds: int = 1_000
    """So often all worlds begin anew, at most: a policy that never succeeds would never end."""

    def __post_init__(self) -> None:
        if min(self.episodes, self.worlds, self.most_rounds, self.least) < 1:
            raise ValueError("episodes, worlds, most_rounds and least must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Acted:
    """One episode: readings (T, n), images by signal (T, H, W, 3), commands (T, m), and how it ended."""

    readings: NDArray[np.float32]
    images: Images = field(default_factory=dict)
    commands: NDArray[np.float32]
    succeeded: bool
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class End:
    """After how many steps an episode was over, and how."""

    steps: int
    succeeded: bool
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class RollOut:
    """How a policy is rolled out.

    Args:
        task: What is done.
        make_runner: Who does it.
        engine: Where, by its registered name.
        worlds: How many episodes at once.
        training: Whether the task's training events happen.
        images: Whether cameras are recorded.
    """

    task: Task
    make_runner: MakeRunner
    engine: str
    worlds: int
    training: bool = False
    images: bool = False

    def episodes(self, seed: int) -> list[Acted]:
        """One of each world, to its own end: those that end early are not more often among them. What somebody else
        began counts from where the policy goes on, and not at all where it never does."""
        task, n = self.task, self.worlds
        env = Env(task, make_engine(task.scene, n, self.engine), seed, training=self.training)
        runner = self.make_runner(env)
        begins = torch.zeros(n, dtype=torch.long) if runner.begins is None else runner.begins.cpu()
        rows: list[Rows] = []
        ends: dict[int, End] = {}
        for t in range(task.episode_steps):
            seen = self._seen(env)
            with one_torch_thread():
                step = runner.step(env)
            runner.restart(step.ended)
            rows.append((*seen, _rows(step.commands, [command.name for command in task.robot.commands])))
            for world in set(step.ended.tolist()) - ends.keys():
                succeeded, truncated = bool(step.succeeded[world]), bool(step.truncated[world])
                ends[world] = End(steps=t + 1, succeeded=succeeded, truncated=truncated)
            if len(ends) == n:
                break
        env.close()
        first = begins.tolist()
        return [
            _acted(rows, world, first[world], end) for world, end in sorted(ends.items()) if first[world] < end.steps
        ]

    def _seen(self, env: Env) -> tuple[NDArray[np.float32], Images]:
        """Readings and images of all worlds, copies."""
        numbers = [signal.name for signal in self.task.robot.signals if signal.dtype != "uint8"]
        cameras = [signal.name for signal in self.task.robot.signals if signal.dtype == "uint8"] if self.images else []
        return _rows(env.signals, numbers), {name: env.signals[name].cpu().numpy().copy() for name in cameras}


def _acted(rows: list[Rows], world: int, begin: int, end: End) -> Acted:
    """What one world did from step `begin` on."""
    kept = rows[begin : end.steps]
    return Acted(
        readings=np.stack([readings[world] for readings, _, _ in kept]),
        images={name: np.stack([images[name][world] for _, images, _ in kept]) for name in kept[0][1]},
        commands=np.stack([commands[world] for _, _, commands in kept]),
        succeeded=end.succeeded,
        truncated=end.truncated,
    )


def _rows(values: dict[str, Tensor], names: list[str]) -> NDArray[np.float32]:
    """(worlds, numbers): a copy."""
    return torch.cat([values[name].flatten(1) for name in names], dim=-1).float().cpu().numpy()


def chosen(options: Options, roll_out: RollOut) -> Iterator[tuple[int, Acted]]:
    """As many episodes as are wanted, each with the seed of its worlds. Raises ValueError where too few are found."""
    kept = 0
    for seed in range(options.seed, options.seed + options.most_rounds):
        for acted in roll_out.episodes(seed):
            wanted = len(acted.readings) >= options.least and (acted.succeeded or not options.only_success)
            if kept < options.episodes and wanted:
                kept += 1
                yield seed, acted
        if kept == options.episodes:
            return
    raise ValueError(
        f"{options.most_rounds * options.worlds} episodes gave {kept} of {options.episodes}: it succeeds too seldom; "
        "take a better policy, fewer --episodes or more --most-rounds"
    )


def dataset_features(task: Task, images: bool) -> Features:
    """What is recorded of the task's robot."""
    robot, flag = robot_features(task.robot), Feature(dtype="bool", shape=(1,))
    cameras = robot.cameras if images else {}
    return {
        column_name(STATE): robot.columns[STATE],
        **{camera_name(name): Feature(dtype="video", shape=(*size, 3)) for name, size in cameras.items()},
        "action": robot.action,
        **dict.fromkeys((SUCCESS, DONE, TRUNCATED), flag),
    }


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
    return Episode(
        columns=columns,
        videos={camera_name(name): frames for name, frames in acted.images.items()},
        task=words,
        facts={"success": acted.succeeded, "operator": "policy", "seed": seed},
    )


def _roll_out(options: Options, what: Subject) -> RollOut:
    """Raises ValueError and OSError."""
    task = what.task
    if options.images and not any(signal.dtype == "uint8" for signal in task.robot.signals):
        raise ValueError(f"{task.robot.name} has no camera; choose a --robot that has, or leave out --images")
    make_runner = what.make_runner
    if options.begun_by is not None:
        make_runner = _taking_over(options, task, options.begun_by)
    return RollOut(
        task=task, make_runner=make_runner, engine=what.engine, worlds=options.worlds,
        training=options.training, images=options.images,
    )  # fmt: skip


def _taking_over(options: Options, task: Task, begun_by: Path) -> MakeRunner:
    if holds_chunks(options.run):
        raise ValueError(f"{options.run} is a policy of chunks; those that were trained by isthmus-train can take over")
    teacher, student = load_run(options.run, options.task, options.robot).policy, load_chunk_run(begun_by).policy
    execution = usual_execution(student, options.seed)
    latest = max(1, round(options.begun_s / task.robot.control_period_s))

    def make_runner(env: Env) -> TakeOver:
        begins = network_runner(student, env, execution)
        return TakeOver(NetworkRunner(teacher, env), begins, env, latest)

    return make_runner


def record(options: Options, console: Console) -> None:
    """Raises ValueError, OSError and DatasetError."""
    playing = Playing(run=options.run, task=options.task, robot=options.robot, engine=options.engine, seed=options.seed)
    what = subject(playing)
    roll_out = _roll_out(options, what)
    fps = round(1.0 / what.task.robot.control_period_s)
    features, kind = dataset_features(what.task, options.images), what.task.robot.name
    with (
        DatasetWriter.create(options.dataset, fps=fps, features=features, robot_type=kind) as writer,
        Progress(console=console, transient=True) as progress,
    ):
        bar = progress.add_task("rolling out", total=options.episodes)
        for seed, acted in chosen(options, roll_out):
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
