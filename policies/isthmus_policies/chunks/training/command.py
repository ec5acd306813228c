"""`isthmus-train-chunks DATASET`: train a chunk policy from demonstrations."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from isthmus_datasets.format.info import DatasetError
from isthmus_deploy.timing.machine_load import machine_load
from isthmus_policies.chunks.chunk_policy import CHUNK_POLICIES
from isthmus_policies.chunks.denoisers.denoiser import DENOISERS
from isthmus_policies.chunks.training.config import AnyConfig, config_from_json, config_type, default_config
from isthmus_policies.chunks.training.roll_outs import COLUMNS, check_task, roll_out
from isthmus_policies.chunks.training.run import policy_files
from isthmus_policies.chunks.training.trainer import ChunkTrainer, NotANumber
from isthmus_policies.files import write_json
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint
from isthmus_policies.training.logs import Log, read_metrics
from isthmus_policies.training.stop_request import StopRequest
from isthmus_sim.threads import use_thread_budget

PROGRAM = "isthmus-train-chunks"
LOG_EVERY = 100
"""Steps whose mean loss is a row of the log."""
ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True, kw_only=True)
class Options(Generic[ConfigT]):
    """Train a policy of chunks from demonstrations. Ctrl-C stops after the current step and leaves a checkpoint to go
    on from."""

    config: Annotated[ConfigT, tyro.conf.arg(name="")]
    run: Path | None = None
    """Folder of the run; by default runs/chunks/DATASET-METHOD-DATE-TIME-seedN."""
    begin_with: Path | None = None
    """A run whose newest policy it begins with, or one of a run's policies: of the same method, network and columns."""
    resume: bool = False
    """Go on from the checkpoint in --run, with the configuration it was started with. Only checkpoint-every, keep and
    torch-threads may change."""


def parse(arguments: list[str]) -> Options[AnyConfig]:
    """The command line. What cannot be is a ValueError; an unknown option ends the program with the valid ones."""
    names = argparse.ArgumentParser(prog=PROGRAM, add_help=False, allow_abbrev=False)
    names.add_argument("--method", choices=list(CHUNK_POLICIES))
    names.add_argument("--denoiser", choices=list(DENOISERS))
    names.add_argument("--run", type=Path)
    names.add_argument("--resume", action="store_true")
    chosen, rest = names.parse_known_args(arguments)  # --run and --resume become the defaults of theirs
    config = _stored(chosen) if chosen.resume else _default(chosen)
    kind = config_type(config.method_name, config.denoiser_name)
    about = (
        f"{Options.__doc__} --method chooses among {', '.join(CHUNK_POLICIES)} (here {config.method_name}); "
        f"--denoiser among {', '.join(DENOISERS)} (here {config.denoiser_name})."
    )
    options = tyro.cli(
        Options[kind],
        args=rest,
        prog=PROGRAM,
        description=about,
        default=Options(config=config, run=chosen.run, resume=chosen.resume),
        config=(tyro.conf.AvoidSubcommands,),
    )
    absolute = tuple(path.absolute() for path in options.config.datasets)  # the run will be read from other folders
    return replace(options, config=replace(options.config, datasets=absolute))


def _default(chosen: argparse.Namespace) -> AnyConfig:
    return default_config((Path("DATASET"),), chosen.method or "flow", chosen.denoiser or "mlp")


def _stored(chosen: argparse.Namespace) -> AnyConfig:
    """The configuration of the run to go on with."""
    if chosen.run is None:
        raise ValueError("--resume needs --run FOLDER: the run to go on with")
    config = config_from_json(load_checkpoint(chosen.run / CHECKPOINT)[1]["config"])
    for what, asked, is_ in (
        ("method", chosen.method, config.method_name), ("denoiser", chosen.denoiser, config.denoiser_name)
    ):  # fmt: skip
        if asked not in (None, is_):
            raise ValueError(f"{chosen.run} is a run of the {what} {is_!r}, not {asked!r}")
    return config


