"""A chunk policy drives several robots, such as the worlds of an Env: each by a `ChunkExecutor`, as on the robot."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.chunk_executor import ChunkExecutor, ExecutorConfig, Request
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
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


class ChunkDriver:
    """A `ChunkExecutor` for each of n robots, and one policy that infers for all that are due. Inference takes no time
    here: a chunk is there at the tick of its observation.

    Args:
        policy: What infers; it is on the device of the observations.
        n: How many robots.
        execution: How.
    """

    def __init__(self, policy: ChunkPolicy, n: int, execution: Execution) -> None:
        self._policy, self._steps = policy, execution.steps
        self._device = policy.normalizer.offset(policy.spec.action).device
        self._executors = [ChunkExecutor(execution.executor, policy.spec.action_size) for _ in range(n)]
        self._generator = torch.Generator(self._device).manual_seed(execution.seed)
        self._tick = 0
        self.chunks = np.zeros((n, policy.spec.horizon, policy.spec.action_size), np.float32)
        """(n, horizon, action_size): what was last inferred for each."""

    @torch.no_grad()
    def actions(self, observations: Tensors) -> Tensor:
        """What each robot does now, (n, action_size), for observations of all of them; a tick later with every call."""
        asked = {
            i: executor.request(self._tick) for i, executor in enumerate(self._executors) if executor.due(self._tick)
        }
        if asked:
            self._infer(asked, observations)
        rows = np.stack([executor.action(self._tick) for executor in self._executors])
        self._tick += 1
        return torch.from_numpy(rows).float().to(self._device)

    def _infer(self, asked: dict[int, Request], observations: Tensors) -> None:
        """Those that begin afresh and those that begin near to a chunk are asked for apart."""
        for warm in (False, True):
            robots = [i for i, request in asked.items() if (request.init is not None) == warm]
            if not robots:
                continue
            seen = {name: value[robots] for name, value in observations.items()}
            init = self._begun([asked[i] for i in robots]) if warm else None
            noise = self._policy.noise(len(robots), self._generator)
            steps = self._steps if warm or not self._is_warm else None
            chunks = self._policy.sample(seen, noise=noise, init=init, steps=steps).cpu().numpy()
            self.chunks[robots] = chunks
            for i, chunk in zip(robots, chunks, strict=True):
                self._executors[i].add(asked[i], chunk, self._tick)

    def _begun(self, requests: list[Request]) -> Tensor:
        """What these shall begin near to: (n, horizon, action_size)."""
        return torch.from_numpy(np.stack([request.init for request in requests])).float().to(self._device)  # type: ignore[arg-type]

    @property
    def _is_warm(self) -> bool:
        return self._executors[0].config.strategy in ("warm_start", "real_time")

    def restart(self, ids: Tensor) -> None:
        """Robots `ids` begin a new episode."""
        for i in ids.tolist():
            self._executors[i].reset()


class ChunkRunner(PolicyRunner):
    """A `ChunkDriver` for an Env.

    Args:
        policy: What infers.
        env: Whose worlds.
        execution: How.

    Raises:
        ValueError: the policy does not read or give what this robot has.
    """

    def __init__(self, policy: ChunkPolicy, env: Env, execution: Execution) -> None:
        self._columns = RobotColumns(policy.spec, env.task.robot)
        self._driver = ChunkDriver(copy.deepcopy(policy).to(env.device).eval(), env.num_envs, execution)
        env.reset()
        self._seen = self._columns.history(env.signals)
        self._fresh = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)

    def step(self, env: Env) -> Step:
        self._columns.see_(self._seen, env.signals, self._fresh)
        self._fresh[:] = False
        return env.step_commands(self._columns.commands(self._driver.actions(self._seen)))

    def restart(self, ids: Tensor) -> None:
        self._driver.restart(ids)
        self._fresh[ids] = True
