"""`make bench-finetune`: policies that people taught go on learning in our simulation; tried in gym-pusht.

Each is a run of `isthmus-train-chunks`, of another seed. `isthmus-finetune` improves it, on starts that are drawn at
random and in its demonstrations; a training that is in --keep already is not repeated. It is judged as
`bench-gym-pusht` does it: all of its last policies, in an environment in which it has never been, from the 50 starts on
which Push-T is reported.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, Trained, over_seeds, parse, report, revisions, train

from chunk_trials import PYTHON, GymPushT, made_up, policies_of
from gym_pusht import Judged, apart, judge, rows_of_run, rows_over_runs

from isthmus_policies.chunks.training.run import load_chunk_run, newest_policy
from isthmus_sim.threads import use_thread_budget

MUSTS, AIMS = (">= 0.8", ">= 75"), (">= 0.92", ">= 95")


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Fine-tune policies, and judge them before and after."""

    runs: tuple[Path, ...] = ()
    """Folders of finished runs, each another seed; they must observe nothing but the state. --quick makes one up."""
    way: str = "correction"
    """As isthmus-finetune has it."""
    iterations: int = 200
    """So often does it collect and learn."""
    worlds: int = 256
    keep: Path = Path("runs/finetune")
    """Folder of the trained runs."""
    python: Path = PYTHON
    """The Python that has gym-pusht."""
    episodes: int = 50
    """The first so many of the seeds."""
    steps: int = 300
    """Control steps of an episode in gym-pusht."""


QUICK = Options(iterations=1, worlds=2, episodes=2, steps=20)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one run came to."""

    before: Judged
    after: list[Judged]
    trained: Trained
    minutes: float
    """That the training itself took."""


def finetuned(begun: Path, options: Options, keep: Path) -> tuple[Path, Trained]:
    """The run that one becomes; it is trained where it is not there yet."""
    folder = keep / begun.name
    told = ["--task", "push_t", "--ppo.way", options.way, "--iterations", str(options.iterations)]
    told += ["--worlds", str(options.worlds), "--torch-threads", "1"]  # two trainings may go side by side
    if options.quick:
        told += ["--decisions", "1", "--episodes", "2", "--shown", "0"]
    module = "isthmus_policies.chunks.finetune.command"
    return folder, train([sys.executable, "-m", module, str(begun), "--run", str(folder), *told], folder)


def found_of(begun: Path, worlds: GymPushT, options: Options, keep: Path) -> Found:
    """Fine-tune and judge. Raises ValueError for a policy that is not for Push-T's state."""
    before = judge(newest_policy(begun), worlds, options.episodes, options.steps)
    run, trained = finetuned(begun, options, keep)
    after = [judge(file, worlds, options.episodes, options.steps) for file in policies_of(run)]
    return Found(before=before, after=after, trained=trained, minutes=load_chunk_run(run).facts["seconds"] / 60)


def rows_of(found: dict[str, Found]) -> list[Row]:
    """What each run's policies came to, and all runs before and after."""
    rows = [row for name, each in found.items() for row in rows_of_run(name, each.after)]
    minutes, trainings = [each.minutes for each in found.values()], [each.trained for each in found.values()]
    before, after = [[each.before] for each in found.values()], [each.after for each in found.values()]
    return [
        *rows,
        *rows_over_runs(before, (None, None), (None, None), of="before: "),
        *rows_over_runs(after, MUSTS, AIMS, of="fine-tuned: "),
        apart([each for run in after for each in run]),
        over_seeds("fine-tuning", minutes, "min", peer=revisions(trainings)),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    if not options.python.exists():
        print(f"there is no {options.python}: scripts/gym_pusht.sh makes it")
        return 0
    if not options.runs and not options.quick:
        sys.exit("bench-finetune: --runs RUN … says which; isthmus-train-chunks makes them")
    with tempfile.TemporaryDirectory() as temporary, GymPushT(options.python) as worlds:
        folder = Path(temporary)
        keep = folder / "finetuned" if options.quick else options.keep
        runs = options.runs or (made_up(folder),)
        found = {run.name: found_of(run, worlds, options, keep) for run in runs}
    return report("finetune", rows_of(found), options)


if __name__ == "__main__":
    sys.exit(main())
