"""`make bench-train`: PPO here beside rsl_rl's PPO on the same Env, with the same networks and batch.

Both train in this process, in turns of a few iterations, so that whatever else the machine does hits both; what they
share and what is each one's own is in peers/rsl_rl_ppo.py. Only iterations are timed. Neither writes logs or
checkpoints.

Returns are of whole episodes at the mean action on worlds of their own, the same for both, between the turns. The
return that both must reach is, seed by seed, nine tenths of the way from the untrained policies to the lower of the
two at the end.

Raw physics is `mujoco.batch.Batch` alone: the worlds as training left them, the last control held, one call per control
step, in turns with the training.
"""

# MuJoCo's names come from its compiled modules, which a type checker cannot see into.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report, training

import mujoco
import torch
from peers.rsl_rl_ppo import RslRl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_policies.training.config import TrainConfig, default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_policies.training.worlds import engine_name, make_engine, make_task
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.env import Env, Step
from isthmus_sim.threads import use_thread_budget

EVALUATION_SEED = 55_000
PEER = "rsl-rl-lib 5.5.1"
Act = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Train with both learners and compare."""

    task: str = "quadruped"
    """Any task that isthmus-train knows; its defaults are used."""
    engine: str | None = None
    """Name of the engine; by default the task's first one."""
    seeds: tuple[int, ...] = (201, 202, 203)
    """Training seeds: each is one training of either learner."""
    iterations: int | None = None
    """Iterations of a training instead of the task's."""
    turns: int = 15
    """Turns of a training. The policies are evaluated before the first and after each."""
    episodes: int = 128
    """Episodes of an evaluation."""
    memory_worlds: int = 4096
    """Worlds of the training whose memory is measured."""
    reward_scale: float | None = None
    """Factor of the rewards that rsl_rl sees; by default the control period in s: rewards per second, as Isaac Lab and
    legged_gym give it. It clips the value's change in units of reward, so its authors' tasks keep values near 1."""


QUICK = Options(
    task="quadrotor", engine="mujoco", seeds=(201, 202), iterations=2, turns=1, episodes=4, memory_worlds=64
)


@dataclass(kw_only=True)
class Track:
    """One learner's way through a training: at the start and after each turn, seconds of training and return."""

    seconds: list[float] = field(default_factory=lambda: [0.0])
    returns: list[float] = field(default_factory=list)

    def time_to(self, target: float) -> float:
        """Seconds until the return first is `target`, straight lines between the evaluations; inf if it never is."""
        points = list(zip(self.seconds, self.returns, strict=True))
        for (t0, r0), (t1, r1) in itertools.pairwise(points):
            if r1 >= target:
                return t0 + (t1 - t0) * max(0.0, target - r0) / (r1 - r0) if r1 > r0 else t0
        return float("inf")


@dataclass(kw_only=True)
class Race:
    """Both learners' trainings with one seed. kept: share of raw physics that training keeps, per turn."""

    steps: int
    ours: Track = field(default_factory=Track)
    theirs: Track = field(default_factory=Track)
    kept: list[float] = field(default_factory=list)

    def time_to_common_return(self) -> tuple[float, float] | None:
        """Seconds (ours, theirs) until the return that both reach; None where one of them has learned nothing."""
        start = max(self.ours.returns[0], self.theirs.returns[0])
        end = min(self.ours.returns[-1], self.theirs.returns[-1])
        if end <= start:
            return None
        target = start + 0.9 * (end - start)
        return self.ours.time_to(target), self.theirs.time_to(target)


class MeanRunner(PolicyRunner):
    """Acts without noise, on the reward that training ends with."""

    def __init__(self, act: Act, env: Env, progress: float) -> None:
        self._act = act
        env.progress = progress
        self._observation = env.reset()["actor"]

    @torch.no_grad()
    def step(self, env: Env) -> Step:
        step = env.step(self._act(self._observation))
        self._observation = step.observations["actor"]
        return step

    def restart(self, ids: Tensor) -> None:
        """It remembers nothing."""


def mean_return(act: Act, config: TrainConfig, episodes: int) -> float:
    """Mean sum of rewards of whole episodes, each to its first end."""
    task = make_task(config)
    result = evaluate(
        task, lambda env: MeanRunner(act, env, config.curriculum_end), episodes, EVALUATION_SEED,
        engine=engine_name(config, task),
    )  # fmt: skip
    return result.total_reward[1]


class Physics:
    """The engine's bare `mujoco.batch.Batch` in worlds like those of a training."""

    def __init__(self, config: TrainConfig) -> None:
        engine = make_engine(config, make_task(config), config.num_envs)
        assert isinstance(engine, MujocoEngine)
        self._engine = engine

    def rate(self, env: Env, control_steps: int = 10) -> float:
        """World control steps per second from where `env` is."""
        engine, n = self._engine, self._engine.num_envs
        assert isinstance(env.engine, MujocoEngine)
        engine.load_state_dict({name: value.clone() for name, value in env.engine.state_dict().items()})
        begun = time.perf_counter()
        for _ in range(control_steps):
            engine.batch.step(None, engine.num_substeps, mujoco.mjtStage.mjSTAGE_NONE)
        return control_steps * n / (time.perf_counter() - begun)


