"""`make bench-quadruped` and `make bench-biped`: how long it takes to learn to walk, and how well, seed by seed.

Each seed trains in a process of its own with the defaults of `isthmus-train TASK`. Quality is what the export measures:
500 episodes of 20 s on another seed, with pushes, payloads and weak motors as in training; errors and power are of the
last 40 % of those that did not fall. Then the exported policy walks the mission's square on the stand-in robot, in one
process: other physics, hidden bodies, the whole safety chain, steered and judged as `isthmus-walk` does it over ROS 2.
Every walk starts with standing still, so a robot that can only walk falls at once.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report, training

from rich.console import Console

from isthmus_deploy.ros.stand_in_robot.trial import Trial, walk
from isthmus_deploy.runtime import Runtime
from isthmus_policies.export.export import export_run
from isthmus_sim.description import RobotDescription
from isthmus_sim.robots import ROBOTS
from isthmus_sim.tasks import TASKS
from isthmus_sim.threads import use_thread_budget

BODY_SEED = 5_000
GRAVITY = 9.81  # m/s²


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a task's figures are held to: the must, and the aim where there is one."""

    minutes: tuple[str | None, str | None] = (None, None)
    falls: tuple[str | None, str | None] = (None, None)
    velocity: tuple[str | None, str | None] = (None, None)
    turning: tuple[str | None, str | None] = (None, None)
    transfer: tuple[str | None, str | None] = (None, None)


BOUNDS = {
    "quadruped": Bounds(
        minutes=("<= 15", "<= 5"), falls=("<= 3", None), velocity=("<= 0.15", None), turning=("<= 0.2", None),
        transfer=("<= 5", None),
    ),
    "biped": Bounds(minutes=("<= 60", "<= 20"), falls=("<= 5", "<= 2"), velocity=("<= 0.2", None),
                    transfer=("<= 5", "<= 2")),
}  # fmt: skip
"""Other tasks are measured and held to nothing."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Train a robot to walk with several seeds and measure."""

    task: str = "quadruped"
    """Registered name of a task in which a robot follows velocities, such as quadruped or biped."""
    seeds: tuple[int, ...] = (301, 302, 303)
    """Training seeds."""
    iterations: int | None = None
    """Iterations of a training instead of the task's."""
    walks: int = 100
    """Walks of each exported policy on the stand-in robot; 0 for none."""
    episodes: int = 500
    """Episodes of an evaluation."""
    keep: Path | None = None
    """Folder in which runs and exported policies are kept, by default nowhere."""


QUICK = Options(seeds=(301,), iterations=1, walks=1, episodes=4)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one seed came to. Falls in %."""

    minutes: float
    falls: float
    velocity_error: float
    turning_error: float
    cost_of_transport: float
    walks: list[Trial]


def train(options: Options, seed: int, folder: Path) -> float:
    """Wall minutes of the whole command, imports and files included."""
    begun = time.perf_counter()
    subprocess.run(training(options.task, seed, folder, options.iterations), check=True)
    return (time.perf_counter() - begun) / 60


def measure(options: Options, robot: RobotDescription, seed: int, console: Console) -> Result:
    """Train with one seed and judge the policy."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)) / f"{options.task}-{seed}"
        minutes = train(options, seed, folder)
        with console.status("evaluating"):
            path, quality = export_run(folder, episodes=options.episodes)
        with console.status(f"{options.walks} walks on the stand-in robot"):
            walks = transfer(path, robot, options.walks)
    steady = {name: interval[1] if interval else math.inf for name, interval in quality.steady.items()}
    return Result(
        minutes=minutes,
        falls=100 * quality.failed[1],
        velocity_error=steady["velocity_error_mps"],
        turning_error=steady["yaw_rate_error_radps"],
        cost_of_transport=cost_of_transport(steady["power_w"], steady["speed_mps"], robot.mass),
        walks=walks,
    )


def cost_of_transport(power: float, speed: float, mass: float) -> float:
    """Energy over weight and way; power W, speed m/s, mass kg. inf where no episode has either."""
    return power / (mass * GRAVITY * speed) if math.isfinite(power) else math.inf


def transfer(path: Path, robot: RobotDescription, walks: int) -> list[Trial]:
    """Walk the mission's square with the exported policy, every time on another hidden body."""
    runtime = Runtime(path)
    return [walk(runtime, robot, BODY_SEED + i) for i in range(walks)]


def rows_of(results: list[Result], bounds: Bounds) -> list[Row]:
    """What training took, and the policies in simulation."""

    def row(metric: str, field: str, unit: str, bound: tuple[str | None, str | None], peer: str | None = None) -> Row:
        values = [getattr(result, field) for result in results]
        return over_seeds(metric, values, unit, must=bound[0], aim=bound[1], peer=peer)

    return [
        row("training, whole command", "minutes", "min", bounds.minutes),
        row("falls in 20 s with pushes", "falls", "%", bounds.falls),
        row("velocity error", "velocity_error", "m/s", bounds.velocity),
        row("yaw rate error", "turning_error", "rad/s", bounds.turning),
        row("cost of transport", "cost_of_transport", "", (None, None),
            "mean power that the motors give, over weight and mean speed"),
    ]  # fmt: skip


def transfer_rows(results: list[Result], bounds: Bounds) -> list[Row]:
    """The walks on the stand-in robot. A fault of the safety chain counts like a fall."""
    falls = [_share(w.fell or w.fault is not None for w in r.walks) for r in results]
    successes = [_share(not w.failures for w in r.walks) for r in results]
    away = [[w.away_m for w in r.walks if w.away_m is not None] for r in results]
    errors = [[w.velocity_error for w in r.walks if w.velocity_error is not None] for r in results]
    costs = [[w.cost_of_transport for w in r.walks] for r in results]
    must, aim = bounds.transfer
    return [
        over_seeds("stand-in robot: falls or faults", falls, "%", must=must, aim=aim,
                   peer=f"{len(results[0].walks)} walks each"),
        over_seeds("stand-in robot: walks that succeed, by the mission's bounds", successes, "%"),
        over_seeds("stand-in robot: end of the walk missed by", [_mean(values) for values in away], "m"),
        over_seeds("stand-in robot: velocity error", [_mean(values) for values in errors], "m/s"),
        over_seeds("stand-in robot: cost of transport", [_mean(values) for values in costs], ""),
    ]  # fmt: skip


def _share(whether: Iterable[bool]) -> float:
    """How many of them it is true of, %."""
    return 100 * _mean([float(each) for each in whether])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.inf


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    console, robot = Console(), ROBOTS[TASKS[options.task].robot]
    results: list[Result] = []
    for seed in options.seeds:
        results.append(r := measure(options, robot, seed, console))
        console.print(
            f"seed {seed}: {r.minutes:.1f} minutes, {r.falls:.1f} % fall, off {r.velocity_error:.3f} m/s and "
            f"{r.turning_error:.3f} rad/s, cost of transport {r.cost_of_transport:.2f}"
        )
    bounds = BOUNDS.get(options.task, Bounds())
    rows = rows_of(results, bounds)
    if options.walks:
        rows += transfer_rows(results, bounds)
    return report(options.task, rows, options)


if __name__ == "__main__":
    sys.exit(main())
