"""Who makes chunks for many worlds at once: the trained network, or the graph that would run on the robot."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.robot_interface import interface_of
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.columns import RobotColumns, actions_of, commands_of
from isthmus_sim.description import RobotDescription

NOISE = "chunk"
"""The name in a contract of what a policy draws for a chunk."""


class Inference(ABC):
    """Makes chunks of actions."""

    noise: tuple[int, int, int]
    """(draws, horizon, action_size) of what it draws for a chunk."""

    @abstractmethod
    def chunks(self, seen: Tensors, noise: Tensor, init: Tensor | None) -> Tensor:
        """(n, horizon, action_size) upon what is seen, each (n, observed, …), from noise (n, draws, horizon,
        action_size); near to `init` of the chunks' shape where that is given."""


class RobotInference(Inference):
    """One that sees a robot's signals, and whose actions are in its commands' units."""

    signals: tuple[str, ...]
    """The signals that it reads."""
    observed: int
    """How many readings of each, oldest first."""


class PolicyInference(Inference):
    """A trained policy, upon observations as it has them.

    Args:
        policy: It.
        device: Where it computes.
        steps: Evaluations of its network when it begins afresh, and near to a chunk; None for the method's own number.
    """

    def __init__(
        self,
        policy: ChunkPolicy,
        device: torch.device | str = "cpu",
        steps: tuple[int | None, int | None] = (None, None),
    ) -> None:
        self._policy, self._steps = copy.deepcopy(policy).to(device).eval(), steps
        self.noise = (policy.draws, policy.spec.horizon, policy.spec.action_size)

    @torch.no_grad()
    def chunks(self, seen: Tensors, noise: Tensor, init: Tensor | None) -> Tensor:
        return self._policy.sample(seen, noise=noise, init=init, steps=self._steps[init is not None])


class NetworkInference(RobotInference):
    """A trained policy, upon a robot's signals.

    Args:
        policy: It.
        robot: Whose signals and commands.
        device: Where it computes.
        steps: As `PolicyInference` has them.

    Raises:
        ValueError: the policy does not read or give what this robot has.
    """

    def __init__(
        self,
        policy: ChunkPolicy,
        robot: RobotDescription,
        device: torch.device | str = "cpu",
        steps: tuple[int | None, int | None] = (None, None),
    ) -> None:
        self._policy, self._columns = PolicyInference(policy, device, steps), RobotColumns(policy.spec, robot)
        self.signals = tuple(signal.name for signal in self._columns.signals)
        self.observed, self.noise = policy.spec.observed, self._policy.noise

    def chunks(self, seen: Tensors, noise: Tensor, init: Tensor | None) -> Tensor:
        return self._policy.chunks(self._columns.observations(seen), noise, init)


class GraphInference(RobotInference):
    """An exported policy of chunks.

    Args:
        session: Its graph, for batches.
        contract: Its contract.
        robot: Whose signals and commands.

    Raises:
        ContractMismatch: the policy is for another robot; each line that differs is named.
        ValueError: it is not a policy of chunks.
    """

    def __init__(self, session: onnxruntime.InferenceSession, contract: Contract, robot: RobotDescription) -> None:
        if contract.chunk is None:
            raise ValueError(f"the policy for {contract.robot} gives one command a control period, and no chunks")
        contract.check_robot(interface_of(robot))
        self._session, self._contract, self._robot = session, contract, robot
        self.executor = contract.chunk.executor
        self.signals = tuple(signal.name for signal in contract.signals)
        self.observed = contract.chunk.observed
        size = sum(command.size for command in robot.commands)
        draws = next((item.shape[0] for item in contract.noise), 0)
        self.noise = (draws, contract.chunk.horizon, size)

    def chunks(self, seen: Tensors, noise: Tensor, init: Tensor | None) -> Tensor:
        names = list(self._contract.graph_outputs())
        given = self._given(seen, noise, init)
        results = self._session.run(names, {name: value.cpu().numpy() for name, value in given.items()})
        made = {name: torch.from_numpy(np.asarray(value)) for name, value in zip(names, results, strict=True)}
        return actions_of(self._robot, made).to(noise.device)

    def _given(self, seen: Tensors, noise: Tensor, init: Tensor | None) -> dict[str, Tensor]:
        """The graph's inputs by name."""
        given = {name: seen[name] for name in self.signals}
        if self._contract.noise:
            given[f"noise_{NOISE}"] = noise
        if self._contract.begins_near:
            begin = torch.zeros(len(noise), *self.noise[1:]) if init is None else init
            given |= {f"begin_{name}": value for name, value in commands_of(self._robot, begin).items()}
            given["near"] = torch.full((len(noise), 1), 0.0 if init is None else 1.0)
        return given
