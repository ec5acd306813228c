"""The command line of `isthmus-demo`: what is demonstrated, and how."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import tyro

from isthmus_policies.chunks.training.run import holds_chunks, load_chunk_run
from isthmus_policies.demo.kinds import demo_kind, demo_tasks
from isthmus_policies.demo.report.kind import DemoKind
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint
from isthmus_policies.training.config import config_from_json

_FIRST = "quadrotor"

Plan = TypeVar("Plan")
Way = TypeVar("Way")


@dataclass(frozen=True, kw_only=True)
class Options(Generic[Plan, Way]):
    """Make a policy in simulation or from demonstrations, export it, let it drive a stand-in robot over ROS 2, write a
    report.

    --task names any registered task with a mission, such as quadrotor, biped or push_t; by default it is that of --run,
    or else quadrotor. Each mission has a plan of its own, and each way to a policy its own options. Exits with 0 when
    it succeeded, 1 when something failed, 2 when ROS 2 is missing, 130 when interrupted.
    """

    out: Path
    """Folder of the results; those of an earlier demo in it are replaced."""
    run: Path | None = None
    """Folder of a finished training run, to take its policy instead of training one."""
    seed: int = 0
    """Seed of the training."""
    robot_seed: int = 1
    """Seed of the stand-in robot's hidden body."""
    echo_s: float = 5.0
    """How long to measure the bare echo, s."""
    plan: Plan
    """What is asked of the robot."""
    making: Annotated[Way, tyro.conf.arg(name="")]
    """How the policy is made."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is demonstrated: a task by its registered name, and how."""

    task: str
    kind: DemoKind


def parse(arguments: list[str]) -> tuple[Choice, Options]:
    """The command line. A task without a mission or that is not the run's, and an unknown option, end the program with
    what is valid."""
    parser = argparse.ArgumentParser(prog="isthmus-demo", add_help=False, allow_abbrev=False)
    parser.add_argument("--task")
    chosen, rest = parser.parse_known_args(arguments)
    look = argparse.ArgumentParser(prog="isthmus-demo", add_help=False, allow_abbrev=False)
    look.add_argument("--run", type=Path)
    look.parse_known_args(rest, chosen)  # it stays among the other options
    try:
        choice = _choice(chosen.task, chosen.run)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    task, kind = choice.task, choice.kind
    folder = Path("runs") / ("demo" if task == _FIRST else f"demo-{task}")
    options = tyro.cli(
        Options[kind.plan, type(kind.making.options)],  # pyright: ignore[reportInvalidTypeArguments]
        args=rest, prog=f"isthmus-demo --task {task}",
        default=Options(out=folder, plan=kind.plan(), making=kind.making.options),
        description=f"{Options.__doc__} Tasks with a mission: {', '.join(demo_tasks())}.",
    )  # fmt: skip
    if options.run is not None and options.run.resolve().is_relative_to(options.out.resolve()):
        parser.error(f"--run {options.run} lies in {options.out}, which is emptied first: choose another --out")
    try:
        kind.making.check(options.making, options.out)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return choice, options


def _choice(task: str | None, run: Path | None) -> Choice:
    """What is demonstrated: by default what the run was trained for, or else a quadrotor.

    Raises ValueError where the task has no mission or the run is another task's, OSError where the run cannot be read.
    """
    if run is not None and holds_chunks(run):
        return _choice_of_chunks(task, run)
    trained = None if run is None else config_from_json(load_checkpoint(run / CHECKPOINT)[1]["config"]).name
    if task is None:
        task = _FIRST if trained is None else _asked_for(trained)
    kind = demo_kind(task)
    if trained not in (None, task, kind.trained(task)):
        raise ValueError(
            f"{run} was trained on the task {trained!r}, not on {task!r}: choose another --run, or leave out --task"
        )
    return Choice(task=task, kind=kind)


def _choice_of_chunks(task: str | None, run: Path) -> Choice:
    """Demonstrations know no task: what is demonstrated is what is asked for, or what the policy was tried on. Whether
    it fits the robot, the export sees."""
    tried = load_chunk_run(run).config.roll_outs.task
    if task is None and tried is None:
        raise ValueError(f"{run} was not tried on a task in training: say which one is meant, with --task")
    task = task or _asked_for(str(tried))
    return Choice(task=task, kind=demo_kind(task))


def _asked_for(trained: str) -> str:
    """The task that one asks for to have `trained` trained: of most tasks the same."""
    return next((task for task in demo_tasks() if demo_kind(task).trained(task) == trained), trained)
