"""`make bench-runtime`: one inference of an exported policy on one core, and the whole safety chain around it."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from common import BenchOptions, Row, parse, report

import numpy as np

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.runtime import Runtime
from isthmus_policies.export.export import export_run
from isthmus_policies.training.config import default_config
from isthmus_policies.training.trainer import Trainer

EPISODES = 10  # of an evaluation that nobody reads


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure the runtime's latency."""

    policy: Path | None = None
    """An exported policy; by default an untrained one of the quadrotor's size."""
    calls: int = 20_000
    """Number of inferences."""


QUICK = Options(calls=200)


def percentiles(call: Callable[[int], object], calls: int) -> tuple[float, float]:
    """Median and 99th percentile of one call, ms."""
    times = np.empty(calls)
    for i in range(calls):
        begun = time.perf_counter_ns()
        call(i)
        times[i] = time.perf_counter_ns() - begun
    return float(np.percentile(times, 50)) / 1e6, float(np.percentile(times, 99)) / 1e6


def at_rest(runtime: Runtime) -> Mapping[str, np.ndarray]:
    """Signals of a level robot at rest, its joints at their defaults."""
    contract = runtime.contract
    signals = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in contract.signals}
    for spec in contract.signals:
        if spec.frame == "world_from_body":
            signals[spec.name][0] = 1.0  # of a quaternion wxyz
        if spec.unit == "rad" and spec.order == tuple(contract.joints):
            signals[spec.name][:] = [joint.default_position for joint in contract.joints.values()]
    return signals


def measure(policy: Path, calls: int) -> list[Row]:
    """Time of one inference, and of the whole safety chain around one."""
    runtime = Runtime(policy)
    signals, period_ns = at_rest(runtime), round(1e9 * runtime.contract.control_period_s)
    for _ in range(1000):
        runtime.step(signals)
    infer = percentiles(lambda _: runtime.step(signals), calls)
    controller = PolicyController({"policy": StepDriver(runtime)})
    ages = dict.fromkeys(signals, 0.0)
    controller.tick(signals, ages, 0)
    controller.arm(0)
    controller.start(0)
    chain = percentiles(lambda i: controller.tick(signals, ages, i * period_ns), calls)
    return [
        Row(metric="one inference, median", value=infer[0], unit="ms", seeds=calls, must="<= 0.2"),
        Row(metric="one inference, 99 %", value=infer[1], unit="ms", seeds=calls),
        Row(metric="guard, policy, filter and supervisor, median", value=chain[0], unit="ms", seeds=calls),
        Row(metric="guard, policy, filter and supervisor, 99 %", value=chain[1], unit="ms", seeds=calls),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # on one core, as the number is stated
    if options.policy:
        return report("runtime", measure(options.policy, options.calls), options)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        Trainer(dataclasses.replace(default_config("quadrotor"), num_envs=8)).save(folder)
        path, _ = export_run(folder, episodes=EPISODES)
        return report("runtime", measure(path, options.calls), options)


if __name__ == "__main__":
    sys.exit(main())
