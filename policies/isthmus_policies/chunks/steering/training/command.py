"""`isthmus-train-scorer DATASET --run DIR`: train what tells good chunks from bad ones, from successes and failures."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import track

from isthmus_datasets.format.info import DatasetError
from isthmus_policies.chunks.steering.training.config import ScorerConfig
from isthmus_policies.chunks.steering.training.run import FILE
from isthmus_policies.chunks.steering.training.trainer import ScorerTrainer
from isthmus_policies.chunks.training.trainer import NotANumber
from isthmus_sim.threads import use_thread_budget

PROGRAM = "isthmus-train-scorer"
_MEAN_OF = 100  # steps: the loss that is told at the end


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a scorer of chunks from demonstrations that are told to be successes or failures. A run takes minutes and
    cannot be resumed."""

    config: Annotated[ScorerConfig, tyro.conf.arg(name="")]
    run: Path
    """Folder of the run."""


def train(options: Options, console: Console) -> str:
    """Train to the end and save; a line that says what there is now. Raises DatasetError, ValueError, NotANumber,
    OSError."""
    if options.run.exists() and any(options.run.iterdir()):
        raise ValueError(f"{options.run} is not empty; choose another --run")
    absolute = tuple(path.absolute() for path in options.config.datasets)  # the run will be read from other folders
    trainer = ScorerTrainer(replace(options.config, datasets=absolute))
    steps = track(range(options.config.steps), "training", console=console, disable=not console.is_terminal)
    losses = [trainer.step() for _ in steps][-_MEAN_OF:]
    trainer.save(options.run)
    mean = sum(losses) / len(losses)
    return f"{trainer.steps} steps in {trainer.seconds:.1f} s, loss {mean:.4f} → {options.run / FILE}"


def main() -> None:
    """Entry point of `isthmus-train-scorer`."""
    console = Console()
    try:
        options = tyro.cli(Options, prog=PROGRAM)
        use_thread_budget()
        console.print(train(options, console), highlight=False, soft_wrap=True)
    except (DatasetError, ValueError, NotANumber, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