def race(config: TrainConfig, options: Options, on_turn: Callable[[Race], None]) -> Race:
    """Train with both learners in turns, with one seed."""
    task = make_task(config)
    scale = options.reward_scale if options.reward_scale is not None else task.robot.control_period_s
    ours, theirs = Trainer(config), RslRl(config, scale)
    physics = Physics(config) if isinstance(ours.env.engine, MujocoEngine) else None
    result = Race(steps=config.iterations * config.num_envs * config.algorithm.num_steps)

    def evaluate_both() -> None:
        result.ours.returns.append(
            mean_return(lambda rows: ours.policy.act({"actor": rows}, {}, {})[0], config, options.episodes)
        )
        result.theirs.returns.append(mean_return(theirs.act, config, options.episodes))

    evaluate_both()
    for turn in range(options.turns):
        first, last = (config.iterations * t // options.turns for t in (turn, turn + 1))
        begun = time.perf_counter()
        rows = [ours.iterate() for _ in range(first, last)]
        between = time.perf_counter()
        for row in rows:
            theirs.iterate(row["progress"])
        ended = time.perf_counter()
        result.ours.seconds.append(result.ours.seconds[-1] + between - begun)
        result.theirs.seconds.append(result.theirs.seconds[-1] + ended - between)
        if physics:
            trained = (last - first) * config.num_envs * config.algorithm.num_steps / (between - begun)
            result.kept.append(trained / physics.rate(ours.env))
        evaluate_both()
        on_turn(result)
    for env in (ours.env, theirs.env):
        env.close()
    return result


def peak_memory(config: TrainConfig, worlds: int) -> float:
    """GiB of a whole `isthmus-train` process, for three iterations."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*training(config.name, config.seed, Path(folder) / "run", 3), "--num-envs", str(worlds)]
        command += ["--engine", config.engine] if config.engine else []
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_maxrss / 2**20


def speed_rows(races: list[Race]) -> list[Row]:
    """Steps per second of learning, the time to the same return, and what is left of raw physics."""
    ours, theirs = ([r.steps / getattr(r, name).seconds[-1] / 1e3 for r in races] for name in ("ours", "theirs"))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    rows = [
        over_seeds("steps/s with learning", ours, "k/s"),
        over_seeds("steps/s with learning, peer", theirs, "k/s", peer=PEER),
        over_seeds("steps/s with learning, ratio", ratios, "", must=">= 1.3", aim=">= 2"),
    ]
    times = [time for r in races if (time := r.time_to_common_return())]
    if times:
        rows += [
            over_seeds("time to the same return", [a for a, _ in times], "s"),
            over_seeds("time to the same return, peer", [b for _, b in times], "s", peer=PEER),
            over_seeds("time to the same return, peer / ours", [b / a for a, b in times], ""),
        ]
    if races[0].kept:
        share = [statistics.median(r.kept) for r in races]
        rows.append(over_seeds("share of raw physics kept", share, "", must=">= 0.45", aim=">= 0.7"))
    return rows


def return_rows(races: list[Race]) -> list[Row]:
    """Returns at the end. Ours must not be lower than the peer's by more than the seeds' standard deviation."""
    ours, theirs = [r.ours.returns[-1] for r in races], [r.theirs.returns[-1] for r in races]
    allowed = (0.5 * (statistics.variance(ours) + statistics.variance(theirs))) ** 0.5
    difference = statistics.mean(ours) - statistics.mean(theirs)
    return [
        over_seeds("return at the end", ours, ""),
        over_seeds("return at the end, peer", theirs, "", peer=PEER),
        Row(metric="return at the end, mean less the peer's", value=difference, unit="", seeds=len(races),
            must=f">= {-allowed:.4g}", peer="the bound: the seeds' standard deviation"),
    ]  # fmt: skip


def configuration(options: Options) -> TrainConfig:
    """The task's own training. Ends the program where the options cannot be."""
    if len(options.seeds) < 2:
        sys.exit("bench-train: a spread needs at least 2 --seeds")
    try:
        config = default_config(options.task)
    except ValueError as error:
        sys.exit(f"bench-train: {error}")
    config = dataclasses.replace(
        config, engine=options.engine or config.engine, iterations=options.iterations or config.iterations
    )
    if not 1 <= options.turns <= config.iterations:
        sys.exit(f"bench-train: --turns must be from 1 to the {config.iterations} iterations, got {options.turns}")
    return config


def races_of(config: TrainConfig, options: Options, console: Console) -> list[Race]:
    """One race per seed, with a bar or a line a turn."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    races: list[Race] = []
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("", total=len(options.seeds) * options.turns)
        for seed in options.seeds:

            def on_turn(so_far: Race, seed: int = seed) -> None:
                progress.update(bar, advance=1, description=_line(seed, so_far))
                if not console.is_terminal:  # a bar is drawn on terminals alone
                    console.print(_line(seed, so_far))

            races.append(race(dataclasses.replace(config, seed=seed), options, on_turn))
    return races


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    config = configuration(options)
    use_thread_budget()
    # First, while this process is small: a child's peak counts the process that it was forked from.
    memory = peak_memory(config, options.memory_worlds)
    console = Console(width=None if os.isatty(1) else 120)
    races = races_of(config, options, console)
    if not races[0].kept:
        console.print("share of raw physics kept: not measured, this task's engine is not MuJoCo's; --engine chooses")
    if any(r.time_to_common_return() is None for r in races):
        console.print("time to the same return: not measured with a seed where one of the two has learned nothing")
    limit = Row(metric=f"peak memory, {options.memory_worlds} worlds", value=memory, unit="GiB", must="<= 4")
    name = "train" if options.task == "quadruped" else f"train-{options.task}"
    return report(name, [*speed_rows(races), *return_rows(races), limit], options)


def _line(seed: int, r: Race) -> str:
    """Where a race stands."""
    ours, theirs = r.ours, r.theirs
    return (
        f"seed {seed}: {ours.seconds[-1]:.0f} s, return {ours.returns[-1]:.1f}; "
        f"peer {theirs.seconds[-1]:.0f} s, {theirs.returns[-1]:.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
