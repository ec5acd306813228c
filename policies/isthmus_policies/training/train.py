"""`isthmus-train TASK`: train a policy in simulation."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from isthmus_deploy.timing.machine_load import machine_load
from isthmus_policies import distributed
from isthmus_policies.algorithms.algorithm import LearningError
from isthmus_policies.files import write_json
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.diverged import DivergedError
from isthmus_policies.training.logs import Log
from isthmus_policies.training.options import Options, parse
from isthmus_policies.training.stop_request import StopRequest
from isthmus_policies.training.trainer import Trainer, learning_threads
from isthmus_policies.training.worlds import robot_remarks
from isthmus_sim.threads import use_thread_budget


def train(trainer: Trainer, folder: Path, console: Console | None = None) -> bool:
    """Run `trainer` to its end in `folder`, with logs and checkpoints. False when it was stopped before the end.
    Raises DivergedError, LearningError and OSError."""
    config, console = trainer.config, console or Console()
    if note := machine_load(own=distributed.size()).speed_note():
        console.print(note, soft_wrap=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    log = Log(folder, trainer.columns, trainer.iteration)
    columns = (
        TextColumn("[bold]training[/]"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with StopRequest() as stop, Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=config.iterations, completed=trainer.iteration)
        while trainer.iteration < config.iterations and not stop.anywhere():
            row = trainer.iterate()
            log.write(row)
            trainer.dump_diverged(folder)
            progress.update(bar, completed=trainer.iteration, description=_line(row))
            if trainer.iteration % config.checkpoint_every == 0:
                trainer.save(folder)
        trainer.save(folder)
    log.close()
    return trainer.iteration >= config.iterations


def follow(trainer: Trainer, folder: Path) -> bool:
    """`train` in the processes that do not lead: the same iterations and checkpoints, nothing printed or logged."""
    with StopRequest() as stop:
        while trainer.iteration < trainer.config.iterations and not stop.anywhere():
            trainer.iterate()
            trainer.dump_diverged(folder)
            if trainer.iteration % trainer.config.checkpoint_every == 0:
                trainer.save(folder)
        trainer.save(folder)
    return trainer.iteration >= trainer.config.iterations


def _line(row: dict[str, float]) -> str:
    rate = row["steps"] / max(row["seconds"], 1e-9)
    episode = (
        f"episode {row['episode/length']:5.1f} steps, return {row['episode/return']:7.1f}"
        if "episode/length" in row
        else ""
    )
    return f"{row['steps'] / 1e6:5.2f}M steps  {rate / 1e3:4.0f}k/s  {episode}"


def _trainer(options: Options, console: Console) -> tuple[Trainer, Path]:
    config = options.config
    began = torch.tensor(time.time(), dtype=torch.float64, device="cpu")
    distributed.copy_first_(began)  # one folder for all processes
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(float(began)))
    folder = options.run or Path("runs") / config.name / f"{stamp}-seed{config.seed}"
    if options.resume:
        _say_if_threads_differ(folder, config, console)
        return Trainer.resume(folder, config), folder
    if distributed.leads() and folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; choose another --run, or go on with it: --resume")
    return Trainer(config), folder


def _say_if_threads_differ(folder: Path, config: TrainConfig[Any, Any, Any], console: Console) -> None:
    before, now = load_checkpoint(folder / CHECKPOINT)[1]["threads"], learning_threads(config)
    if before != now:
        console.print(
            f"note: torch had {before} threads and has {now} now: the run goes on, but not bit for bit as it would have"
        )


def main() -> None:
    """Entry point of `isthmus-train`."""
    try:
        options = parse(sys.argv[1:])
        use_thread_budget()
        distributed.start()
        console = Console(quiet=not distributed.leads())
        for remark in robot_remarks(options.config):
            console.print(f"robot: {remark}", highlight=False)
        trainer, folder = _trainer(options, console)
        if not trainer.keeps_worlds:
            console.print("note: this engine cannot save its worlds: a run that is gone on with begins new episodes")
    except (ValueError, OSError) as error:
        sys.exit(f"isthmus-train: {error}")
    try:
        with closing(trainer):
            finished = train(trainer, folder, console) if distributed.leads() else follow(trainer, folder)
    except (DivergedError, LearningError, OSError) as error:
        sys.exit(f"isthmus-train: {error}")
    console.print(f"{trainer.steps / 1e6:.2f}M steps in {trainer.seconds:.1f} s → [bold]{folder}[/]")
    if not finished:
        console.print(
            f"stopped at iteration {trainer.iteration}; go on with: "
            f"isthmus-train {trainer.config.name} --run {folder} --resume"
        )
        sys.exit(130)
    console.print(f"next: isthmus-play {folder}   ·   isthmus-export {folder}")


if __name__ == "__main__":
    main()
