"""`isthmus-play RUN`: how well a policy does, with 95 % intervals, a video, and the numbers as JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from isthmus_policies.chunks.runner import Execution, executor_of, graph_runner, network_runner
from isthmus_policies.chunks.training.run import holds_chunks, load_chunk_run, task_of_run
from isthmus_policies.evaluation.evaluate import Evaluation, MakeRunner, evaluate
from isthmus_policies.evaluation.intervals import Interval
from isthmus_policies.evaluation.runners import GraphRunner, NetworkRunner, PolicyRunner, open_graph
from isthmus_policies.files import code_revision, plain, write_json
from isthmus_policies.training.run import load_run, task_of_contract
from isthmus_policies.training.worlds import robot_named
from isthmus_sim.env import Env
from isthmus_sim.rendering.renderer import NoRendererError
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

EVALUATION_FILE, VIDEO_FILE = "evaluation.json", "video.mp4"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Evaluate a trained policy on what it was trained on, or with --exported the graph that would run on the robot."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a run."""
    exported: Path | None = None
    """An exported policy file to evaluate instead: the graph itself, on its own memory."""
    task: str | None = None
    """Evaluate on this registered task with its default configuration, instead of the one it was trained on."""
    robot: str | None = None
    """Evaluate with this robot instead of its own: one that has cameras too, say. As isthmus-train --robot takes it."""
    engine: str | None = None
    """Name of the engine; by default the one it was trained in."""
    episodes: int = 500
    """Episodes, all with different starts."""
    seed: int = 20_000
    """Seed of the starts; training never uses it."""
    video: bool = True
    """Write a video of the first episodes beside the numbers."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is evaluated: a task by its registered name and as it was trained, what drives it, in which engine, and
    where results go."""

    name: str
    task: Task
    make_runner: MakeRunner
    engine: str
    folder: Path


def subject(options: Options) -> Subject:
    """What the options ask for. Raises ValueError and OSError."""
    if (options.run is None) == (options.exported is None):
        raise ValueError("give either a run's folder or --exported FILE")
    if options.exported is not None:
        if options.robot is not None:
            raise ValueError("an exported policy is for its own robot: leave out --robot")
        return _exported(options, options.exported)
    assert options.run is not None
    if holds_chunks(options.run):
        return _chunks(options, options.run)
    run = load_run(options.run, options.task, options.robot)
    return Subject(
        name=options.task or run.config.name,
        task=run.task,
        make_runner=lambda env: NetworkRunner(run.policy, env),
        engine=options.engine or run.engine,
        folder=options.run,
    )


def _exported(options: Options, path: Path) -> Subject:
    session, contract = open_graph(str(path))

    def runner(env: Env) -> PolicyRunner:
        if contract.chunk is not None:
            return graph_runner(session, contract, env)
        return GraphRunner(str(path), env)

    return Subject(
        name=options.task or contract.provenance.task,
        task=task_of_contract(contract, options.task),
        make_runner=runner,
        engine=options.engine or contract.provenance.engine,
        folder=path.parent,
    )


def _chunks(options: Options, folder: Path) -> Subject:
    run = load_chunk_run(folder)
    name = task_of_run(run, options.task)
    task = make_task(name, robot=robot_named(options.robot, name) if options.robot else None)
    execution = Execution(executor=executor_of(run.policy), seed=options.seed)
    return Subject(
        name=name,
        task=task,
        make_runner=lambda env: network_runner(run.policy, env, execution),
        engine=options.engine or task.engines[0],
        folder=folder,
    )


def table(score: Evaluation, title: str) -> Table:
    """The evaluation for a terminal."""

    def show(interval: Interval | None, form: str) -> tuple[str, str]:
        if interval is None:
            return "–", "no episode without a failure"
        low, value, high = (format(x, form) for x in interval)
        return value, f"{low} … {high}"

    result = Table(title=title, title_justify="left")
    for name, justify in (("", "left"), ("value", "right"), ("95 % interval", "right")):
        result.add_column(name, justify=justify)  # pyright: ignore[reportArgumentType]
    result.add_row(f"success ({score.success_is})", *show(score.success, ".1%"))
    result.add_row("failed", *show(score.failed, ".1%"))
    result.add_row("ran out of time", *show(score.timed_out, ".1%"))
    result.add_row("reward per episode", *show(score.total_reward, ".1f"))
    for title_of, values in (("steady", score.steady), ("root mean square", score.rmse), ("at the end", score.final)):
        for name, interval in values.items():
            result.add_row(f"{name}, {title_of}", *show(interval, ".4f"))
    return result


def surroundings_table(score: Evaluation) -> Table:
    """Success by kind of surroundings and level of difficulty."""
    result = Table(title=f"success ({score.success_is}) by kind and level, easiest first", title_justify="left")
    result.add_column("")
    for level in range(max(map(len, score.surroundings.values()))):
        result.add_column(str(level), justify="right")
    for kind, cells in score.surroundings.items():
        result.add_row(kind, *(f"{cell[1]:.0%}" if cell else "–" for cell in cells))
    return result


def play(options: Options, console: Console) -> Evaluation:
    """Evaluate and write evaluation.json (of another task than it was trained on, evaluation-TASK.json) and video.mp4.
    Raises ValueError, OSError."""
    what = subject(options)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("evaluating", total=what.task.episode_steps)
        score = evaluate(
            what.task, what.make_runner, options.episodes, options.seed,
            engine=what.engine, on_step=lambda done, _: progress.update(bar, completed=done),
        )  # fmt: skip
    file = EVALUATION_FILE if options.task is None else f"evaluation-{options.task}.json"
    write_json(what.folder / file, plain(score) | {"task": what.name, "code_revision": code_revision()})
    name = options.exported or options.run
    console.print(table(score, f"{name} on {score.robot} in {score.engine}, {options.episodes} episodes"))
    if score.surroundings:
        console.print(surroundings_table(score))
    if options.video:
        _film(what, options, console)
    return score


def _film(what: Subject, options: Options, console: Console) -> None:
    from isthmus_policies.evaluation.video import episode_video  # only who films needs the renderer

    try:
        path = episode_video(what.task, what.make_runner, options.seed, what.folder / VIDEO_FILE)
    except NoRendererError as error:
        console.print(f"no video: {error}", highlight=False)
        return
    console.print(f"video: {path}")


def main() -> None:
    """Entry point of `isthmus-play`."""
    options = tyro.cli(Options, prog="isthmus-play")
    use_thread_budget()
    try:
        play(options, Console())
    except (ValueError, OSError) as error:
        sys.exit(f"isthmus-play: {error}")


if __name__ == "__main__":
    main()
