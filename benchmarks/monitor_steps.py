"""`make bench-monitor-steps`: whether a monitor of a policy without chunks tells failures, and what it costs.

A quadrotor's policies. The monitor is made of episodes as training's were, and judged on others: such as those, and
such whose body, air or sensors are others. A failure is what the task says is one: the robot is lost before time is
out. Beside the monitor stand each of its scores alone, and both with each threshold set for itself; all have the same
episodes, the same share of false alarms and the same window. What judges is `RuntimeMonitor`, as on the robot.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from common import BenchOptions, Row, parse, report

import numpy as np
from monitoring.judging import BOTH, USUAL, Counted, Table, judges, rows_of
from rich.console import Console

from isthmus_deploy.policy.runtime import Runtime
from isthmus_policies.export.export import export_run
from isthmus_policies.monitor.step_episodes import watched_steps
from isthmus_policies.monitor.steps import StepMonitorConfig, fit_step_monitor
from isthmus_policies.training.config import default_config
from isthmus_policies.training.run import Run, load_run
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.sensors import SensorModel, SignalNoise
from isthmus_sim.tasks.hover import Hover, HoverConfig
from isthmus_sim.terms.randomization import scaled
from isthmus_sim.threads import use_thread_budget

SEED = 53_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is other than in training: factors of the body's parameters, a steady force as a share of the weight, and
    what replaces noise and sensors of the task."""

    body: Mapping[str, float] = field(default_factory=dict)
    wind: float | None = None
    noise: Mapping[str, SignalNoise] = field(default_factory=dict)
    sensors: Mapping[str, SensorModel] = field(default_factory=dict)


CASES = {
    USUAL: Case(),
    "heavier": Case(body={"mass": 1.35}),
    "battery low": Case(body={"battery": 0.82}),
    "motors slower": Case(body={"time_constant_up": 1.7, "time_constant_down": 1.7}),
    "wind": Case(wind=0.35),
    "odometry late": Case(sensors={"odom": SensorModel(latency_s=(0.04, 0.06))}),
    "gyro noisy": Case(noise={"angular_velocity": SignalNoise(noise=0.6)}),
    "gyro off": Case(noise={"angular_velocity": SignalNoise(noise=0.002, bias=0.8)}),
    "leaning unseen": Case(noise={"orientation": SignalNoise(noise=0.001, bias=0.12)}),
}


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Make monitors, and count what they say of other episodes."""

    runs: tuple[Path, ...] = ()
    """Folders of finished runs of the task quadrotor, each another seed. --quick makes one up."""
    false_alarms: float = 0.1
    """Share of successful episodes in which there may be an alarm."""
    known: int = 600
    """Episodes of which the monitor is made."""
    usual: int = 300
    """Other episodes as training's were."""
    unusual: int = 150
    """Episodes of each other kind."""
    steps: int = 500
    """Control steps of an episode."""
    window: int = StepMonitorConfig.window
    """Computations over which scores are averaged."""
    every: int = StepMonitorConfig.every
    """Control periods from one computation to the next."""
    calls: int = 20_000
    """Computations whose time is measured."""


QUICK = Options(false_alarms=0.3, known=24, usual=6, unusual=4, steps=12, window=1, every=2, calls=200)


class Other(Hover):
    """The run's task with something other than in training."""

    def __init__(self, task: Hover, case: Case, steps: int) -> None:
        config: HoverConfig = task.config
        super().__init__(
            task.robot,
            replace(
                config,
                episode_steps=steps,
                force_share=config.force_share if case.wind is None else case.wind,
                noise={**config.noise, **case.noise},
                sensors={**config.sensors, **case.sensors},
            ),
        )
        changed = [scaled(self.scene, name, (factor, factor)) for name, factor in case.body.items()]
        self.randomization = (*self.randomization, *changed)


def measure(options: Options, runs: tuple[Path, ...], console: Console) -> tuple[Table, list[int]]:
    """All runs' monitors on all cases, and by how many episodes each one's threshold was set."""
    table: Table = {}
    calibrated: list[int] = []
    for number, path in enumerate(runs):
        run, seed = load_run(path), SEED + 100 * number
        task = _hover(run, path)
        config = StepMonitorConfig(
            false_alarms=options.false_alarms, window=options.window, every=options.every, seed=seed
        )
        tried = watched_steps(Other(task, CASES[USUAL], options.steps), run.policy, options.known, seed, run.engine)
        made = judges(*fit_step_monitor(run.policy, task.robot, config, tried), config, tried)
        calibrated.append(made[BOTH][1].episodes)
        for place, (name, case) in enumerate(CASES.items()):
            count = options.usual if name == USUAL else options.unusual
            other = Other(task, case, options.steps)
            episodes = watched_steps(other, run.policy, count, seed + 1 + place, run.engine)
            for episode in episodes:
                length = len(episode.commands)
                for judge, each in made.items():
                    counted = table.setdefault((judge, name), Counted())
                    counted.add(each, episode, range(0, length, options.every), length, task.robot.control_period_s)
            console.print(f"{path}, {name}: {sum(each.succeeded for each in episodes)} of {count} lasted")
    return table, calibrated


def _hover(run: Run, path: Path) -> Hover:
    if not isinstance(run.task, Hover):
        sys.exit(f"bench-monitor-steps: {path} is a run of {run.config.name}; its cases are a quadrotor's")
    return run.task


def cost(policy: Path, calls: int) -> list[Row]:
    """What an exported policy's scores take, beside what its step takes."""
    runtime = Runtime(policy)
    scores = runtime.scores
    assert scores is not None
    signals = {item.name: np.zeros(item.shape, item.dtype) for item in runtime.contract.signals}
    signals["orientation"][0] = 1.0
    stepped, scored = np.empty(calls), np.empty(calls)
    for i in range(calls):
        begun = time.perf_counter_ns()
        runtime.step(signals)
        between = time.perf_counter_ns()
        scores(runtime.scored())
        stepped[i], scored[i] = between - begun, time.perf_counter_ns() - between
    return [
        Row(metric="a step, median", value=float(np.median(stepped)) / 1e3, unit="us", seeds=calls),
        Row(metric="its scores, median", value=float(np.median(scored)) / 1e3, unit="us", seeds=calls),
        Row(metric="its scores, 99 %", value=float(np.percentile(scored, 99)) / 1e3, unit="us", seeds=calls,
            must="<= 1000"),
    ]  # fmt: skip


def made_up(folder: Path) -> Path:
    """A run that nobody trained."""
    trainer = Trainer(replace(default_config("quadrotor"), num_envs=8))
    trainer.save(folder)
    trainer.close()
    return folder


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if not options.runs and not options.quick:
        sys.exit("bench-monitor-steps: --runs RUN … says which; isthmus-train quadrotor makes them")
    use_thread_budget()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        runs = options.runs or (made_up(folder / "run"),)
        table, calibrated = measure(options, runs, Console())
        rows = rows_of(table, calibrated, options.false_alarms)
        if not options.quick:  # who made up a policy has none that succeeds
            config = StepMonitorConfig(false_alarms=options.false_alarms)
            path, _ = export_run(runs[0], folder / "policy.onnx", 100, config)
            rows += cost(path, options.calls)
    return report("monitor_steps", rows, options)


if __name__ == "__main__":
    sys.exit(main())