def train(trainer: ChunkTrainer, folder: Path, console: Console) -> bool:
    """Run `trainer` to its end in `folder`. False when it was stopped before. Raises NotANumber, OSError."""
    config = trainer.config
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    log = Log(folder, ("iteration", "steps", "seconds", "loss", "validation", *COLUMNS), trainer.steps)
    columns = (TextColumn("[bold]training[/]"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with StopRequest() as stop, Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        bar = progress.add_task("", total=config.learning.steps, completed=trainer.steps)
        while trainer.steps < config.learning.steps and not stop.anywhere():
            losses = _some_steps(trainer, stop)
            row = {"iteration": trainer.steps - 1, "steps": trainer.steps, "loss": sum(losses) / len(losses)}
            progress.update(bar, completed=trainer.steps, description=f"loss {row['loss']:.4f}")
            log.write(row | {"seconds": trainer.seconds} | _judged(trainer, folder))
        trainer.save(folder)
    log.close()
    return trainer.steps >= config.learning.steps


def _some_steps(trainer: ChunkTrainer, stop: StopRequest) -> list[float]:
    """Losses of the steps up to the next row of the log."""
    trainer.suit_threads()
    losses = [trainer.step()]
    while trainer.steps % LOG_EVERY and trainer.steps < trainer.config.learning.steps and not stop.asked:
        losses.append(trainer.step())
    return losses


def _judged(trainer: ChunkTrainer, folder: Path) -> dict[str, float]:
    """Save where it is time to, and then judge: what was found."""
    config, found = trainer.config, {}
    at_end = trainer.steps >= config.learning.steps
    if trainer.steps % config.checkpoint_every == 0 or at_end:
        trainer.save(folder)
        found["validation"] = trainer.validate()
    if config.roll_outs.task and (trainer.steps % config.roll_outs.every == 0 or at_end):
        with trainer.averaged():
            found |= roll_out(trainer.policy, config.roll_outs)
    return found


def _say_how_good(folder: Path, config: AnyConfig, console: Console) -> None:
    """The last tries, all of them: the best of many is best by chance too."""
    rows = [row for row in read_metrics(folder) if COLUMNS[0] in row][-config.keep :]
    for row in rows:
        console.print(
            f"  step {row['steps']:.0f}: success {row['roll_out/success']:.1%} "
            f"({row['roll_out/success_low']:.1%} to {row['roll_out/success_high']:.1%}) "
            f"of {config.roll_outs.episodes} episodes"
        )
    if rows:
        mean = sum(row["roll_out/success"] for row in rows) / len(rows)
        console.print(f"  the last {len(rows)} together: success {mean:.1%}")


def _trainer(options: Options[AnyConfig]) -> tuple[ChunkTrainer, Path]:
    config = options.config
    name = f"{config.datasets[0].name}-{config.method_name}-{time.strftime('%Y%m%d-%H%M%S')}-seed{config.seed}"
    folder = options.run or Path("runs") / "chunks" / name
    if options.resume:
        if options.begin_with is not None:
            raise ValueError("a run goes on with its own weights: leave out --begin-with or --resume")
        return ChunkTrainer.resume(folder, config), folder
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; choose another --run, or go on with it: --resume")
    trainer = ChunkTrainer(config)
    if options.begin_with is not None:
        trainer.begin_with(options.begin_with)
    return trainer, folder


def finish(trainer: ChunkTrainer, folder: Path, console: Console, program: str) -> int | str:
    """Train to the end, or until Ctrl-C, and say how good the policy is; what the program exits with."""
    if note := machine_load(own=1).speed_note():
        console.print(note, soft_wrap=True)
    try:
        finished = train(trainer, folder, console)
    except (NotANumber, OSError) as error:
        kept = policy_files(folder)
        return f"{program}: {error}{f'; the newest policy is {kept[-1]}' if kept else ''}"
    console.print(f"{trainer.steps} steps in {trainer.seconds:.1f} s → [bold]{folder}[/]")
    _say_how_good(folder, trainer.config, console)
    if finished:
        return 0
    console.print(f"stopped at step {trainer.steps}; go on with: {PROGRAM} --run {folder} --resume")
    return 130


def main() -> None:
    """Entry point of `isthmus-train-chunks`."""
    console = Console()
    try:
        options = parse(sys.argv[1:])
        use_thread_budget()
        trainer, folder = _trainer(options)
        check_task(trainer.policy, trainer.config.roll_outs)
    except (DatasetError, ValueError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")
    sys.exit(finish(trainer, folder, console, PROGRAM))


if __name__ == "__main__":
    main()
