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

from isthmus_policies.evaluation.evaluate import (
    Actor,
    Evaluation,
    GraphActor,
    Interval,
    PolicyActor,
    evaluate,
    open_graph,
)
from isthmus_policies.files import write_json
from isthmus_policies.training.trainer import load_policy
from isthmus_policies.training.worlds import make_task as configured_task
from isthmus_sim.offscreen import select_backend
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

EVALUATION_FILE, VIDEO_FILE = "evaluation.json", "video.mp4"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Evaluate a trained policy, or with --exported the graph that would run on the robot."""

    run: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of a run."""
    exported: Path | None = None
    """An exported policy file to evaluate instead: the graph itself, on its own memory."""
    task: str | None = None
    """Evaluate on this task instead of the one it was trained on."""
    engine: str | None = None
    """Name of the engine; by default the task's first one."""
    episodes: int = 500
    """Episodes, all with different starts."""
    seed: int = 20_000
    """Seed of the starts; training never uses it."""
    video: bool = True
    """Write a video of the first episode beside the numbers."""


def _subject(options: Options) -> tuple[Task, object, Path]:
    """The task to evaluate on, what makes the actor, and the folder for the results."""
    if (options.run is None) == (options.exported is None):
        raise ValueError("give either a run's folder or --exported FILE")
    if options.exported is not None:
        path = str(options.exported)
        trained_on = open_graph(path)[1].provenance.task
        return make_task(options.task or trained_on), lambda env: GraphActor(path, env), options.exported.parent
    assert options.run is not None
    config, policy, _ = load_policy(options.run)
    task = make_task(options.task) if options.task else configured_task(config)
    return task, lambda env: PolicyActor(policy, env), options.run


def table(score: Evaluation, title: str) -> Table:
    """The evaluation for a terminal."""

    def show(interval: Interval | None, form: str) -> tuple[str, str]:
        if interval is None:
            return "–", "no episode reached its end"
        low, value, high = (format(x, form) for x in interval)
        return value, f"{low} … {high}"

    result = Table(title=title, title_justify="left")
    for name, justify in (("", "left"), ("value", "right"), ("95 % interval", "right")):
        result.add_column(name, justify=justify)  # pyright: ignore[reportArgumentType]
    result.add_row("episodes that reach their end", *show(score.success, ".1%"))
    result.add_row("reward per episode", *show(score.total_reward, ".1f"))
    for name, interval in score.steady.items():
        result.add_row(f"{name}, steady", *show(interval, ".4f"))
    for name, interval in score.rmse.items():
        result.add_row(f"{name}, root mean square", *show(interval, ".4f"))
    return result


def play(options: Options, console: Console) -> Evaluation:
    """Evaluate and write evaluation.json and video.mp4. Raises ValueError, OSError."""
    task, make_actor, folder = _subject(options)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("evaluating", total=task.episode_steps)
        score = evaluate(
            task, make_actor, options.episodes, options.seed,  # pyright: ignore[reportArgumentType]
            engine=options.engine, on_step=lambda done, _: progress.update(bar, completed=done),
        )  # fmt: skip
    write_json(folder / EVALUATION_FILE, score)
    console.print(
        table(score, f"{options.exported or options.run} on {options.task or task.name}, {options.episodes} episodes")
    )
    if options.video:
        select_backend()
        from isthmus_policies.evaluation.video import (
            episode_video,  # imports the renderer: only after the backend is chosen
        )

        path = episode_video(task, make_actor, options.seed, folder / VIDEO_FILE)  # pyright: ignore[reportArgumentType]
        console.print(f"video: {path}")
    return score


def main() -> None:
    """Entry point of `isthmus-play`."""
    options = tyro.cli(Options, prog="isthmus-play")
    use_thread_budget()
    try:
        play(options, Console())
    except (ValueError, OSError) as error:
        sys.exit(f"isthmus-play: {error}")


__all__ = ["Actor", "main", "play"]

if __name__ == "__main__":
    main()
