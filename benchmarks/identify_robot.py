"""`make bench-identify-robot`: quadrotors that nobody was told of, identified from one flight each; and policies that
are trained on what was identified, beside some that are trained on all that is found among real ones.

Each body is a stand-in's: other physics than training's, sensor noise, and an estimate of the velocity that is 10 to
30 ms late, which the fit does not know of. It flies in one process with the tests' hand-made policy; how far simulation
is from it is judged on a second flight. Policies are judged on the body itself, in training's own simulation, where
they follow a figure eight.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report, train, training

import numpy as np
import torch
from mismatching.robots import fly, robots

from isthmus_deploy.flight.recorded import Flight
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros.stand_in_robot.worlds.quadrotor import QuadrotorWorld
from isthmus_policies.evaluation.evaluate import Evaluation, evaluate
from isthmus_policies.evaluation.flown_windows import FlownWindows
from isthmus_policies.evaluation.identify.identify import identify
from isthmus_policies.evaluation.identify.replayed import MOST_LATE, Replayed, unknowns_of
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.training.run import load_run
from isthmus_sim.identify.identified_robot import IdentifiedRobot
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

TASK, ENGINE, HORIZON_S, EIGHT_S = "quadrotor-randomized", "analytic", 0.25, 5.5
Truth = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Identify hidden quadrotors from a flight, and train for some of them."""

    bodies: tuple[int, ...] = tuple(range(101, 121))
    """Seeds of the bodies that are identified."""
    trained: tuple[int, ...] = (101, 102, 103)
    """Bodies for which policies are trained, too."""
    seeds: tuple[int, ...] = (1, 2)
    """Training seeds."""
    seconds: float = 20.0
    """Length of a flight, s."""
    episodes: int = 200
    """Figure eights of each policy."""
    iterations: int | None = None
    """Iterations of a training instead of the task's."""
    keep: Path | None = None
    """Folder in which trained runs are kept, by default nowhere. Runs that are there already are not trained again."""


QUICK = Options(bodies=(101,), trained=(101,), seeds=(1,), seconds=8.0, episodes=4, iterations=2)


@dataclass(frozen=True, kw_only=True)
class Body:
    """A body, and what was identified of it."""

    truth: Truth
    found: IdentifiedRobot
    errors: dict[str, tuple[float, float]]
    """By quantity, of a second flight: with nominal parameters, and with those that were identified."""


def main() -> int:
    """Print the table; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    task = make_task(TASK)
    with tempfile.TemporaryDirectory() as folder:
        bodies = {seed: identified(task, seed, options.seconds, Path(folder)) for seed in options.bodies}
        rows = [*coverage(list(bodies.values())), *errors(list(bodies.values()))]
        rows += policies({seed: bodies[seed] for seed in options.trained}, options, options.keep or Path(folder))
    return report("identify-robot", rows, options)


# --- identification ---


def identified(task: Task, seed: int, seconds: float, folder: Path) -> Body:
    """Fly a body, identify it, and judge that on another flight of it."""
    robot = dataclasses.replace(robots()["quadrotor"], body=QuadrotorWorld, length_s=seconds)
    path = folder / "hand_made.onnx"
    path.write_bytes(robot.policy(False))
    names = tuple(parameter.name for parameter in task.robot.parameters)
    body = QuadrotorWorld(seed).parameters
    truth = {name: np.atleast_1d(np.asarray(getattr(body, name), float)) for name in names}
    # Another operator, and so other goals; the body is the seed's in both.
    goals = [robot.goals, lambda random: robot.goals(np.random.default_rng([seed, 8]))]
    first, second = (fly(dataclasses.replace(robot, goals=each), Runtime(path), seed) for each in goals)
    found = identify({"first": first}, task, parameters=names, horizon_s=HORIZON_S, engine=ENGINE)
    print(f"body {seed}: {found.windows} windows; {'; '.join(found.remarks) or 'all is told'}", file=sys.stderr)
    return Body(truth=truth, found=found, errors=_apart(task, second, found))


def _apart(task: Task, flight: Flight, found: IdentifiedRobot) -> dict[str, tuple[float, float]]:
    """How far simulation is from a flight at the windows' end, nominal and as identified, root mean square."""
    parameters = [parameter for parameter in task.scene.parameters if parameter.name in found.parameters]
    unknowns = unknowns_of(parameters, task.robot.control_period_s)
    values = [item.value for parameter in parameters for item in found.parameters[parameter.name]]
    candidates = np.array([[unknown.nominal for unknown in unknowns], [*values, found.latency_s.value]])
    windows = FlownWindows.of((flight,), task, HORIZON_S, margin=MOST_LATE + 1)
    replayed = Replayed(windows, task, ENGINE, unknowns)
    ends = np.sqrt((replayed(candidates)[:, :, -1] ** 2).mean(axis=1)).reshape(2, -1, 3)
    sizes = np.linalg.norm(ends, axis=2)
    return {item.name: (before, after) for item, before, after in zip(replayed.quantities, *sizes, strict=True)}


