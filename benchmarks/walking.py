"""`make bench-quadruped` and `make bench-biped`: how long it takes to learn to walk, and how well, seed by seed.

Each seed trains in a process of its own with the defaults of `isthmus-train TASK`. Quality is what the export measures:
500 episodes of 20 s on another seed, with pushes, payloads and weak motors as in training; errors and power are of the
last 40 % of those that did not fall. Then the exported policy walks the mission's square on the stand-in robot, in one
process: other physics, hidden bodies, the whole safety chain, steered and judged as `isthmus-walk` does it over ROS 2.
Every walk starts with standing still, so a robot that can only walk falls at once. Some walks are over ROS 2, in real
time. With --trained nothing is trained: the policies of an earlier --keep walk again, after a change of the robot side.
"""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, Trained, over_seeds, parse, report, revisions, train, training

from rich.console import Console
from walks import Walks, walk_all, walk_rows

from isthmus_policies.export.export import POLICY_FILE, export_run
from isthmus_sim.description import RobotDescription
from isthmus_sim.robots import ROBOTS
from isthmus_sim.tasks import TASKS
from isthmus_sim.threads import use_thread_budget

GRAVITY = 9.81  # m/s²


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a task's figures are held to: the must, and the aim where there is one."""

    minutes: tuple[str | None, str | None] = (None, None)
    falls: tuple[str | None, str | None] = (None, None)
    velocity: tuple[str | None, str | None] = (None, None)
    turning: tuple[str | None, str | None] = (None, None)
    transfer: tuple[str | None, str | None] = (None, None)
    ros: tuple[str | None, str | None] = (None, None)


BOUNDS = {
    "quadruped": Bounds(
        minutes=("<= 15", "<= 5"), falls=("<= 3", None), velocity=("<= 0.15", None), turning=("<= 0.2", None),
        transfer=("<= 5", None), ros=(">= 100", None),
    ),
    "biped": Bounds(minutes=("<= 60", "<= 20"), falls=("<= 5", "<= 2"), velocity=("<= 0.2", None),
                    transfer=("<= 5", "<= 2"), ros=(">= 100", None)),
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
    """Walks of each exported policy on the stand-in robot in one process; 0 for none."""
    bodies: tuple[int, ...] = (1, 2, 3)
    """Seeds of the hidden bodies that each walks with over ROS 2."""
    episodes: int = 500
    """Episodes of an evaluation."""
    keep: Path | None = None
    """Folder in which runs and exported policies are kept, by default nowhere. Runs that are there already are not
    trained again."""
    trained: Path | None = None
    """Folder of an earlier --keep, whose policies walk again; the figures are then those of TASK_walks."""


QUICK = Options(seeds=(301,), iterations=1, walks=1, bodies=(1,), episodes=4)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What training with one seed came to. Falls in %."""

    training: Trained
    falls: float
    velocity_error: float
    turning_error: float
    cost_of_transport: float

    def __str__(self) -> str:
        return (
            f"{self.training.minutes:.1f} minutes, {self.falls:.1f} % fall, off {self.velocity_error:.3f} m/s and "
            f"{self.turning_error:.3f} rad/s, cost of transport {self.cost_of_transport:.2f}"
        )


def measure(options: Options, robot: RobotDescription, seed: int, folder: Path) -> Result:
    """Train with one seed, export the policy into the folder and judge it in simulation."""
    trained = train(training(options.task, seed, folder, options.iterations), folder)
    _, quality = export_run(folder, episodes=options.episodes)
    steady = {name: interval[1] if interval else math.inf for name, interval in quality.steady.items()}
    return Result(
        training=trained,
        falls=100 * quality.failed[1],
        velocity_error=steady["velocity_error_mps"],
        turning_error=steady["yaw_rate_error_radps"],
        cost_of_transport=cost_of_transport(steady["power_w"], steady["speed_mps"], robot.mass),
    )


def cost_of_transport(power: float, speed: float, mass: float) -> float:
    """Energy over weight and way; power W, speed m/s, mass kg. inf where no episode has either."""
    return power / (mass * GRAVITY * speed) if math.isfinite(power) else math.inf


def rows_of(results: list[Result], bounds: Bounds) -> list[Row]:
    """What training took, and the policies in simulation."""

    def row(metric: str, field: str, unit: str, bound: tuple[str | None, str | None], peer: str | None = None) -> Row:
        values = [getattr(result, field) for result in results]
        return over_seeds(metric, values, unit, must=bound[0], aim=bound[1], peer=peer)

    trainings = [result.training for result in results]
    return [
        over_seeds("training, whole command", [each.minutes for each in trainings], "min",
                   must=bounds.minutes[0], aim=bounds.minutes[1], peer=revisions(trainings)),
        row("falls in 20 s with pushes", "falls", "%", bounds.falls),
        row("velocity error", "velocity_error", "m/s", bounds.velocity),
        row("yaw rate error", "turning_error", "rad/s", bounds.turning),
        row("cost of transport", "cost_of_transport", "", (None, None),
            "mean power that the motors give, over weight and mean speed"),
    ]  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    console, robot = Console(), ROBOTS[TASKS[options.task].robot]
    results: list[Result] = []
    walks: list[Walks] = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in options.seeds:
            folder = (options.trained or options.keep or Path(temporary)) / f"{options.task}-{seed}"
            if options.trained is None:
                results.append(measure(options, robot, seed, folder))
                console.print(f"seed {seed}: {results[-1]}")
            walks.append(walk_all(folder / POLICY_FILE, robot, options.walks, options.bodies))
            console.print(f"seed {seed}: {walks[-1]}")
    bounds = BOUNDS.get(options.task, Bounds())
    rows = walk_rows(walks, bounds.transfer, bounds.ros)
    if options.trained is not None:
        return report(f"{options.task}_walks", rows, options)
    return report(options.task, rows_of(results, bounds) + rows, options)


if __name__ == "__main__":
    sys.exit(main())
