"""How good a policy is: many episodes, each counted once, with 95 % intervals."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isthmus_deploy import policy_file
from isthmus_deploy.contract import Contract
from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env, Step
from isthmus_sim.models.reading import OWN
from isthmus_sim.task import Task
from isthmus_sim.threads import one_torch_thread

Z95 = 1.959964
STEADY_FROM = 0.6  # share of the episode after which an error counts as steady: steps 300 to 500 of 500

Interval = tuple[float, float, float]
"""Low end, value, high end of a 95 % interval."""


class Actor(ABC):
    """Something that drives every world of an Env for one control step."""

    @abstractmethod
    def step(self, env: Env) -> Step:
        """Act in every world and advance the Env."""

    def restart(self, ids: Tensor) -> None:  # noqa: B027 (only an actor with a memory of its own has something to do)
        """Worlds `ids` begin a new episode."""


class PolicyActor(Actor):
    """The trained network, at its mean action."""

    def __init__(self, policy: ActorCritic, env: Env) -> None:
        self._policy = copy.deepcopy(policy).to(env.engine.device)
        self._observation = env.reset()["actor"]

    @torch.no_grad()
    def step(self, env: Env) -> Step:
        step = env.step(self._policy.act(self._observation))
        self._observation = step.observations["actor"]
        return step


class GraphActor(Actor):
    """The exported graph itself: raw signals in, commands out, its own memory."""

    def __init__(self, path: str, env: Env) -> None:
        self._session, self._contract = open_graph(path)
        self._memory = initial_memory(self._contract, env.num_envs)
        env.reset()

    def step(self, env: Env) -> Step:
        signals = {name: value.cpu().numpy() for name, value in env.signals.items()}
        commands, self._memory = run_graph(self._session, self._contract, signals, self._memory)
        command = torch.from_numpy(commands[env.task.robot.commands[0].name])
        return env.step_command(command.to(env.engine.device))

    def restart(self, ids: Tensor) -> None:
        fresh = initial_memory(self._contract, len(ids))
        for name, value in fresh.items():
            self._memory[name][ids.cpu().numpy()] = value


Arrays = dict[str, np.ndarray]


def open_graph(path: str) -> tuple[onnxruntime.InferenceSession, Contract]:
    """An exported policy, verified, for batches. Raises PolicyFileError."""
    file = policy_file.read(path)
    return onnxruntime.InferenceSession(file.model, providers=["CPUExecutionProvider"]), file.contract


def initial_memory(contract: Contract, n: int) -> Arrays:
    """Memory at the start of n episodes, by graph input name: (n, *shape) float32."""
    return {
        f"memory_{m.name}": np.broadcast_to(np.asarray(m.initial, np.float32), (n, *m.shape)).copy()
        for m in contract.memory
    }


def run_graph(
    session: onnxruntime.InferenceSession, contract: Contract, signals: Arrays, memory: Arrays
) -> tuple[Arrays, Arrays]:
    """One step of a batch: commands by name, next memory by input name."""
    wanted = {s.name: np.ascontiguousarray(signals[s.name]) for s in contract.signals}
    names = [output.name for output in session.get_outputs()]
    results = {name: np.asarray(value) for name, value in zip(names, session.run(names, wanted | memory), strict=True)}
    return results, {name: results[f"next_{name}"] for name in memory}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results over episodes. Intervals are 95 %: Wilson for shares, normal for means.

    success: share of episodes that reached their end; total_reward: per episode; steady: per metric, its mean over
    the last 40 % of an episode, over successful episodes; rmse: per metric, the root mean square over whole
    successful episodes. None where no episode succeeded.
    """

    task: str
    episodes: int
    seed: int
    success: Interval
    total_reward: Interval
    steady: dict[str, Interval | None]
    rmse: dict[str, Interval | None]
    diverged: int


def evaluate(
    task: Task, make_actor: Callable[[Env], Actor], episodes: int, seed: int, *,
    engine: str | None = None, model: str = OWN, on_step: Callable[[int, int], None] | None = None,
) -> Evaluation:  # fmt: skip
    """Run `episodes` episodes side by side, each to its first end. Raises ValueError for fewer than 2 episodes."""
    if episodes < 2:
        raise ValueError(f"an interval needs at least 2 episodes, got {episodes}")
    env = Env(task, make_engine(task, episodes, engine, model), seed)
    actor = make_actor(env)
    going = torch.ones(episodes, dtype=torch.bool, device=env.engine.device)
    failed, reward, diverged = torch.zeros_like(going), torch.zeros(episodes, device=going.device), 0
    history: dict[str, list[Tensor]] = {}
    for t in range(task.episode_steps):
        before = going.clone()
        with one_torch_thread():
            step = actor.step(env)
        actor.restart(step.ended)
        failed |= going & step.terminated & ~step.succeeded
        reward += step.reward * going
        going[step.ended] = False
        diverged += step.failed
        if t < task.episode_steps - 1:  # after the last step every world is already in its next episode
            for name, value in task.metrics(env.engine.read(), env.goal).items():
                history.setdefault(name, []).append(torch.where(before, value, 0.0))
        if on_step:
            on_step(t + 1, task.episode_steps)
    traces = {name: torch.stack(rows)[:, ~failed] for name, rows in history.items()}
    first = round(STEADY_FROM * task.episode_steps)
    return Evaluation(
        task=task.name,
        episodes=episodes,
        seed=seed,
        success=wilson(int((~failed).sum()), episodes),
        total_reward=mean_interval(reward),
        steady={name: _interval_of_successes(trace[first:].mean(0)) for name, trace in traces.items()},
        rmse={name: _interval_of_successes(trace.square().mean(0).sqrt()) for name, trace in traces.items()},
        diverged=diverged,
    )


def wilson(successes: int, n: int) -> Interval:
    """Score interval of a share (Wilson 1927), 95 %."""
    share, z2 = successes / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends rounding would carry the interval out of [0, 1], or past the share itself.
    return (max(0.0, min(share, centre - half)), share, min(1.0, max(share, centre + half)))


def mean_interval(values: Tensor) -> Interval:
    """Mean of at least two values with its normal 95 % interval."""
    mean, half = float(values.mean()), Z95 * float(values.std()) / math.sqrt(len(values))
    return (mean - half, mean, mean + half)


def _interval_of_successes(values: Tensor) -> Interval | None:
    return mean_interval(values) if len(values) > 1 else None
