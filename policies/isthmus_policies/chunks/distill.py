"""`isthmus-distill RUN`: train a student that does in one or two evaluations what the run's policy does in many."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from isthmus_datasets.format.info import DatasetError
from isthmus_policies.chunks.denoisers.denoiser import DENOISERS
from isthmus_policies.chunks.methods.few_step import FewStepConfig
from isthmus_policies.chunks.training.command import finish
from isthmus_policies.chunks.training.config import AnyConfig, Learning
from isthmus_policies.chunks.training.run import load_chunk_run, newest_policy
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_sim.threads import use_thread_budget

PROGRAM = "isthmus-distill"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a student on what the teacher learned from. With the teacher's own denoiser it begins with its weights."""

    teacher: Annotated[Path, tyro.conf.Positional]
    """Run of the teacher, or one of its policies."""
    run: Path | None = None
    """Folder of the student's run; by default beside the teacher's, with -student and the time."""
    method: FewStepConfig = field(default_factory=FewStepConfig)
    denoiser: str | None = None
    """Registered name of the student's denoiser, with its default sizes; by default the teacher's own."""
    width: int | None = None
    """Width of that denoiser, where it has one: large to small."""
    learning: Learning = field(default_factory=lambda: Learning(steps=4_000, rate=3e-4))


def student_config(options: Options) -> AnyConfig:
    """The student's training: the teacher's, with another method. Raises ValueError and OSError."""
    teacher = newest_policy(options.teacher) if options.teacher.is_dir() else options.teacher
    config = load_chunk_run(teacher).config
    name = options.denoiser or config.denoiser_name
    denoiser: Any = config.denoiser if options.denoiser is None else DENOISERS[name].config
    if options.width is not None:
        if not hasattr(denoiser, "width"):
            raise ValueError(f"the denoiser {name!r} has no width; it has {', '.join(vars(denoiser))}")
        denoiser = replace(denoiser, width=options.width)
    method = replace(options.method, teacher=teacher.absolute())
    # Another seed would keep other episodes back, which the teacher has learned from.
    return replace(
        config, method_name="few_step", method=method, denoiser_name=name, denoiser=denoiser, learning=options.learning
    )


def main() -> None:
    """Entry point of `isthmus-distill`."""
    options = tyro.cli(Options, prog=PROGRAM)
    use_thread_budget()
    folder = options.run or options.teacher.with_name(
        f"{options.teacher.name}-student-{time.strftime('%Y%m%d-%H%M%S')}"
    )
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty; choose another --run")
        trainer = ChunkTrainer(student_config(options))
    except (DatasetError, ValueError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")
    sys.exit(finish(trainer, folder, Console(), PROGRAM))


if __name__ == "__main__":
    main()
