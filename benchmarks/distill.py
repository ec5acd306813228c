"""`make bench-distill`: students of a trained chunk policy: what they keep of its score, and what they save.

Each teacher is a finished run for Push-T from the state. `isthmus-distill` trains a student of it by each way that it
knows, and one with a smaller network; a training that is in --keep already is not repeated. Teacher and students are
judged on the same episodes, which begin as gym-pusht's do with seeds 100000 to 100049, several times with other noise,
and compared start by start. The student that `isthmus-distill` makes by default, with two evaluations, is the one that
bounds judge: to pick the best one on the episodes that it is told of would be luck too.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args, get_type_hints

from common import BenchOptions, Row, Trained, over_seeds, parse, report, revisions, train

import numpy as np
from chunk_trials import (
    SEED,
    Decision,
    Vector,
    coverage_here,
    evaluations,
    gym_starts,
    in_turns,
    lost_rows,
    made_up,
    one_core,
    p50_p99,
    require_state,
    score_rows,
    with_settings,
)
from rich.console import Console

from isthmus_datasets.format.info import DatasetError
from isthmus_policies.chunks import distill
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.methods.few_step import FewStepConfig
from isthmus_policies.chunks.runner import Execution, usual_executor
from isthmus_policies.chunks.training.run import load_chunk_run
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

WAYS: tuple[str, ...] = get_args(get_type_hints(FewStepConfig)["way"])
"""All that a student can learn by."""
USUAL = FewStepConfig().way
JUDGED = 2
"""Evaluations of the student that bounds judge."""
TEACHER = "teacher"
CONTROL = f"teacher itself, {JUDGED}"
"""What as few evaluations give without any distillation, which a student has to be better than."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Distill teachers in every way, and compare."""

    teachers: tuple[Path, ...] = ()
    """Folders of finished runs, each another seed; they must observe nothing but the state. --quick makes one up."""
    evaluations: int | None = None
    """Evaluations that the teacher is judged with; by default as many as it is configured with."""
    ways: tuple[str, ...] = WAYS
    """Ways to learn."""
    counts: tuple[int, ...] = (1, 2)
    """Evaluations that students are judged with."""
    width: int | None = 128
    """Width of the smaller network, which learns as a student usually does; None: there is none."""
    training_steps: int = 4_000
    """Batches from which a student learns."""
    keep: Path = Path("runs/distill")
    """Folder of the students' runs."""
    repeats: int = 5
    """Times that each episode is judged, each with other noise."""
    episodes: int = 50
    """The first so many of the starts."""
    steps: int = 300
    """Control steps of an episode."""
    decisions: int = 2_000
    """Decisions whose time is measured."""


QUICK = Options(
    ways=WAYS[-1:], counts=(JUDGED,), evaluations=2, training_steps=5, repeats=1, episodes=2, steps=16, decisions=20
)


@dataclass(frozen=True, kw_only=True)
class Student:
    """One to train: what the table calls it, and what isthmus-distill is told."""

    name: str
    way: str
    width: int | None = None

    @property
    def judged(self) -> bool:
        """Whether it is the usual one."""
        return self.way == USUAL and self.width is None

    def command(self, teacher: Path, run: Path, steps: int) -> list[str]:
        """What trains it."""
        told = ["--method.way", self.way, "--learning.steps", str(steps), "--learning.warmup", str(min(500, steps))]
        told += [] if self.width is None else ["--width", str(self.width)]
        return [sys.executable, "-m", "isthmus_policies.chunks.distill", str(teacher), "--run", str(run), *told]


def students(options: Options) -> list[Student]:
    """One for each way, and a small one."""
    usual = [Student(name=way, way=way) for way in options.ways]
    if options.width is None:
        return usual
    return [*usual, Student(name=f"{USUAL}, width {options.width}", way=USUAL, width=options.width)]


def refusal(student: Student, teacher: Path) -> str | None:
    """Why this teacher cannot be learned from in this way; None where it can. Raises DatasetError where its data are
    not there."""
    asked = distill.Options(teacher=teacher, method=FewStepConfig(way=student.way), width=student.width)  # pyright: ignore[reportArgumentType]
    try:
        ChunkTrainer(distill.student_config(asked))
    except DatasetError:
        raise
    except ValueError as error:
        return str(error)
    return None


@dataclass(kw_only=True)
class Found:
    """What one policy came to, over all teachers.

    coverage: Greatest coverage of episodes, (episodes,) for each teacher and repeat.
    evaluations: Of a decision. times: Of decisions, ms, of the last one. trained: Of each; none of a teacher.
    seconds: That the training itself took.
    """

    judged: bool
    coverage: list[Vector] = field(default_factory=list)
    evaluations: int = 0
    times: Vector | None = None
    trained: list[Trained] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


Table = dict[str, Found]
"""What the table calls a policy -> what was found."""


