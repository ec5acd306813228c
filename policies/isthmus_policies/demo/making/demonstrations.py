"""A policy that learns from demonstrations: they are gathered, a teacher learns from them, a student from the teacher.

As `isthmus-record` or `isthmus-dataset import`, `isthmus-train-chunks` and `isthmus-distill` do it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from isthmus_policies.chunks.distill import Options as Distilling
from isthmus_policies.chunks.distill import student_config
from isthmus_policies.chunks.training.command import train
from isthmus_policies.chunks.training.config import AnyConfig, RollOuts
from isthmus_policies.chunks.training.roll_outs import COLUMNS, check_task
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_policies.demo.making.gathering import Gathered, Wanted, check_given, gather
from isthmus_policies.demo.making.making import Order, changed_options
from isthmus_policies.demo.report.html import Fact
from isthmus_policies.demo.report.record import MADE, TEACHER, Demo
from isthmus_policies.files import plain, write_json

DATASET = "demonstrations"


@dataclass(frozen=True, kw_only=True)
class DemonstrationOptions:
    """What the policy learns from, and how long."""

    demonstrations: Path | None = None
    """A dataset's folder, or what isthmus-dataset imports, such as a zarr replay buffer; by default what make teleop
    recorded for the task, where that is enough, and otherwise what a script shows in simulation."""
    episodes: int = 120
    """How many a script shows."""
    steps: int = 5_000
    """Batches that the teacher learns from."""
    student_steps: int = 1_500
    """Batches that the student learns from."""
    tries: int = 50
    """Episodes in simulation in which teacher, student and the exported graph are tried, each."""


@dataclass(frozen=True, kw_only=True)
class FromDemonstrations:
    """A teacher and its student of two evaluations."""

    recipe: AnyConfig
    """How the teacher learns; its datasets, seed, number of steps and tries are put in."""
    student_rate: float = 3e-4
    """Learning rate of the student."""
    demonstrated: str | None = None
    """The registered task that a script demonstrates; by default the one that is asked for."""
    enough: int = 50
    """So many episodes by hand are taken rather than a script's."""
    options: DemonstrationOptions = field(default_factory=DemonstrationOptions)
    leaves: tuple[str, ...] = (DATASET, f".{DATASET}.frames", TEACHER, MADE)

    def check(self, options: DemonstrationOptions, out: Path) -> None:
        """Raise ValueError for numbers that cannot be, and for demonstrations that are not there or would be lost."""
        for name, least in _LEAST.items():
            if getattr(options, name) < least:
                raise ValueError(f"--{name.replace('_', '-')} must be at least {least}, not {getattr(options, name)}")
        if options.demonstrations is not None:
            check_given(options.demonstrations, out)

    def make(self, order: Order, options: DemonstrationOptions) -> bool:
        """Gather, train, distil. Raises DatasetError, RecordingError, NotANumber, ValueError, OSError."""
        wanted = Wanted(
            task=order.task, scripted=self.demonstrated or order.task, given=options.demonstrations,
            enough=self.enough, episodes=options.episodes,
            images=bool(self.recipe.cameras), seed=order.seed,
        )  # fmt: skip
        gathered = gather(wanted, order.out / DATASET, order.console)
        teacher = order.out / TEACHER
        order.console.print(f"the teacher learns from {gathered.episodes} episodes: {gathered.told}", soft_wrap=True)
        if not self._train(self._teacher(order, options, gathered), teacher, order):
            return False
        order.console.print("the student learns what the teacher does, in two evaluations", soft_wrap=True)
        if not self._train(self._student(teacher, options), order.run, order):
            return False
        write_json(order.out / MADE, {"demonstrations": plain(gathered), "options": plain(options)})
        return True

    def _train(self, config: AnyConfig, folder: Path, order: Order) -> bool:
        trainer = ChunkTrainer(config)
        check_task(trainer.policy, config.roll_outs)
        return train(trainer, folder, order.console)

    def _teacher(self, order: Order, options: DemonstrationOptions, gathered: Gathered) -> AnyConfig:
        learning = replace(self.recipe.learning, steps=options.steps, warmup=_warmup(self.recipe, options.steps))
        tries = RollOuts(task=order.trained, every=max(options.steps, options.student_steps), episodes=options.tries)
        return replace(
            self.recipe, datasets=(gathered.folder.absolute(),), seed=order.seed, learning=learning, roll_outs=tries,
            validation=max(self.recipe.validation, 1 / gathered.episodes),
        )  # fmt: skip

    def _student(self, teacher: Path, options: DemonstrationOptions) -> AnyConfig:
        steps = options.student_steps
        learning = replace(
            self.recipe.learning, steps=steps, rate=self.student_rate, warmup=_warmup(self.recipe, steps)
        )
        return student_config(Distilling(teacher=teacher, learning=learning))

    def exporting(self, options: DemonstrationOptions) -> tuple[object, ...]:
        """The graph is tried as often as the policy was."""
        return ("--episodes", options.tries)

    def facts(self, demo: Demo) -> list[Fact]:
        """What it learned from, how long that took, and what the student kept."""
        return [_gathered(demo), _training(demo), _kept(demo)]

    def again(self, demo: Demo) -> str:
        """The options that were not left as they are."""
        return changed_options(self.options, demo)


