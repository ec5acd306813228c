"""`make bench-engines`: the quadruped stands up on every engine that is here: heights beside each other, what its feet
carry, steps per second, and what a process of its own costs.

A robot begins in its default pose with its feet on the ground and holds that pose: it sinks, rises and rests. An engine
that is not installed is named with what to install, and has no row.
"""

from __future__ import annotations

import csv
import itertools
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, parse, report, training

import torch

from isthmus_sim.engine import Engine, Resets, State, UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.engines.worker.engine import WorkerEngine
from isthmus_sim.engines.worker.process import Simulator, WorkerError
from isthmus_sim.robots.quadruped.description import DEFAULT_POSE, GRAVITY, MASS, ROBOT, STAND_HEIGHT
from isthmus_sim.scene import legged_scene
from isthmus_sim.threads import use_thread_budget

SCENE, COMMAND, SUBSTEPS = legged_scene(ROBOT), ROBOT.commands[0].name, 4
CHECKED = (4, 24, 52, 100, 200)
"""Physics steps at which heights are told."""
SETTLED = 1000
"""Physics steps after which feet are weighed: the robot rests."""
IDLE = Simulator(
    name="idle", physics="idle_physics:IdlePhysics", python=sys.executable, needs="Mend the benchmark.",
    path=str(Path(__file__).parent / "peers"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Compare the engines that are installed."""

    engines: tuple[str, ...] = ("mujoco", "physx", "sapien", "isaacgym")
    """Their names; warp, too, where it is installed."""
    worlds: int = 64
    """Worlds of which steps per second are counted."""
    trip_worlds: int = 4096
    """Worlds of which a trip to a worker is timed."""
    seconds: float = 3.0
    """Length of a measurement of speed, s."""
    rounds: int = 3
    """Measurements of speed."""
    trained: tuple[str, ...] = ("mujoco", "physx", "sapien")
    """Engines on which the quadruped is trained for some iterations, to see how fast."""
    iterations: int = 4
    """How many each such training has, after a first one that is not counted."""
    training_worlds: int = 512
    """Worlds of each such training."""


QUICK = Options(worlds=8, trip_worlds=256, seconds=0.3, rounds=1, trained=())


def standing(engine: Engine) -> State:
    """All worlds in the default pose, feet on the ground."""
    n = engine.num_envs
    pose = torch.tensor(DEFAULT_POSE, device=engine.device).repeat(n, 1)
    place = torch.tensor([0.0, 0.0, STAND_HEIGHT], device=engine.device).repeat(n, 1)
    state = {"position": place, "joint_position": pose, "actuator": pose.clone()}
    return engine.advance(None, Resets(ids=torch.arange(n, device=engine.device), state=state))


def hold(engine: Engine) -> State:
    """A control period with the default pose for target."""
    pose = torch.tensor(DEFAULT_POSE, device=engine.device)
    return engine.advance({COMMAND: pose.repeat(engine.num_envs, 1)})


@dataclass(frozen=True, kw_only=True)
class Stand:
    """heights m at `CHECKED`; weight: what the feet carry at rest, as a share of the robot's weight."""

    heights: tuple[float, ...]
    weight: float


def stand(engine: Engine) -> Stand:
    """A robot stands up and rests."""
    standing(engine)
    heights = []
    for step in range(SUBSTEPS, SETTLED + 1, SUBSTEPS):
        state = hold(engine)
        if step in CHECKED:
            heights.append(float(state["position"][0, 2]))
    return Stand(heights=tuple(heights), weight=float(state["foot_force"][0].sum()) / (MASS * GRAVITY))


def speed(engine: Engine, options: Options) -> list[float]:
    """Physics steps per second over all worlds, standing robots."""
    standing(engine)
    hold(engine)
    rates = []
    for _ in range(options.rounds):
        begun, periods = time.perf_counter(), 0
        while time.perf_counter() - begun < options.seconds:
            hold(engine)
            periods += 1
        rates.append(periods * SUBSTEPS * engine.num_envs / (time.perf_counter() - begun))
    return sorted(rates)


def here(names: tuple[str, ...]) -> list[str]:
    """Those that start; says of the others what they need."""
    found = []
    for name in names:
        try:
            make_engine(SCENE, 1, name).close()
            found.append(name)
        except (UnsupportedError, WorkerError) as error:
            print(f"bench-engines: without {name}: {error}", file=sys.stderr)
    return found


def engine_rows(name: str, options: Options) -> tuple[Stand, list[Row]]:
    """One engine: heights, weight, speed."""
    engine = make_engine(SCENE, 1, name)
    stood = stand(engine)
    engine.close()
    many = make_engine(SCENE, options.worlds, name)
    rates = speed(many, options)
    many.close()
    at = ", ".join(f"{height:.4f}" for height in stood.heights)
    return stood, [
        Row(metric=f"{name}: height at step {CHECKED[-1]}", value=stood.heights[-1], unit="m",
            peer=f"at steps {', '.join(map(str, CHECKED))}: {at}"),
        Row(metric=f"{name}: feet carry of the weight", value=stood.weight, unit="", must=">= 0.99"),
        Row(metric=f"{name}: and not more than", value=stood.weight, unit="", must="<= 1.01"),
        Row(metric=f"{name}: physics steps/s, {options.worlds} worlds", value=statistics.median(rates) / 1e3,
            unit="k", spread=(rates[0] / 1e3, rates[-1] / 1e3), seeds=len(rates)),
    ]  # fmt: skip


def pair_rows(stood: dict[str, Stand]) -> list[Row]:
    """How far apart each two are at the end."""
    return [
        Row(metric=f"{one} and {other}: apart at step {CHECKED[-1]}",
            value=1e3 * abs(stood[one].heights[-1] - stood[other].heights[-1]), unit="mm", must="<= 3")
        for one, other in itertools.combinations(stood, 2)
    ]  # fmt: skip


def trip_rows(options: Options) -> list[Row]:
    """A request that asks for nothing, with the command written before it and every array copied after it; and a
    control period whose simulator does nothing: drives at every physics step, the feet's kinematics on this side."""
    engine = WorkerEngine(SCENE, options.trip_worlds, IDLE)
    arrays = engine.process.arrays
    command = arrays["command"].copy()
    told = ("root", "joint_position", "joint_velocity", "target", "joint_torque", "joint_power", "foot_force", "failed")

    def trip() -> None:
        arrays["command"][:] = command
        engine.process.request(0)
        for name in told:
            arrays[name].copy()

    rows = [
        _timed(f"trip to a worker, {options.trip_worlds} worlds", trip, must="<= 1", aim="<= 0.3"),
        _timed(f"a control period without physics, {options.trip_worlds} worlds", lambda: hold(engine)),
    ]
    engine.close()
    return rows


def training_rows(names: list[str], options: Options) -> list[Row]:
    """Control steps of a short training per second of processor time, networks and updates included, and how much
    slower that is than on the first. Wall time would tell what else the machine did."""
    rates = {name: _training_rate(name, options) for name in options.trained if name in names}
    first = next(iter(rates), "")
    return [
        Row(
            metric=f"training on {name}: control steps per CPU-second, {options.training_worlds} worlds",
            value=rate / 1e3, unit="k",
            peer=None if name == first else f"{rates[first] / rate:.1f} times as long as on {first}",
        )
        for name, rate in rates.items()
    ]  # fmt: skip


def _training_rate(name: str, options: Options) -> float:
    """From a training of one iteration, which is for the start, to one of more."""
    with tempfile.TemporaryDirectory() as folder:
        (few, begun), (many, ended) = (
            _trained(name, iterations, options.training_worlds, Path(folder) / str(iterations))
            for iterations in (1, 1 + options.iterations)
        )
    return (many - few) / (ended - begun)


def _trained(name: str, iterations: int, worlds: int, run: Path) -> tuple[float, float]:
    """Control steps, and processor time, s, of the whole program and of its worker."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [*training("quadruped", 0, run, iterations), "--engine", name, "--num-envs", str(worlds)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (run / "metrics.csv").open() as file:
        *_, last = csv.DictReader(file)
    return float(last["steps"]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _timed(metric: str, call, must: str | None = None, aim: str | None = None) -> Row:
    times = []
    for _ in range(200):
        begun = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - begun))
    times.sort()
    return Row(
        metric=metric, value=statistics.median(times), unit="ms", must=must, aim=aim, seeds=1,
        peer=f"of 200 nine in ten below {times[179]:.3g} ms",
    )  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    torch.set_num_threads(1)
    stood, rows = {}, []
    for name in here(options.engines):
        stood[name], own = engine_rows(name, options)
        rows += own
    rows += [*trip_rows(options), *training_rows(list(stood), options)]
    return report("engines", [*pair_rows(stood), *rows], options)


if __name__ == "__main__":
    sys.exit(main())