def policies(options: Options, teacher: Path, table: Table, console: Console) -> Iterator[tuple[str, ChunkPolicy]]:
    """The teacher and its students, with each number of evaluations, and their rows of the table; students are trained
    where they are not there yet. Raises ValueError for a teacher that is not for Push-T's state."""
    run = load_chunk_run(teacher)
    require_state(run.policy, teacher)
    table.setdefault(TEACHER, Found(judged=False))
    yield TEACHER, with_settings(run, {} if options.evaluations is None else {"steps": options.evaluations})
    if run.config.method_name == "flow":
        table.setdefault(CONTROL, Found(judged=False))
        yield CONTROL, with_settings(run, {"steps": JUDGED})
    for student in students(options):
        if why := refusal(student, teacher):
            console.print(f"{teacher}, no student by {student.name}: {why}")
            continue
        folder = options.keep / f"{teacher.name}-{student.name.replace(', ', '-').replace(' ', '')}"
        trained = train(student.command(teacher, folder, options.training_steps), folder)
        learned = load_chunk_run(folder)
        for steps in options.counts:
            name = f"{student.name}, {steps}"
            found = table.setdefault(name, Found(judged=student.judged and steps == JUDGED))
            found.trained.append(trained)
            found.seconds.append(learned.facts["seconds"])
            yield name, with_settings(learned, {"steps": steps})


def measure(options: Options, teachers: tuple[Path, ...], console: Console) -> Table:
    """Train and judge everything, then time all decisions in turns."""
    table, decisions = Table(), dict[str, Decision]()
    task = gym_starts(options.episodes, options.steps)
    for teacher in teachers:
        for name, policy in policies(options, teacher, table, console):
            executor = usual_executor(policy.spec.horizon)
            for repeat in range(options.repeats):
                execution = Execution(executor=executor, seed=SEED + repeat)
                table[name].coverage.append(coverage_here(policy, task, options.episodes, execution))
            table[name].evaluations = evaluations(policy)
            if name not in decisions:
                decisions[name] = Decision(make_task("push_t"), policy, executor)
            console.print(f"{teacher}, {name}: judged")
    with one_core() as scheduled:
        console.print(f"timing {len(decisions)} graphs: {scheduled}")
        times = in_turns({name: (decision.graph, options.decisions) for name, decision in decisions.items()})
    for name, found in table.items():
        found.times = times[name]
    return table


def rows_of(table: Table) -> list[Row]:
    """Scores and times of all, and what students lose and save."""
    teacher, rows = table[TEACHER], []
    for name, found in table.items():
        rows += score_rows(name, np.stack(found.coverage))
        rows += time_rows(name, found, teacher)
        if found is not teacher:
            rows += kept_rows(name, found, teacher)
    return rows


def time_rows(name: str, found: Found, teacher: Found) -> list[Row]:
    """How long a decision takes."""
    assert found.times is not None
    assert teacher.times is not None
    (middle, late), (usual, _) = p50_p99(found.times), p50_p99(teacher.times)
    beside = None if found is teacher else f"{usual / middle:.1f} times as fast as the teacher"
    n = len(found.times)
    return [
        Row(metric=f"{name}: p50 of a decision", value=middle, unit="ms", seeds=n, peer=beside),
        Row(metric=f"{name}: p99 of a decision", value=late, unit="ms", seeds=n),
    ]


def kept_rows(name: str, found: Found, teacher: Found) -> list[Row]:
    """What a student loses and saves, and its training."""
    must, fewer = ("<= 3", ">= 10") if found.judged else (None, None)
    ratio = teacher.evaluations / found.evaluations
    words = f"teacher {teacher.evaluations}, here {found.evaluations}"
    rows = [
        *lost_rows(name, np.stack(teacher.coverage), np.stack(found.coverage), must),
        Row(metric=f"{name}: evaluations saved", value=ratio, unit="times fewer", must=fewer, peer=words),
    ]
    return [*rows, training_row(name, found)] if found.trained else rows


def training_row(name: str, found: Found) -> Row:
    """How long it was learned."""
    minutes = [seconds / 60 for seconds in found.seconds]
    whole = f"whole command {statistics.median(each.minutes for each in found.trained):.1f} min"
    return over_seeds(
        f"{name}: training", minutes, "min", peer="; ".join(filter(None, (whole, revisions(found.trained))))
    )


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if not options.teachers and not options.quick:
        sys.exit("bench-distill: --teachers RUN … says which; isthmus-train-chunks makes them")
    use_thread_budget()
    with tempfile.TemporaryDirectory() as temporary:
        folder, keep = Path(temporary), options.keep
        if options.quick:
            keep = folder / "students"
        teachers = options.teachers or (made_up(folder),)
        table = measure(replace(options, keep=keep), teachers, Console())
    return report("distill", rows_of(table), options)


if __name__ == "__main__":
    sys.exit(main())
