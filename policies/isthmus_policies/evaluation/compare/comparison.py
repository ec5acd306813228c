"""One policy's episodes on several engines: how well it does on each, and where they part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.evaluation.evaluate import Evaluation, MakeRunner, evaluate
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_sim.env import Env, Step
from isthmus_sim.task import Task


@dataclass(frozen=True, kw_only=True)
class Driven:
    """What became of a policy on one engine. places (T, n, k): where the robot truly was at the beginning of each
    control step, not a number after its first episode's end: the base's place, m, or joint positions of a fixed one."""

    score: Evaluation
    places: Tensor


@dataclass(frozen=True, kw_only=True)
class Parting:
    """When the first and another engine's robots were further apart than a tolerance: s after the start, the quartiles
    over the episodes in which they ever were; None for what none was. share: of episodes in which they were."""

    quartiles: tuple[float, float, float] | None
    share: float


def drive(
    task: Task, make_runner: MakeRunner, engine: str, episodes: int, seed: int, on_step: Callable[[int, int], None]
) -> Driven:
    """`episodes` episodes on `engine`: of the same seed they begin alike on every engine, with the same parameters.

    Raises ValueError as `evaluate`, and what the engine raises where it does not start.
    """
    recorded: list[_Recorded] = []

    def recording(env: Env) -> PolicyRunner:
        recorded.append(_Recorded(make_runner(env), env))
        return recorded[-1]

    score = evaluate(task, recording, episodes, seed, engine=engine, on_step=on_step)
    return Driven(score=score, places=torch.stack(recorded[-1].places))


class _Recorded(PolicyRunner):
    """A runner, and where the robots were before each of its steps."""

    def __init__(self, runner: PolicyRunner, env: Env) -> None:
        self._runner, self.places = runner, []
        self._name = "position" if "position" in env.state else "joint_position"
        self._over = torch.zeros(env.num_envs, 1, dtype=torch.bool, device=env.device)

    def step(self, env: Env) -> Step:
        place = env.state[self._name].clone()
        self.places.append(place.masked_fill(self._over, torch.nan).cpu())
        return self._runner.step(env)

    def restart(self, ids: Tensor) -> None:
        self._over[ids] = True
        self._runner.restart(ids)


def parting(first: Driven, other: Driven, tolerance: float, period_s: float) -> Parting:
    """When two engines' robots are more than `tolerance` (m or rad) apart for the first time."""
    steps = min(len(first.places), len(other.places))
    apart = (first.places[:steps] - other.places[:steps]).norm(dim=-1) > tolerance  # not where either's is no number
    ever = apart.any(0)
    when = apart.float().argmax(0)[ever].float() * period_s
    if not ever.any():
        return Parting(quartiles=None, share=0.0)
    low, middle, high = torch.quantile(when, torch.tensor([0.25, 0.5, 0.75])).tolist()
    return Parting(quartiles=(low, middle, high), share=float(ever.float().mean()))