def coverage(bodies: list[Body]) -> list[Row]:
    """How often truth lies within a 95 % interval, by body, and how narrow these are."""
    shares, narrower = [], []
    for body in bodies:
        items = [
            (value, item, least, most)
            for name, ranges in body.found.parameters.items()
            for value, item, (least, most) in zip(body.truth[name], ranges, _before(name), strict=True)
        ]
        shares.append(100 * np.mean([item.low <= value <= item.high for value, item, _, _ in items]))
        narrower.append(np.median([(item.high - item.low) / (most - least) for _, item, least, most in items]))
    return [
        Row(
            metric="parameters within their 95 % intervals", value=float(np.mean(shares)), unit="%",
            spread=(min(shares), max(shares)), seeds=len(bodies), aim=">= 90",
        ),
        over_seeds("width of an interval, of what is drawn without it, median", narrower, "of it"),
    ]  # fmt: skip


def _before(name: str) -> list[tuple[float, float]]:
    (parameter,) = (item for item in make_task(TASK).robot.parameters if item.name == name)
    return [ends for ends in zip(parameter.minimum, parameter.maximum, strict=True) if ends[0] < ends[1]]


def errors(bodies: list[Body]) -> list[Row]:
    """How far simulation is from flights that it was not fitted to."""
    rows = []
    for name in bodies[0].errors:
        shares = [body.errors[name][1] / body.errors[name][0] for body in bodies]
        rows.append(over_seeds(f"{name}: error on a second flight, of that with nominal parameters", shares, "of it"))
    return rows


# --- policies ---


def policies(bodies: dict[int, Body], options: Options, folder: Path) -> list[Row]:
    """Figure eights of the hidden bodies: trained within what was identified, beside trained on everything."""
    wide = {seed: _trained(options, seed, folder / f"wide-{seed}") for seed in options.seeds}
    told: dict[str, list[float]] = {"wide": [], "identified": []}
    falls: dict[str, list[float]] = {"wide": [], "identified": []}
    for number, body in bodies.items():
        path = folder / f"body-{number}.json"
        body.found.write(path)
        for seed in options.seeds:
            narrow = _trained(options, seed, folder / f"body-{number}-{seed}", path)
            for kind, run in (("wide", wide[seed]), ("identified", narrow)):
                result = _judge(run, body.truth, options.episodes)
                told[kind].append(1e3 * _error(result))
                falls[kind].append(100 * result.failed[1])
    better, more = (np.array(each["identified"]) for each in (told, falls))
    return [
        *(over_seeds(f"figure eight, {kind}: position error (rms)", told[kind], "mm") for kind in told),
        *(over_seeds(f"figure eight, {kind}: falls", falls[kind], "%") for kind in falls),
        _mean("position error, identified over wide", better / told["wide"], "times", "<= 1"),
        _mean("falls, identified more than wide", more - falls["wide"], "points", "<= 0"),
    ]


def _mean(metric: str, values: np.ndarray, unit: str, must: str) -> Row:
    return Row(metric=metric, value=float(values.mean()), unit=unit, seeds=len(values), must=must)


def _trained(options: Options, seed: int, run: Path, found: Path | None = None) -> Path:
    command = training(TASK, seed, run, options.iterations)
    train([*command, "--identified", str(found)] if found else command, run)
    return run


def _judge(run: Path, truth: Truth, episodes: int) -> Evaluation:
    """Figure eights of a body that is known, with sensors and disturbances as in training."""
    trained = load_run(run)
    config = dataclasses.replace(
        make_task(TASK).config, figure_eight_s=EIGHT_S, episode_steps=round(2 * EIGHT_S / 0.01),
        start_position=0.0, start_angle=0.0, start_velocity=0.0, start_rate=0.0,
    )  # fmt: skip
    task = make_task(TASK, config)
    body = {name: torch.tensor(values, dtype=torch.float32) for name, values in truth.items()}
    task.randomization = (lambda n, generator: {name: values.expand(n, -1) for name, values in body.items()},)
    return evaluate(task, lambda env: NetworkRunner(trained.policy, env), episodes, seed=1, engine="mujoco")


def _error(result: Evaluation) -> float:
    interval = result.rmse["position_error_m"]
    return float("inf") if interval is None else interval[1]


if __name__ == "__main__":
    torch.manual_seed(0)
    raise SystemExit(main())
