"""`make bench-quadruped`: how long it takes to learn to walk, and how well, seed by seed.

Each seed trains in a process of its own with the defaults of `isthmus-train quadruped`. Quality is what the export
measures: 500 episodes of 20 s on another seed, with pushes, payloads and weak motors as in training; errors and power
are of the last 40 % of those that did not fall. Then the exported policy walks the mission's square on the stand-in
robot, in one process: other physics, hidden bodies, the whole safety chain.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report, training

from rich.console import Console

from isthmus_deploy.ros.missions.walk_plan import WalkPlan
from isthmus_deploy.ros.stand_in_robot.trial import Segment, Trial, walk
from isthmus_deploy.runtime import Runtime
from isthmus_policies.export.export import EVALUATION_EPISODES, export_run
from isthmus_sim.robots.quadruped.description import GRAVITY, MASS, ROBOT
from isthmus_sim.threads import use_thread_budget

BODY_SEED = 5_000


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Train the quadruped with several seeds and measure."""

    seeds: tuple[int, ...] = (301, 302, 303)
    """Training seeds."""
    iterations: int | None = None
    """Iterations of a training instead of the task's."""
    walks: int = 100
    """Walks of each exported policy on the stand-in robot; 0 for none."""
    episodes: int = EVALUATION_EPISODES
    """Episodes of an evaluation."""


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
    subprocess.run(training("quadruped", seed, folder, options.iterations), check=True)
    return (time.perf_counter() - begun) / 60


def measure(options: Options, seed: int, console: Console) -> Result:
    """Train with one seed and judge the policy."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        minutes = train(options, seed, folder)
        with console.status("evaluating"):
            path, quality = export_run(folder, episodes=options.episodes)
        with console.status(f"{options.walks} walks on the stand-in robot"):
            walks = transfer(path, options.walks)
    steady = {name: interval[1] if interval else math.inf for name, interval in quality.steady.items()}
    return Result(
        minutes=minutes,
        falls=100 * (1 - quality.success[1]),
        velocity_error=steady["velocity_error_mps"],
        turning_error=steady["yaw_rate_error_radps"],
        cost_of_transport=cost_of_transport(steady["power_w"], steady["speed_mps"]),
        walks=walks,
    )


def cost_of_transport(power: float, speed: float) -> float:
    """Energy over weight and way; power W, speed m/s. inf where no episode has either."""
    return power / (MASS * GRAVITY * speed) if math.isfinite(power) else math.inf


def transfer(path: Path, walks: int) -> list[Trial]:
    """Walk the mission's square with the exported policy, every time on another hidden body."""
    runtime = Runtime(path)
    plan = [
        Segment(duration_s=leg.duration_s, vx=leg.velocity[0], vy=leg.velocity[1], yaw_rate=leg.velocity[2])
        for leg in WalkPlan().legs
    ]
    return [walk(runtime, ROBOT, BODY_SEED + i, plan) for i in range(walks)]


def transfer_rows(results: list[Result]) -> list[Row]:
    """The walks on the stand-in robot. A fault of the safety chain counts like a fall."""
    falls = [100 * sum(w.fell or w.fault is not None for w in r.walks) / len(r.walks) for r in results]
    errors = [[w.velocity_error for w in r.walks if w.velocity_error is not None] for r in results]
    costs = [[w.cost_of_transport for w in r.walks] for r in results]
    return [
        over_seeds("stand-in robot: falls or faults", falls, "%", must="<= 5",
                   peer=f"{len(results[0].walks)} walks each"),
        over_seeds("stand-in robot: velocity error", [_mean(values) for values in errors], "m/s"),
        over_seeds("stand-in robot: cost of transport", [_mean(values) for values in costs], ""),
    ]  # fmt: skip


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.inf


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    console = Console()
    results: list[Result] = []
    for seed in options.seeds:
        results.append(r := measure(options, seed, console))
        console.print(
            f"seed {seed}: {r.minutes:.1f} minutes, {r.falls:.1f} % fall, off {r.velocity_error:.3f} m/s and "
            f"{r.turning_error:.3f} rad/s, cost of transport {r.cost_of_transport:.2f}"
        )
    rows = [
        over_seeds("training, whole command", [r.minutes for r in results], "min", must="<= 15", aim="<= 5"),
        over_seeds("falls in 20 s with pushes", [r.falls for r in results], "%", must="<= 3"),
        over_seeds("velocity error", [r.velocity_error for r in results], "m/s", must="<= 0.15"),
        over_seeds("yaw rate error", [r.turning_error for r in results], "rad/s", must="<= 0.2"),
        over_seeds("cost of transport", [r.cost_of_transport for r in results], "",
                   peer="mean power that the motors give, over weight and mean speed"),
    ]  # fmt: skip
    if options.walks:
        rows += transfer_rows(results)
    return report("quadruped", rows, options)


if __name__ == "__main__":
    sys.exit(main())
