"""Episodes of a policy of chunks in simulation, with what a monitor would be told of each inference."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.columns import RobotColumns
from isthmus_policies.chunks.inference import NetworkInference
from isthmus_policies.chunks.monitor.scores import chunk_entropy
from isthmus_policies.chunks.runner import ChunkRunner
from isthmus_policies.chunks.steering.best_of import repeated
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_sim.env import Env, Step
from isthmus_sim.task import Task


@dataclass(kw_only=True)
class WatchedEpisode:
    """One episode.

    embeddings: What the policy made of what it saw, (features,) in each control period. ticks: Control periods from the
    begin to each inference. entropies: Of chunks that it might have made there; none for a policy that draws nothing.
    """

    embeddings: list[Tensor] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    succeeded: bool = False


def drawn_entropy(policy: ChunkPolicy, observations: Tensors, noise: Tensor) -> Tensor:
    """(m,) nats: `chunk_entropy` of the chunks that a policy makes afresh of m observations and noise (m, n, draws,
    horizon, action_size)."""
    chunks = policy.sample(repeated(observations, noise.shape[1]), noise=noise.flatten(0, 1))
    scaled = policy.normalizer.normalize(policy.spec.action, chunks)
    return chunk_entropy(scaled.unflatten(0, (-1, noise.shape[1])))


def watched_episodes(
    task: Task, policy: ChunkPolicy, executor: ExecutorConfig, chunks: int, episodes: int, seed: int
) -> list[WatchedEpisode]:
    """Run a policy side by side, the first episode of each world.

    Args:
        task: What is done.
        policy: Who does it.
        executor: How its chunks are run.
        chunks: How many are drawn for each inference, beside the one that is done.
        episodes: How many.
        seed: Of worlds and noise.

    Raises:
        ValueError: the policy does not read or give what the task's robot has, or there are fewer than 2 episodes.
    """
    made: list[_Watched] = []

    def runner(env: Env) -> PolicyRunner:
        made.append(_Watched(policy, env, executor, chunks, seed))
        return made[0]

    evaluate(task, runner, episodes, seed)
    return made[0].episodes


class _Watched(PolicyRunner):
    """The trained policy, and what is kept of the first episode of each world."""

    def __init__(self, policy: ChunkPolicy, env: Env, executor: ExecutorConfig, chunks: int, seed: int) -> None:
        self._policy, self._chunks = policy, chunks
        self._columns = RobotColumns(policy.spec, env.task.robot)
        self._generator = torch.Generator().manual_seed(seed)
        self._tick, self._going = 0, set(range(env.num_envs))
        self.episodes = [WatchedEpisode() for _ in self._going]
        inference = NetworkInference(policy, env.task.robot, env.device)
        self._runner = ChunkRunner(inference, env, executor, seed, self._see)

    @torch.no_grad()
    def step(self, env: Env) -> Step:
        step = self._runner.step(env)
        embeddings = self._policy.embed(self._observations(self._runner.seen))
        for world in self._going:
            self.episodes[world].embeddings.append(embeddings[world])
        self._tick += 1
        good = step.succeeded if env.task.has_goal else ~step.terminated
        for world in self._going.intersection(step.ended.tolist()):
            self.episodes[world].succeeded = bool(good[world])
            self._going.remove(world)
        return step

    def restart(self, ids: Tensor) -> None:
        self._runner.restart(ids)

    @torch.no_grad()
    def _see(self, worlds: list[int], seen: Tensors) -> None:
        entropies = self._entropies(self._observations(seen)) if self._policy.draws else ()
        for i, world in enumerate(worlds):
            if world in self._going:
                self.episodes[world].ticks.append(self._tick)
                self.episodes[world].entropies += entropies[i : i + 1]

    def _entropies(self, observations: Tensors) -> list[float]:
        shape = (len(next(iter(observations.values()))), self._chunks)
        noise = self._policy.noise(shape[0] * shape[1], self._generator).unflatten(0, shape)
        return drawn_entropy(self._policy, observations, noise).tolist()

    def _observations(self, seen: Tensors) -> Tensors:
        return {name: value.cpu() for name, value in self._columns.observations(seen).items()}
