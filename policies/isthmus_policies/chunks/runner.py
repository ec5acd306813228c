"""A policy of chunks drives the worlds of an Env: each by a `ChunkExecutor`, as on the robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isthmus_deploy.chunk_executor import ChunkExecutor, ExecutorConfig, Request, Strategy
from isthmus_deploy.contract import Contract
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.columns import commands_of
from isthmus_policies.chunks.inference import GraphInference, Inference, NetworkInference
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


def usual_executor(horizon: int, execute: int | None = None, strategy: Strategy = "receding") -> ExecutorConfig:
    """By default half of each chunk is executed. Raises ValueError where it cannot be as many."""
    half = max(1, horizon // 2)
    return ExecutorConfig(horizon=horizon, execute=half if execute is None else execute, strategy=strategy)


class ChunkDriver(PolicyRunner):
    """Inference takes no time here: a chunk is there at the tick of its observation.

    Args:
        inference: Makes the chunks.
        env: Whose worlds.
        executor: When they are made, and what is done of them.
        seed: Of the noise.
    """

    def __init__(self, inference: Inference, env: Env, executor: ExecutorConfig, seed: int = 0) -> None:
        self._inference = inference
        size = inference.noise[-1]
        self._executors = [ChunkExecutor(executor, size) for _ in range(env.num_envs)]
        self._generator = torch.Generator(env.device).manual_seed(seed)
        self._tick = 0
        env.reset()
        # The first reading stands for those before it too.
        self._windows = {
            name: torch.stack([env.signals[name]] * inference.observed, dim=1) for name in inference.signals
        }
        self._fresh = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)

    def step(self, env: Env) -> Step:
        if self._tick:
            self._see(env)
        asked = {
            i: executor.request(self._tick) for i, executor in enumerate(self._executors) if executor.due(self._tick)
        }
        # Those that begin afresh and those that begin near to a chunk are asked for apart.
        for near in (False, True):
            if chosen := {i: request for i, request in asked.items() if (request.init is not None) == near}:
                self._infer(chosen, env.device)
        rows = np.stack([executor.action(self._tick) for executor in self._executors])
        self._tick += 1
        return env.step_commands(commands_of(env.task.robot, torch.from_numpy(rows).float().to(env.device)))

    def _see(self, env: Env) -> None:
        """The newest readings."""
        for name, seen in self._windows.items():
            reading = env.signals[name]
            seen[:, :-1] = seen[:, 1:].clone()
            seen[:, -1] = reading
            seen[self._fresh] = reading[self._fresh].unsqueeze(1)
        self._fresh[:] = False

    def _infer(self, asked: dict[int, Request], device: torch.device) -> None:
        worlds = list(asked)
        windows = {name: value[worlds] for name, value in self._windows.items()}
        begun = [request.init for request in asked.values() if request.init is not None]
        init = torch.from_numpy(np.stack(begun)).float().to(device) if begun else None
        noise = torch.randn((len(worlds), *self._inference.noise), generator=self._generator, device=device)
        chunks = self._inference.chunks(windows, noise, init).cpu().numpy()
        for i, chunk in zip(worlds, chunks, strict=True):
            self._executors[i].add(asked[i], chunk, self._tick)

    def restart(self, ids: Tensor) -> None:
        for i in ids.tolist():
            self._executors[i].reset()
        self._fresh[ids] = True


class ChunkRunner(ChunkDriver):
    """The trained policy.

    Args:
        policy: What infers.
        env: Whose worlds.
        execution: How.

    Raises:
        ValueError: the policy does not read or give what this robot has.
    """

    def __init__(self, policy: ChunkPolicy, env: Env, execution: Execution) -> None:
        steps = (None if execution.executor.begins_near else execution.steps, execution.steps)
        inference = NetworkInference(policy, env.task.robot, env.device, steps)
        super().__init__(inference, env, execution.executor, execution.seed)


class GraphChunkRunner(ChunkDriver):
    """The exported policy, as its contract says that it is run.

    Args:
        session, contract: What `open_graph` gives.
        env: Whose worlds.
        seed: Of the noise.

    Raises:
        ContractMismatch: it is for another robot.
        ValueError: it is not a policy of chunks.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, contract: Contract, env: Env, seed: int | None = None
    ) -> None:
        inference = GraphInference(session, contract, env.task.robot)
        seed = env.generator.initial_seed() if seed is None else seed
        super().__init__(inference, env, inference.executor, seed)
