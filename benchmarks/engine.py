"""`make bench-engine`: the MuJoCo engine beside a bare `mujoco.batch.Batch` loop with the same sub-steps, in turns."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from common import BenchOptions, Row, parse, report

import torch

from isthmus_sim.engine import Commands
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure engine throughput."""

    worlds: tuple[int, ...] = (256, 1024, 4096)
    """Numbers of worlds."""
    rounds: int = 15
    """Times that engine and bare loop take turns."""
    seconds: float = 0.3
    """Length of one turn, s."""


TASK = make_task("quadrotor")
QUICK = Options(worlds=(64,), rounds=2, seconds=0.1)


def rate(step: Callable[[], object], seconds: float) -> float:
    """Calls per second over about `seconds`."""
    begun, calls = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        calls += 1
    return calls / (time.perf_counter() - begun)


def cruising(worlds: int) -> Commands:
    """All rotors a little below hovering."""
    return {"rotor_speed": torch.full((worlds, 4), 1400.0)}


def mujoco_rows(worlds: int, options: Options) -> list[Row]:
    """The engine's whole control step (rotor lag, physics, reading the state) against stepping alone."""
    engine, bare = (MujocoEngine(TASK.scene, worlds) for _ in range(2))
    substeps, commands = engine.num_substeps, cruising(worlds)

    def whole() -> None:
        engine.advance(commands)

    def loop() -> None:
        for _ in range(substeps):
            bare.batch.step()

    ratios, rates = [], []
    for _ in range(options.rounds):
        ours = rate(whole, options.seconds)
        ratios.append(ours / rate(loop, options.seconds))
        rates.append(ours * substeps * worlds)
    rates.sort()
    ratios.sort()
    quarter = options.rounds // 4
    return [
        Row(metric=f"MuJoCo engine, {worlds} worlds", value=statistics.median(rates) / 1e6, unit="M sub-steps/s",
            spread=(rates[0] / 1e6, rates[-1] / 1e6), seeds=options.rounds),
        Row(metric=f"… share of a bare Batch loop, {worlds} worlds", value=statistics.median(ratios), unit="",
            seeds=len(ratios), must=">= 0.9", peer=f"half of them {ratios[quarter]:.3f} … {ratios[-1 - quarter]:.3f}"),
    ]  # fmt: skip


def analytic_rows(worlds: int, options: Options) -> list[Row]:
    """The analytic engine alone, and the whole Env around it."""
    engine, commands = AnalyticQuadrotor(TASK.scene, worlds), cruising(worlds)
    env = Env(TASK, AnalyticQuadrotor(TASK.scene, worlds), seed=0, random_initial_age=True)
    action = torch.full((worlds, 4), 0.334)
    with torch.no_grad():
        env.reset()
        physics = sorted(
            rate(lambda: engine.advance(commands), options.seconds) * worlds for _ in range(options.rounds)
        )
        whole = sorted(rate(lambda: env.step(action), options.seconds) * worlds for _ in range(options.rounds))
    return [
        Row(metric=f"analytic engine, {worlds} worlds", value=statistics.median(physics) / 1e6, unit="M steps/s",
            spread=(physics[0] / 1e6, physics[-1] / 1e6), seeds=options.rounds, peer="theirs, C++: 6.05 a core"),
        Row(metric=f"… with the whole Env, {worlds} worlds", value=statistics.median(whole) / 1e6, unit="M steps/s",
            spread=(whole[0] / 1e6, whole[-1] / 1e6), seeds=options.rounds, peer="theirs, C++: 1.45 a core"),
    ]  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    rows = [
        row for worlds in options.worlds for row in (*mujoco_rows(worlds, options), *analytic_rows(worlds, options))
    ]
    return report("engine", rows, options)


if __name__ == "__main__":
    sys.exit(main())
