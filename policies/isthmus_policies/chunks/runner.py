"""Policies of chunks drive several robots, such as the worlds of an Env: each by a `ChunkExecutor`, as on the robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isthmus_deploy.chunk_executor import ChunkExecutor, ExecutorConfig, Request, Strategy
from isthmus_deploy.contracts.contract import Contract
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.columns import commands_of
from isthmus_policies.chunks.inference import (
    GraphInference,
    Inference,
    NetworkInference,
    PolicyInference,
    RobotInference,
)
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_sim.engine import Commands
from isthmus_sim.env import Env, Step

Watch = Callable[[list[int], Tensors], None]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a policy's chunks are made and executed.

    Args:
        executor: When they are made, and what is done of them.
        steps: Evaluations of the network for one, or where chunks begin near to the one before for those that do; None
            for the method's own number.
        seed: Of the noise.
    """

    executor: ExecutorConfig
    steps: int | None = None
    seed: int = 0

    @property
    def evaluations(self) -> tuple[int | None, int | None]:
        """How many a chunk has that begins afresh, and one that begins near to another."""
        return None if self.executor.begins_near else self.steps, self.steps


def usual_executor(horizon: int, execute: int | None = None, strategy: Strategy = "receding") -> ExecutorConfig:
    """How chunks are executed: `execute` actions of each, by default half. Raises ValueError where it cannot be as
    many."""
    half = max(1, horizon // 2)
    return ExecutorConfig(horizon=horizon, execute=half if execute is None else execute, strategy=strategy)


def executor_of(policy: ChunkPolicy, execute: int | None = None, strategy: Strategy | None = None) -> ExecutorConfig:
    """How a policy's chunks are executed where nothing else is asked for: half of each, or, of one that plans at every
    tick, the first action. Raises ValueError where it cannot be as many."""
    if policy.plans_every_tick:
        return usual_executor(policy.spec.horizon, 1 if execute is None else execute, strategy or "warm_start")
    return usual_executor(policy.spec.horizon, execute, strategy or "receding")


class ChunkDriver:
    """A `ChunkExecutor` for each of n robots, and what infers for all that are due. Inference takes no time here: a
    chunk is there at the tick of its observation.

    Args:
        inference: Makes the chunks.
        n: How many robots.
        executor: When they are made, and what is done of them.
        seed: Of the noise.
        device: Where it is drawn, and what is seen lies.
        watch: Is told of every inference: the robots, and what is seen by these.
    """

    def __init__(
        self,
        inference: Inference,
        n: int,
        executor: ExecutorConfig,
        seed: int = 0,
        device: torch.device | str = "cpu",
        watch: Watch | None = None,
    ) -> None:
        self._inference, self._device, self._watch = inference, torch.device(device), watch
        _, horizon, size = inference.noise
        self._executors = [ChunkExecutor(executor, size) for _ in range(n)]
        self._generator = torch.Generator(self._device).manual_seed(seed)
        self._tick = 0
        self.chunks = np.zeros((n, horizon, size), np.float32)
        """(n, horizon, action_size): what was last inferred for each."""

    def actions(self, seen: Tensors) -> Tensor:
        """What each robot does now, (n, action_size), upon what is seen by all of them, each (n, observed, …); a tick
        later with every call."""
        asked = {
            i: executor.request(self._tick) for i, executor in enumerate(self._executors) if executor.due(self._tick)
        }
        # Those that begin afresh and those that begin near to a chunk are asked for apart.
        for near in (False, True):
            if chosen := {i: request for i, request in asked.items() if (request.init is not None) == near}:
                self._infer(chosen, seen)
        rows = np.stack([executor.action(self._tick) for executor in self._executors])
        self._tick += 1
        return torch.from_numpy(rows).float().to(self._device)

    def _infer(self, asked: dict[int, Request], seen: Tensors) -> None:
        robots = list(asked)
        begun = [request.init for request in asked.values() if request.init is not None]
        init = torch.from_numpy(np.stack(begun)).float().to(self._device) if begun else None
        shape = (len(robots), *self._inference.noise)
        noise = torch.randn(shape, generator=self._generator, device=self._device)
        chosen = {name: value[robots] for name, value in seen.items()}
        if self._watch is not None:
            self._watch(robots, chosen)
        self.chunks[robots] = self._inference.chunks(chosen, noise, init).cpu().numpy()
        for i in robots:
            self._executors[i].add(asked[i], self.chunks[i], self._tick)

    def restart(self, ids: Tensor) -> None:
        """Robots `ids` begin a new episode."""
        for i in ids.tolist():
            self._executors[i].reset()


def policy_driver(policy: ChunkPolicy, n: int, execution: Execution) -> ChunkDriver:
    """What drives n robots whose observations are at hand as the policy has them."""
    inference = PolicyInference(policy, steps=execution.evaluations)
    return ChunkDriver(inference, n, execution.executor, execution.seed)


def history(rows: Mapping[str, Tensor], observed: int) -> dict[str, Tensor]:
    """What is seen where episodes begin, (n, observed, …), of the first rows (n, …): these stand for those before."""
    return {name: torch.stack([row] * observed, dim=1) for name, row in rows.items()}


def see_(seen: dict[str, Tensor], rows: Mapping[str, Tensor], fresh: Tensor) -> None:
    """Put the newest rows (n, …) into what is seen (n, observed, …), in place; fresh (n,) bool: whose episode begins
    with these."""
    for name, row in rows.items():
        seen[name][:, :-1] = seen[name][:, 1:].clone()
        seen[name][:, -1] = row
        seen[name][fresh] = row[fresh].unsqueeze(1)


class ChunkRunner(PolicyRunner):
    """A `ChunkDriver` for an Env.

    Args:
        inference: Makes the chunks.
        env: Whose worlds.
        executor: When they are made, and what is done of them.
        seed: Of the noise.
        watch: Is told of every inference: the worlds, and what is seen by these.
    """

    def __init__(
        self,
        inference: RobotInference,
        env: Env,
        executor: ExecutorConfig,
        seed: int = 0,
        watch: Watch | None = None,
    ) -> None:
        self._signals = inference.signals
        self._driver = ChunkDriver(inference, env.num_envs, executor, seed, env.device, watch)
        env.reset()
        self.seen = history(self._rows(env), inference.observed)
        """The last readings by signal, (n, observed, …) each: what it acted upon last."""
        self._fresh = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)

    def _rows(self, env: Env) -> dict[str, Tensor]:
        return {name: env.signals[name] for name in self._signals}

    def step(self, env: Env) -> Step:
        return env.step_commands(self.commands(env))

    def commands(self, env: Env) -> Commands:
        """What it would do now. To be asked once a step."""
        see_(self.seen, self._rows(env), self._fresh)
        self._fresh[:] = False
        return commands_of(env.task.robot, self._driver.actions(self.seen))

    def restart(self, ids: Tensor) -> None:
        self._driver.restart(ids)
        self._fresh[ids] = True


def network_runner(policy: ChunkPolicy, env: Env, execution: Execution) -> ChunkRunner:
    """The trained policy drives an Env. Raises ValueError where it does not read or give what this robot has."""
    inference = NetworkInference(policy, env.task.robot, env.device, execution.evaluations)
    return ChunkRunner(inference, env, execution.executor, execution.seed)


def graph_runner(
    session: onnxruntime.InferenceSession, contract: Contract, env: Env, seed: int | None = None
) -> ChunkRunner:
    """The exported policy drives an Env, as its contract says that it is run.

    Args:
        session, contract: What `open_graph` gives.
        env: Whose worlds.
        seed: Of the noise; None for the Env's.

    Raises:
        ContractMismatch: it is for another robot.
        ValueError: it is not a policy of chunks.
    """
    inference = GraphInference(session, contract, env.task.robot)
    return ChunkRunner(inference, env, inference.executor, env.generator.initial_seed() if seed is None else seed)
