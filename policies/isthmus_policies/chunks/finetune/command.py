"""`isthmus-finetune RUN`: let a chunk policy go on learning in simulation."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from isthmus_deploy.timing.machine_load import machine_load
from isthmus_policies.chunks.finetune.config import FinetuneConfig
from isthmus_policies.chunks.finetune.trainer import Finetuner, stored_config
from isthmus_policies.chunks.training.roll_outs import COLUMNS
from isthmus_policies.chunks.training.run import policy_files
from isthmus_policies.chunks.training.trainer import NotANumber
from isthmus_policies.files import write_json
from isthmus_policies.training.logs import Log
from isthmus_policies.training.stop_request import StopRequest
from isthmus_sim.threads import use_thread_budget

PROGRAM = "isthmus-finetune"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say what goes on learning, and where the run is kept."""

    config: Annotated[FinetuneConfig, tyro.conf.arg(name="")]
    run: Path | None = None
    """Folder of the run; by default beside the policy's, with -finetuned and the time."""
    resume: bool = False
    """Go on from the checkpoint in --run. Only iterations, checkpoint-every, keep and torch-threads may change."""


def parse(arguments: list[str]) -> Options:
    """The command line. What cannot be is a ValueError; an unknown option ends the program with the valid ones."""
    look = argparse.ArgumentParser(prog=PROGRAM, add_help=False, allow_abbrev=False)
    look.add_argument("--run", type=Path)
    look.add_argument("--resume", action="store_true")
    chosen, rest = look.parse_known_args(arguments)
    if chosen.resume and chosen.run is None:
        raise ValueError("--resume needs --run FOLDER: the run to go on with")
    config = stored_config(chosen.run) if chosen.resume else FinetuneConfig(policy=Path("RUN"))
    options = tyro.cli(
        Options,
        args=rest,
        prog=PROGRAM,
        description=FinetuneConfig.__doc__,
        default=Options(config=config, run=chosen.run, resume=chosen.resume),
    )
    absolute = options.config.policy.absolute()  # the run may be gone on with from another folder
    return replace(options, config=replace(options.config, policy=absolute))


def finetune(tuner: Finetuner, folder: Path, console: Console) -> bool:
    """Run to the end in `folder`. False when it was stopped before. Raises NotANumber, OSError."""
    config = tuner.config
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    log = Log(folder, (*tuner.columns, *COLUMNS), tuner.iteration)
    columns = (TextColumn("[bold]fine-tuning[/]"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with StopRequest() as stop, Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        bar = progress.add_task("", total=config.iterations, completed=tuner.iteration)
        while tuner.iteration < config.iterations and not stop.anywhere():
            row = tuner.iterate()
            succeeded = f"{row['episode/succeeded']:.0%}" if "episode/succeeded" in row else "no"
            progress.update(bar, completed=tuner.iteration, description=f"{succeeded} of the episodes succeed")
            log.write(row | _kept_and_judged(tuner, folder, console))
        tuner.save(folder)
    log.close()
    return tuner.iteration >= config.iterations


def _kept_and_judged(tuner: Finetuner, folder: Path, console: Console) -> dict[str, float]:
    """Save where it is time to, and judge where it is: what was found."""
    config, at_end = tuner.config, tuner.iteration >= tuner.config.iterations
    if tuner.iteration % config.checkpoint_every == 0:
        tuner.save(folder)
    if tuner.iteration % config.judge_every and not at_end:
        return {}
    low, mean, high = tuner.judge().success
    console.print(
        f"  iteration {tuner.iteration}, {tuner.seconds:.0f} s: success {mean:.1%} ({low:.1%} to {high:.1%}) of "
        f"{config.episodes} episodes"
    )
    return dict(zip(COLUMNS, (mean, low, high), strict=True))


def _tuner(options: Options) -> tuple[Finetuner, Path]:
    policy = options.config.policy
    folder = options.run or policy.with_name(f"{policy.stem}-finetuned-{time.strftime('%Y%m%d-%H%M%S')}")
    if options.resume:
        return Finetuner.resume(folder, options.config), folder
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; choose another --run, or go on with it: --resume")
    return Finetuner(options.config), folder


def main() -> None:
    """Entry point of `isthmus-finetune`."""
    console = Console()
    try:
        options = parse(sys.argv[1:])
        use_thread_budget()
        tuner, folder = _tuner(options)
    except (ValueError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")
    if note := machine_load(own=1).speed_note():
        console.print(note, soft_wrap=True)
    try:
        finished = finetune(tuner, folder, console)
    except (NotANumber, OSError) as error:
        kept = policy_files(folder)
        sys.exit(f"{PROGRAM}: {error}{f'; the newest policy is {kept[-1]}' if kept else ''}")
    finally:
        tuner.close()
    console.print(f"{tuner.iteration} iterations, {tuner.steps} steps in {tuner.seconds:.1f} s → [bold]{folder}[/]")
    if not finished:
        console.print(f"stopped at iteration {tuner.iteration}; go on with: {PROGRAM} --run {folder} --resume")
        sys.exit(130)


if __name__ == "__main__":
    main()
