"""How good a policy is: many episodes, each counted once, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_policies.evaluation.intervals import Interval, interval_of_any, mean_interval, wilson
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env, Step
from isthmus_sim.task import Task
from isthmus_sim.threads import one_torch_thread

STEADY_FROM = 0.6
"""Share of an episode's own length after which a metric counts as steady: steps 300 to 500 of 500."""

MakeRunner = Callable[[Env], PolicyRunner]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results over episodes. Intervals are 95 %: Wilson for shares, normal for means."""

    task: str
    robot: str
    engine: str
    episodes: int
    seed: int
    success: Interval
    """Share of episodes that did what the task calls success."""
    success_is: str
    """What that is: "goal reached", or "lasted to the end" where a task has nothing else to achieve."""
    failed: Interval
    """Share of episodes that ended in a failure."""
    timed_out: Interval
    """Share of episodes that ended because time was out."""
    total_reward: Interval
    """Per episode."""
    steady: dict[str, Interval | None]
    """Per metric, its mean over the last 40 % of an episode, over episodes that did not fail; None where all did."""
    rmse: dict[str, Interval | None]
    """Per metric, its root mean square over a whole episode, over episodes that did not fail."""
    final: dict[str, Interval | None]
    """Per metric, its value at the end of an episode, over all episodes but those whose simulation diverged."""
    peak: dict[str, Interval | None]
    """Per metric, its largest value within an episode, over all episodes but those whose simulation diverged."""
    diverged: int
    """Worlds whose simulation diverged; they count as failed."""
    surroundings: dict[str, list[Interval | None]] = field(default_factory=dict)
    """Kind of surroundings -> success by level of difficulty, None where no episode was; empty for a task with one
    level."""


class _Trace:
    """What became of the first episode of every world."""

    def __init__(self, env: Env) -> None:
        n, device = env.num_envs, env.device
        self.going = torch.ones(n, dtype=torch.bool, device=device)
        self.failed, self.succeeded, self.timed_out = (torch.zeros_like(self.going) for _ in range(3))
        self.length = torch.zeros(n, dtype=torch.long, device=device)
        self.reward = torch.zeros(n, device=device)
        self.diverged = 0
        self._metrics: dict[str, list[Tensor]] = {}

    def add(self, step: Step) -> None:
        """A step of every world; those whose first episode is over do not count."""
        going = self.going
        self.failed |= going & step.terminated & ~step.succeeded
        self.succeeded |= going & step.succeeded
        self.timed_out |= going & step.truncated
        self.reward += step.reward * going
        self.length += going
        if step.divergence is not None:
            self.diverged += int(going[step.divergence.worlds].sum())
        for name, value in step.metrics.items():
            self._metrics.setdefault(name, []).append(torch.where(going, value, 0.0))
        self.going = going & ~(step.terminated | step.truncated)

    def metrics(self) -> dict[str, Tensor]:
        """name -> (T, N), 0 after an episode's end."""
        return {name: torch.stack(rows) for name, rows in self._metrics.items()}


def evaluate(
    task: Task,
    make_runner: MakeRunner,
    episodes: int,
    seed: int,
    *,
    engine: str | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run `episodes` episodes side by side, each to its first end; over levels and kinds evenly, where a task has them.

    Raises ValueError for fewer than 2 episodes, an unknown engine or a scene that it cannot simulate.
    """
    if episodes < 2:
        raise ValueError(f"an interval needs at least 2 episodes, got {episodes}")
    engine = engine or task.engines[0]
    env = Env(task, make_engine(task.scene, episodes, engine), seed, measure=True, keep_divergences=True)
    env.level[:] = levels(task, episodes, env.device)
    start = env.level.clone()
    runner, trace = make_runner(env), _Trace(env)
    for t in range(task.episode_steps):
        with one_torch_thread():
            step = runner.step(env)
        runner.restart(step.ended)
        trace.add(step)
        if on_step:
            on_step(t + 1, task.episode_steps)
        if not trace.going.any():
            break
    env.close()
    return _result(task, engine, seed, trace, start)


def levels(task: Task, episodes: int, device: torch.device | str = "cpu") -> Tensor:
    """Level of each episode (episodes,): every kind of surroundings gets every level equally often, and where there are
    fewer episodes than that takes, levels from the easiest to the hardest."""
    kinds = max(1, len(task.kinds))
    turn, turns = torch.arange(episodes, device=device) // kinds, -(-episodes // kinds)
    if turns >= task.levels:
        return turn % task.levels
    return turn * (task.levels - 1) // max(1, turns - 1)


def _result(task: Task, engine: str, seed: int, trace: _Trace, level: Tensor) -> Evaluation:
    n = len(trace.going)
    good = trace.succeeded if task.has_goal else ~trace.failed
    lived = torch.arange(task.episode_steps, device=level.device).unsqueeze(1) < trace.length
    # The last step always counts, however early an episode was over.
    late = lived & (
        torch.arange(task.episode_steps, device=level.device).unsqueeze(1) >= STEADY_FROM * (trace.length - 1)
    )
    metrics = trace.metrics()
    steps = max((len(rows) for rows in metrics.values()), default=0)
    lived, late, kept, last = lived[:steps], late[:steps], ~trace.failed, trace.length.unsqueeze(0) - 1

    def mean(rows: Tensor, mask: Tensor) -> Tensor:
        return (rows * mask).sum(0) / mask.sum(0)

    return Evaluation(
        task=task.name,
        robot=task.robot.name,
        engine=engine,
        episodes=n,
        seed=seed,
        success=wilson(int(good.sum()), n),
        success_is="goal reached" if task.has_goal else "lasted to the end",
        failed=wilson(int(trace.failed.sum()), n),
        timed_out=wilson(int(trace.timed_out.sum()), n),
        total_reward=mean_interval(trace.reward),
        steady={name: interval_of_any(mean(rows, late)[kept]) for name, rows in metrics.items()},
        rmse={name: interval_of_any(mean(rows.square(), lived).sqrt()[kept]) for name, rows in metrics.items()},
        final={name: interval_of_any(_finite(rows.gather(0, last)[0])) for name, rows in metrics.items()},
        peak={name: interval_of_any(_finite(rows.where(lived, -torch.inf).amax(0))) for name, rows in metrics.items()},
        diverged=trace.diverged,
        surroundings=_by_surroundings(task, good, level),
    )


def _finite(values: Tensor) -> Tensor:
    return values[torch.isfinite(values)]


def _by_surroundings(task: Task, good: Tensor, level: Tensor) -> dict[str, list[Interval | None]]:
    if task.levels == 1:
        return {}
    kinds = task.kinds or ("all",)
    kind = torch.arange(len(good), device=good.device) % len(kinds)
    table: dict[str, list[Interval | None]] = {}
    for k, name in enumerate(kinds):
        cells = [good[(kind == k) & (level == i)] for i in range(task.levels)]
        table[name] = [wilson(int(cell.sum()), len(cell)) if len(cell) else None for cell in cells]
    return table
