"""A chunk policy drives the worlds of an Env: each by a `ChunkExecutor`, as on the robot."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.chunk_executor import ChunkExecutor, ExecutorConfig, Request
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.columns import RobotColumns
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_sim.env import Env, Step


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a policy's chunks are made and executed.

    Args:
        executor: When they are made, and what is done of them.
        steps: Evaluations of the network for one; None for the method's own number.
        seed: Of the noise.
    """

    executor: ExecutorConfig
    steps: int | None = None
    seed: int = 0


class ChunkRunner(PolicyRunner):
    """Inference takes no time here: a chunk is there at the tick of its observation.

    Args:
        policy: What infers.
        env: Whose worlds.
        execution: How.

    Raises:
        ValueError: the policy does not read or give what this robot has.
    """

    def __init__(self, policy: ChunkPolicy, env: Env, execution: Execution) -> None:
        self._policy = copy.deepcopy(policy).to(env.device).eval()
        self._columns = RobotColumns(policy.spec, env.task.robot)
        self._steps = execution.steps
        self._executors = [ChunkExecutor(execution.executor, policy.spec.action_size) for _ in range(env.num_envs)]
        self._generator = torch.Generator(env.device).manual_seed(execution.seed)
        self._tick = 0
        env.reset()
        self._seen = self._columns.history(env.signals)
        self._fresh = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)

    @torch.no_grad()
    def step(self, env: Env) -> Step:
        if self._tick:
            self._columns.see_(self._seen, env.signals, self._fresh)
            self._fresh[:] = False
        asked = {
            i: executor.request(self._tick) for i, executor in enumerate(self._executors) if executor.due(self._tick)
        }
        if asked:
            self._infer(asked)
        rows = np.stack([executor.action(self._tick) for executor in self._executors])
        self._tick += 1
        return env.step_commands(self._columns.commands(torch.from_numpy(rows).float().to(env.device)))

    def _infer(self, asked: dict[int, Request]) -> None:
        """Those that begin afresh and those that begin near to a chunk are asked for apart."""
        for warm in (False, True):
            worlds = [i for i, request in asked.items() if (request.init is not None) == warm]
            if not worlds:
                continue
            observations = {name: value[worlds] for name, value in self._seen.items()}
            init = torch.from_numpy(np.stack([asked[i].init for i in worlds])).float() if warm else None  # type: ignore[arg-type]
            noise = self._policy.noise(len(worlds), self._generator)
            steps = self._steps if warm or not self._is_warm else None
            chunks = self._policy.sample(observations, noise=noise, init=init, steps=steps).cpu().numpy()
            for i, chunk in zip(worlds, chunks, strict=True):
                self._executors[i].add(asked[i], chunk, self._tick)

    @property
    def _is_warm(self) -> bool:
        return self._executors[0].config.strategy in ("warm_start", "real_time")

    def restart(self, ids: Tensor) -> None:
        for i in ids.tolist():
            self._executors[i].reset()
        self._fresh[ids] = True