_LEAST = {"episodes": 2, "steps": 1, "student_steps": 1, "tries": 2}


def _warmup(recipe: AnyConfig, steps: int) -> int:
    """The recipe's warm-up, but at most a tenth of the steps."""
    return min(recipe.learning.warmup, steps // 10)


def _gathered(demo: Demo) -> Fact:
    found = demo.made.get("demonstrations")
    if not found:
        return Fact(label="Demonstrations", value="not recorded", detail="the policy was not made here")
    minutes = found["steps"] / found["fps"] / 60
    done = f"; {found['succeeded']} of them did the task" if found["succeeded"] is not None else ""
    return Fact(
        label="Demonstrations",
        value=f"{found['episodes']} episodes",
        detail=f"{found['told']}, {minutes:.0f} min{done}",
    )


def _training(demo: Demo) -> Fact:
    runs = [rows for rows in (demo.teacher, demo.metrics) if rows]
    if not runs:
        return Fact(label="Training", value="not recorded", detail="the run holds no metrics.csv")
    seconds = sum(rows[-1]["seconds"] for rows in runs)
    told = [f"{name} {rows[-1]['steps']:.0f} steps" for name, rows in _runs(demo).items()]
    return Fact(label="Training", value=f"{seconds:.1f} s", detail=", ".join(told))


def _runs(demo: Demo) -> dict[str, Any]:
    student = "student" if demo.teacher else "policy"
    return ({"teacher": demo.teacher} if demo.teacher else {}) | ({student: demo.metrics} if demo.metrics else {})


def _kept(demo: Demo) -> Fact:
    """The student's success as a share of the teacher's, both in simulation."""
    label = "Kept by the student"
    tried = {name: success(rows) for name, rows in _runs(demo).items()}
    teacher, student = tried.get("teacher"), tried.get("student")
    if teacher is None or student is None:
        return Fact(label=label, value="not known", detail="teacher and student were not both tried in simulation")
    detail = f"the teacher succeeds in {_told(teacher)}, the student in {_told(student)} of its tries in simulation"
    share = f"{100 * student[0] / teacher[0]:.0f} %" if teacher[0] else "nothing to keep"
    return Fact(label=label, value=share, detail=detail)


def success(rows: list[dict[str, float]]) -> tuple[float, float, float] | None:
    """Success of the last try of a run, and the interval's ends, from 0 to 1; None where it was never tried."""
    tried = [row for row in rows if COLUMNS[0] in row]
    if not tried:
        return None
    found, low, high = (tried[-1][name] for name in COLUMNS)
    return found, low, high


def _told(share: tuple[float, float, float]) -> str:
    found, low, high = (100 * each for each in share)
    return f"{found:.0f} % (95 %: {low:.0f} to {high:.0f} %)"
