"""`make bench-pixels`: an arm learns to reach a cube that only its camera shows, beside a blind one and a told one.

Three policies learn the task `reach_cube` on as many control steps: from joints and camera (its critic from the state),
from joints alone, and from joints and the cube's true place. The blind one says what can be had without looking, the
one that is told what can be had at all. The latter two are trained without a camera: nobody would look at its images.
Each training is `isthmus-train` in a process of its own; success is what the task calls so, on other seeds.

Where the time goes is measured in this process, over some iterations of the training from the camera.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import BenchOptions, Row, Trained, over_seeds, parse, report, revisions, train, training

from rich.console import Console

from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.training.config import default_config
from isthmus_policies.training.run import load_run
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.threads import use_thread_budget

TASK = "reach_cube"
EVALUATION_SEED = 88_000
CAMERA = "from the camera"
VARIANTS = {
    CAMERA: (),
    "blind": ("--policy", "mlp", "--robot", "so101", "--policy.actor-groups", "actor"),
    "told": ("--policy", "mlp", "--robot", "so101", "--policy.actor-groups", "actor", "cube"),
}
"""What learns, and how `isthmus-train` is told."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Train from the camera, blind and from the state with several seeds, and measure."""

    seeds: tuple[int, ...] = (601, 602, 603)
    """Training seeds."""
    iterations: int | None = None
    """Iterations of a training instead of the task's."""
    worlds: int | None = None
    """Worlds of a training instead of the task's."""
    episodes: int = 500
    """Episodes of an evaluation."""
    timed: int = 5
    """Iterations over which the shares of time are measured."""
    keep: Path | None = None
    """Folder in which the runs are kept, by default nowhere. Those that are there already are not trained again."""


QUICK = Options(seeds=(601,), iterations=1, worlds=16, episodes=4, timed=1)


@dataclass(kw_only=True)
class Measured:
    """One variant, seed by seed: its training, and success in %."""

    trainings: list[Trained] = field(default_factory=list)
    success: list[float] = field(default_factory=list)


def command(options: Options, seed: int, variant: str, folder: Path) -> list[str]:
    """What trains a variant into a folder."""
    worlds = ["--num-envs", str(options.worlds)] if options.worlds else []
    return [*training(TASK, seed, folder, options.iterations), *VARIANTS[variant], *worlds]


def success(folder: Path, episodes: int) -> float:
    """Share of episodes in which a run's policy reaches the cube, %."""
    run = load_run(folder)
    score = evaluate(run.task, lambda env: NetworkRunner(run.policy, env), episodes, EVALUATION_SEED, engine=run.engine)
    return 100 * score.success[1]


class Stopwatch:
    """Seconds spent in a method of one object."""

    def __init__(self, owner: Any, method: str) -> None:
        self.seconds = 0.0
        self._call: Callable[..., Any] = getattr(owner, method)
        setattr(owner, method, self._timed)

    def _timed(self, *arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return self._call(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - begun


def shares(options: Options) -> dict[str, float]:
    """Where the training from the camera spends its time: part -> %."""
    config = default_config(TASK)
    config = dataclasses.replace(config, seed=options.seeds[0], num_envs=options.worlds or config.num_envs)
    trainer = Trainer(config)
    engine = trainer.env.engine
    assert isinstance(engine, MujocoEngine), "cameras are drawn by MuJoCo's engine"
    trainer.iterate()  # the first one also sets up what draws
    watches = {
        "rendering": Stopwatch(engine._images, "draw"),
        "physics": Stopwatch(engine, "_step"),
        "update of encoder and networks": Stopwatch(trainer.algorithm, "update"),
    }
    begun = time.perf_counter()
    for _ in range(options.timed):
        trainer.iterate()
    total = time.perf_counter() - begun
    trainer.env.close()
    found = {name: 100 * watch.seconds / total for name, watch in watches.items()}
    return found | {"everything else": 100 - sum(found.values())}


def rows_of(table: dict[str, Measured], shared: dict[str, float]) -> list[Row]:
    """Success and time of each variant, then the shares of time."""
    seen, *others = table

    def time_row(name: str, must: str | None = None) -> Row:
        trainings = table[name].trainings
        minutes = [each.minutes for each in trainings]
        return over_seeds(f"training {name}, whole command", minutes, "min", must=must, peer=revisions(trainings))

    rows = [
        over_seeds(f"success, {seen}", table[seen].success, "%", must=">= 80", aim=">= 95"),
        *(over_seeds(f"success, {name}", table[name].success, "%") for name in others),
        time_row(seen, must="<= 60"),
        *(time_row(name) for name in others),
    ]
    return rows + [Row(metric=f"share of time, {part}", value=value, unit="%") for part, value in shared.items()]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    console = Console()
    table = {variant: Measured() for variant in VARIANTS}
    for seed in options.seeds:
        for variant, measured in table.items():
            with tempfile.TemporaryDirectory() as temporary:
                folder = (options.keep or Path(temporary)) / f"{variant.replace(' ', '-')}-{seed}"
                measured.trainings.append(train(command(options, seed, variant, folder), folder))
                measured.success.append(success(folder, options.episodes))
            minutes = measured.trainings[-1].minutes
            console.print(f"seed {seed}, {variant}: {minutes:.1f} minutes, {measured.success[-1]:.1f} % reach it")
    return report("pixels", rows_of(table, shares(options)), options)


if __name__ == "__main__":
    sys.exit(main())
