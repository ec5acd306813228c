"""The graph from raw signals to robot commands: the task's own functions around the policy, compiled to ONNX."""

from __future__ import annotations

import io
import logging
import warnings
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from isthmus_policies.networks.policy import DTYPES, Policy
from isthmus_sim.task import Task

POLICY_MEMORY = "policy_"
"""What stands before the name of the policy's own memory, beside the task's."""


class Graph(nn.Module, ABC):
    """A policy from a robot's signals to its commands: tensors in and out, batched over the first axis."""

    @property
    @abstractmethod
    def input_names(self) -> list[str]:
        """Names of the inputs, in order."""

    @property
    @abstractmethod
    def output_names(self) -> list[str]:
        """Names of the outputs, in order."""

    @abstractmethod
    def example(self, n: int) -> tuple[Tensor, ...]:
        """Inputs of the right shapes and types for n worlds."""


class PolicyGraph(Graph):
    """Signals, memory and noise in, commands and the next memory out."""

    def __init__(self, task: Task, policy: Policy) -> None:
        """Raises ValueError for a policy that reads what only simulation has."""
        super().__init__()
        self._task = task
        self._policy = policy
        _require_seen(task, policy)
        self.signals = [spec.name for spec in task.robot.signals]
        self.task_memory = [spec.name for spec in task.memory]
        self.policy_memory = list(policy.memory)
        self.noise = list(policy.noise)
        self.commands = [spec.name for spec in task.robot.commands]

    @property
    def memory(self) -> list[str]:
        """Names of all memory, the task's and the policy's."""
        return [*self.task_memory, *(f"{POLICY_MEMORY}{name}" for name in self.policy_memory)]

    @property
    def input_names(self) -> list[str]:
        return [*self.signals, *(f"memory_{name}" for name in self.memory), *(f"noise_{name}" for name in self.noise)]

    @property
    def output_names(self) -> list[str]:
        return [*self.commands, *(f"next_memory_{name}" for name in self.memory)]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = iter(inputs)
        signals, past, own, noise = (
            {name: next(given) for name in names}
            for names in (self.signals, self.task_memory, self.policy_memory, self.noise)
        )
        action, next_own = self._policy.act(self._task.observe(signals, past), own, noise)
        action = action.clamp(-1.0, 1.0)
        commands = self._task.act(action, signals, past)
        next_past = self._task.remember(past, signals, action)
        return (
            *(commands[name] for name in self.commands),
            *(next_past[name] for name in self.task_memory),
            *(next_own[name] for name in self.policy_memory),
        )

    def example(self, n: int) -> tuple[Tensor, ...]:
        task, policy = self._task, self._policy
        return (
            *(torch.zeros(n, *spec.shape, dtype=DTYPES[spec.dtype]) for spec in task.robot.signals),
            *(torch.full((n, *spec.shape), spec.initial) for spec in task.memory),
            *policy.initial_memory(n).values(),
            *(torch.zeros(n, *group.shape) for group in policy.noise.values()),
        )


def observed_groups(task: Task) -> tuple[str, ...]:
    """Names of the observation groups that a robot has, which are those of `Task.observe`."""
    signals = {spec.name: torch.zeros(1, *spec.shape, dtype=DTYPES[spec.dtype]) for spec in task.robot.signals}
    memory = {spec.name: torch.full((1, *spec.shape), spec.initial) for spec in task.memory}
    return tuple(task.observe(signals, memory))


def _require_seen(task: Task, policy: Policy) -> None:
    """Raise ValueError naming the groups that a policy reads and the robot does not have."""
    seen = observed_groups(task)
    if unseen := [name for name in policy.groups if name not in seen]:
        raise ValueError(
            f"the policy reads {', '.join(map(repr, unseen))}, which only simulation has, so no robot can run it; "
            f"train one that reads: {', '.join(seen)}"
        )


def compile_graph(graph: Graph) -> bytes:
    """The graph as ONNX, its first axis free."""
    inputs = graph.example(2)
    batch = torch.export.Dim("batch", min=1)
    buffer = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own insides; the replay judges the result
        program = torch.onnx.export(
            graph.eval(), inputs, input_names=graph.input_names, output_names=graph.output_names,
            dynamic_shapes=(tuple({0: batch} for _ in inputs),), dynamo=True, verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(buffer)  # pyright: ignore[reportArgumentType] (takes a file, says a path)
    return buffer.getvalue()
