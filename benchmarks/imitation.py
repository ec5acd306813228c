"""`make bench-imitation`: a policy that sees learns from one that knows: an arm reaches a cube.

The teacher learned by reward, from its joints and the cube's true place (`isthmus-train`). The student sees one camera
of 64×64 pixels and reads the joints (`isthmus-imitate`): first it learns from the teacher's episodes, then from how the
teacher goes on from where the student has come to. Both are tried in the same episodes, whose looks neither has seen,
and so is the student before it began itself: what demonstrations alone give.
"""

from __future__ import annotations

import math
import shlex
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from common import BenchOptions, Row, Trained, over_seeds, parse, report, revisions, train, training

from rich.console import Console

from isthmus_policies.chunks.training.roll_outs import judged
from isthmus_policies.chunks.training.run import load_chunk_run
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.training.run import load_run
from isthmus_sim.threads import use_thread_budget

TASK = "reach_cube"
EVALUATION_SEED = 88_000
TOLD = ("--policy", "mlp", "--robot", "so101", "--policy.actor-groups", "actor", "cube")
"""How `isthmus-train` makes a teacher that knows where the cube is, and trains it without drawing images."""
SEES = "so101_camera"
"""The student's robot: the same arm with a camera."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Train teachers and their students with several seeds, and try them."""

    seeds: tuple[int, ...] = (611, 612, 613)
    """Training seeds."""
    iterations: int | None = None
    """Iterations of a teacher's training instead of the task's."""
    student: str = ""
    """More options of isthmus-imitate, such as --student="--rounds 3"."""
    episodes: int = 300
    """So many has a trial."""
    keep: Path | None = None
    """Folder in which the runs are kept, by default nowhere. Those that are there already are not trained again."""


QUICK = Options(
    seeds=(611,), iterations=1, episodes=2,
    student="--rounds 1 --episodes 2 --learning.steps 2 --tries 2 --worlds 2 --no-only-success",
)  # fmt: skip


@dataclass(kw_only=True)
class Found:
    """Success in %, and minutes, seed by seed."""

    teacher: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    """The student's before it began itself."""
    student: list[float] = field(default_factory=list)
    trainings: tuple[list[Trained], list[Trained]] = field(default_factory=lambda: ([], []))
    """The teacher's and the student's."""


def teach(options: Options, seed: int, keep: Path) -> tuple[Path, Trained]:
    """The teacher's run."""
    folder = keep / f"teacher-{seed}"
    return folder, train([*training(TASK, seed, folder, options.iterations), *TOLD], folder)


def imitate(options: Options, seed: int, teacher: Path, keep: Path) -> tuple[Path, Trained]:
    """The student's run."""
    folder = keep / f"student-{seed}"
    module = "isthmus_policies.chunks.imitate"
    command = [sys.executable, "-m", module, str(teacher), "--run", str(folder), "--seed", str(seed)]
    command += ["--robot", SEES]
    command += shlex.split(options.student)
    return folder, train(command, folder)


def try_teacher(folder: Path, episodes: int) -> float:
    """Success in %."""
    run = load_run(folder)
    score = evaluate(run.task, lambda env: NetworkRunner(run.policy, env), episodes, EVALUATION_SEED, engine=run.engine)
    return 100 * score.success[1]


def try_student(folder: Path, episodes: int) -> float:
    """Success in %."""
    return 100 * judged(load_chunk_run(folder).policy, TASK, episodes, EVALUATION_SEED).success[1]


def rows_of(found: Found) -> list[Row]:
    """What the student keeps of the teacher's success, and how long it all took."""
    pairs = zip(found.student, found.teacher, strict=True)
    kept = [100 * student / teacher if teacher else math.inf for student, teacher in pairs]
    teachers, students = ([each.minutes for each in trainings] for trainings in found.trainings)
    return [
        over_seeds("success, teacher that is told the cube's place", found.teacher, "%"),
        over_seeds("success, student from the camera", found.student, "%"),
        over_seeds("the same before it began itself", found.shown, "%"),
        over_seeds("student beside teacher", kept, "%", must=">= 85", aim=">= 95"),
        over_seeds("training the teacher", teachers, "min", peer=revisions(found.trainings[0])),
        over_seeds("training the student", students, "min", peer=revisions(found.trainings[1])),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    console, found = Console(), Found()
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            keep = options.keep or Path(temporary)
            teacher, taught = teach(options, seed, keep)
            student, learned = imitate(options, seed, teacher, keep)
            found.teacher.append(try_teacher(teacher, options.episodes))
            found.shown.append(try_student(student / "rounds" / "0", options.episodes))
            found.student.append(try_student(student, options.episodes))
        for trainings, trained in zip(found.trainings, (taught, learned), strict=True):
            trainings.append(trained)
        console.print(f"seed {seed}: teacher {found.teacher[-1]:.1f} %, student {found.student[-1]:.1f} %")
    return report("imitation", rows_of(found), options)


if __name__ == "__main__":
    sys.exit(main())
