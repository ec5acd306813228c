"""Episodes of a policy without chunks in simulation, with what its monitor would be told of each control period."""

from __future__ import annotations

import torch

from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import NetworkRunner, PolicyRunner
from isthmus_policies.monitor.steps import CommandShares, WatchedSteps
from isthmus_policies.networks.policy import Policy
from isthmus_sim.env import Env, Step
from isthmus_sim.task import Task


def watched_steps(
    task: Task, policy: Policy, episodes: int, seed: int, engine: str | None = None
) -> list[WatchedSteps]:
    """Run a policy side by side, the first episode of each world. Raises ValueError for fewer than 2 episodes."""
    made: list[_Watched] = []

    def runner(env: Env) -> PolicyRunner:
        made.append(_Watched(policy, env))
        return made[0]

    evaluate(task, runner, episodes, seed, engine=engine)
    return made[0].episodes


class _Watched(NetworkRunner):
    """The trained policy, and what is kept of the first episode of each world."""

    def __init__(self, policy: Policy, env: Env) -> None:
        super().__init__(policy, env)
        self._shares = CommandShares(env.task.robot).to(env.device)
        self._going = set(range(env.num_envs))
        self.episodes = [WatchedSteps() for _ in self._going]

    @torch.no_grad()
    def step(self, env: Env) -> Step:
        embeddings = self._policy.embed(self._observations).cpu()
        action = self.action(env)
        commands = self._shares(env.task.act(action.clamp(-1.0, 1.0), env.signals, env.memory)).cpu()
        step = self.took(env.step(action))
        for world in self._going:
            self.episodes[world].embeddings.append(embeddings[world])
            self.episodes[world].commands.append(commands[world])
        good = step.succeeded if env.task.has_goal else ~step.terminated
        for world in self._going.intersection(step.ended.tolist()):
            self.episodes[world].succeeded = bool(good[world])
            self._going.remove(world)
        return step
