"""`make bench-gpu`: the quadruped's worlds on a GPU, the engine alone and the whole Env under a random policy.

One environment step is four physics steps of 5 ms; steps are counted over all worlds. Resets, with new loads and
friction, are part of the Env's figure, as in training.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from common import BenchOptions, Row, machine, parse, report

import torch

from isthmus_sim.engine import UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import one_torch_thread

SUBSTEPS = 4
GPU_WORLDS = (256, 512, 1024, 2048, 4096, 8192, 16384)
CPU_WORLDS = (16, 64, 256)


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure steps per second on the GPU."""

    task: str = "quadruped"
    """quadruped or quadruped-rough."""
    worlds: tuple[int, ...] = ()
    """Numbers of worlds; by default 256 to 16384, with --cpu 16 to 256."""
    rounds: int = 5
    """Times that engine and Env take turns."""
    seconds: float = 1.0
    """Length of one turn, s."""
    cpu: bool = False
    """Run the same kernels on the CPU, to see that they run; without it and without a GPU nothing is measured."""


QUICK = Options(worlds=(16,), rounds=1, seconds=0.2)


def finish() -> None:
    """Wait for all that the GPU still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def used() -> int:
    """Bytes in use on the GPU, by anybody."""
    gc.collect()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return total - free


def rate(step: Callable[[], object], seconds: float) -> float:
    """Calls per second over about `seconds`, each call's work done."""
    finish()
    begun, calls = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        calls += 1
    finish()
    return calls / (time.perf_counter() - begun)


def row(metric: str, rates: list[float]) -> Row:
    """Thousands per second: the median of the turns and their spread."""
    return Row(
        metric=metric, value=statistics.median(rates) / 1e3, unit="k/s",
        spread=(min(rates) / 1e3, max(rates) / 1e3), seeds=len(rates),
    )  # fmt: skip


def speed_rows(worlds: int, options: Options, where: str) -> list[Row]:
    """The engine and the whole Env, in turns; how much memory of the GPU they took."""
    before = used() if torch.cuda.is_available() else 0
    task = make_task(options.task)
    env = Env(task, make_engine(task.scene, worlds, "warp"), seed=0, random_initial_age=True)
    generator = torch.Generator(env.engine.device).manual_seed(1)

    def act() -> None:
        env.step(2 * torch.rand(worlds, task.action_size, generator=generator, device=env.engine.device) - 1)

    def step() -> None:
        env.engine.advance(env.command)

    env.reset()
    rate(act, options.seconds)
    turns = [(rate(step, options.seconds) * worlds, rate(act, options.seconds) * worlds) for _ in range(options.rounds)]
    alone, whole = (list(rates) for rates in zip(*turns, strict=True))
    rows = [
        row(f"{where}: engine, {worlds} worlds, physics steps", [SUBSTEPS * value for value in alone]),
        row(f"{where}: engine, {worlds} worlds, environment steps", alone),
        row(f"{where}: whole Env, {worlds} worlds, environment steps", whole),
    ]
    if torch.cuda.is_available():
        taken = (used() - before) / 2**30
        rows.append(Row(metric=f"{where}: memory, {worlds} worlds of {options.task}", value=taken, unit="GiB"))
    env.close()
    return rows


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if options.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before anybody looks
    gpu = torch.cuda.is_available()
    if not gpu and not options.cpu:
        print(f"bench-gpu: nothing measured, torch {torch.__version__} finds no CUDA device on {machine()}; "
              "--cpu runs the same kernels on the CPU")  # fmt: skip
        return 0
    where = torch.cuda.get_device_name() if gpu else "Warp on the CPU"
    rows: list[Row] = []
    try:
        with one_torch_thread():  # as in training
            for worlds in options.worlds or (GPU_WORLDS if gpu else CPU_WORLDS):
                rows += speed_rows(worlds, options, where)
    except UnsupportedError as error:
        sys.exit(f"bench-gpu: {error}")
    return report("gpu" if gpu else "gpu-on-cpu", rows, options)


if __name__ == "__main__":
    sys.exit(main())
