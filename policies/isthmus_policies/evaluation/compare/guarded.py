"""An exported policy as it runs on a robot: with the limits of its goals before it and of its commands behind it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.safety.commands.filter import GoalLimiter, SafetyFilter
from isthmus_policies.evaluation.runners import Arrays, GraphRunner
from isthmus_sim.env import Env, Step


class GuardedRunner(GraphRunner):
    """The graph with its own safety chain's limits in every world. Raises PolicyFileError, and UnsafeCommand where the
    graph asks for what is no number."""

    def __init__(self, path: str, contract: Contract, env: Env) -> None:
        super().__init__(path, env)
        self._goals = [GoalLimiter(contract) for _ in range(env.num_envs)]
        self._filters = [SafetyFilter(contract, contract.control_period_s) for _ in range(env.num_envs)]
        self._standby = {c.name: np.broadcast_to(np.asarray(c.standby, float), c.shape) for c in contract.commands}
        self._begin(range(env.num_envs))

    def step(self, env: Env) -> Step:
        rows = {name: value.cpu().numpy() for name, value in env.signals.items()}
        readings = [self._held(world, {name: value[world] for name, value in rows.items()})
                    for world in range(env.num_envs)]  # fmt: skip
        wanted = self.wanted(
            {name: np.stack([reading[name] for reading in readings]).astype(row.dtype) for name, row in rows.items()}
        )
        sent = [
            each.apply({name: value[world] for name, value in wanted.items()}, readings[world])
            for world, each in enumerate(self._filters)
        ]
        commands = {name: np.stack([row[name] for row in sent]).astype(np.float32) for name in wanted}
        return env.step_commands({name: torch.from_numpy(value).to(env.device) for name, value in commands.items()})

    def _held(self, world: int, readings: Arrays) -> Arrays:
        return dict(self._goals[world].apply(readings))

    def restart(self, ids: Tensor) -> None:
        super().restart(ids)
        self._begin(ids.tolist())

    def _begin(self, worlds: range | list[int]) -> None:
        for world in worlds:
            self._goals[world].reset()
            self._filters[world].reset(self._standby)
