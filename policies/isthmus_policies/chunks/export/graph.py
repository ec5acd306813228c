"""The graph of a policy of chunks: the last readings to the next commands, its evaluations one after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.columns import RobotColumns, actions_of, commands_of
from isthmus_policies.chunks.export.either import either
from isthmus_policies.chunks.inference import NOISE
from isthmus_policies.export.graph import Graph, compile_graph
from isthmus_policies.networks.policy import DTYPES
from isthmus_sim.description import RobotDescription

NEAR = "near"
"""The input that tells whether to begin near to the chunk before."""


class ChunkGraph(Graph):
    """Windows of signals, noise and the chunk before in, chunks of commands out.

    Args:
        policy: What infers.
        robot: Whose signals and commands.
        contract: What goes in and out.
        near: Whether it begins near to the chunk before. Otherwise it has no use for that.
    """

    def __init__(self, policy: ChunkPolicy, robot: RobotDescription, contract: Contract, near: bool) -> None:
        super().__init__()
        self._policy, self._robot, self._near = policy, robot, near
        self._columns = RobotColumns(policy.spec, robot)
        self._inputs = {name: kind for name, kind in contract.graph_inputs().items() if name != NEAR}
        self._outputs = list(contract.graph_outputs())

    @property
    def input_names(self) -> list[str]:
        return list(self._inputs)

    @property
    def output_names(self) -> list[str]:
        return self._outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self._inputs, inputs, strict=True))
        init = None
        if self._near:
            init = actions_of(self._robot, {spec.name: given[f"begin_{spec.name}"] for spec in self._robot.commands})
        noise = given[f"noise_{NOISE}"] if self._policy.draws else self._no_noise(inputs[0].shape[0])
        windows = {signal.name: given[signal.name] for signal in self._columns.signals}
        chunks = self._policy.sample(self._columns.observations(windows), noise=noise, init=init)
        commands = commands_of(self._robot, chunks)
        return tuple(commands[name] for name in self._outputs)

    def _no_noise(self, n: int) -> Tensor:
        return torch.zeros(n, 0, self._policy.spec.horizon, self._policy.spec.action_size)

    def example(self, n: int) -> tuple[Tensor, ...]:
        return tuple(torch.zeros(n, *shape, dtype=DTYPES[dtype]) for dtype, shape in self._inputs.values())


def compile_chunks(policy: ChunkPolicy, robot: RobotDescription, contract: Contract) -> bytes:
    """The policy as ONNX, its first axis free: one that begins afresh, or, as the contract says, either way."""
    afresh = compile_graph(ChunkGraph(policy, robot, contract, near=False))
    if not contract.begins_near:
        return afresh
    return either(NEAR, compile_graph(ChunkGraph(policy, robot, contract, near=True)), afresh)
