"""The scores of a policy that is run step by step: readings, memory and commands in, the scores out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep
from isthmus_deploy.policy.side_graph import CARRIED
from isthmus_policies.evaluation.runners import Arrays, initial_memory
from isthmus_policies.export.graph import PolicyGraph
from isthmus_policies.export.scores import ScoresGraph, compile_scores
from isthmus_policies.monitor.steps import StepScorer
from isthmus_sim.task import Task


class StepScoresGraph(ScoresGraph):
    """Signals, the memory before the step, the commands that it gave and what is carried in; scores (n, scores) and
    what is carried on out.

    Args:
        scorer: Computes them.
        task: Whose observations.
        contract: What the policy takes, and its monitor.
    """

    def __init__(self, scorer: StepScorer, task: Task, contract: Contract) -> None:
        super().__init__(contract)
        self._scorer, self._task = scorer, task

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        given = dict(zip(self.input_names, inputs, strict=True))
        robot = self._task.robot
        signals = {spec.name: given[spec.name] for spec in robot.signals}
        memory = {spec.name: given[f"memory_{spec.name}"] for spec in self._task.memory}
        commands = {spec.name: given[f"given_{spec.name}"] for spec in robot.commands}
        return self._scorer(self._task.observe(signals, memory), commands, given[CARRIED])


def compile_step_scores(
    scorer: StepScorer, task: Task, contract: Contract, vectors: Sequence[ReplayStep], seed: int
) -> tuple[bytes, list[ReplayStep]]:
    """The graph, and the test vectors with their scores by torch. Raises ExportError where the two differ."""
    stepped = _stepped(PolicyGraph(task, scorer.policy), contract, vectors)
    return compile_scores(StepScoresGraph(scorer, task, contract), list(stepped), seed)


@torch.no_grad()
def _stepped(
    graph: PolicyGraph, contract: Contract, vectors: Sequence[ReplayStep]
) -> Iterator[tuple[Arrays, ReplayStep]]:
    """What the scores are computed from at each test vector, by name and unbatched, and the vector."""
    memory: Arrays = {}
    for step in vectors:
        memory = initial_memory(contract, 1) if step.reset else memory
        noise = {f"noise_{name}": value[None] for name, value in step.noise.items()}
        given = {name: value[None] for name, value in step.signals.items()} | memory | noise
        outputs = graph(*(torch.from_numpy(np.ascontiguousarray(given[name])) for name in graph.input_names))
        results = {name: value.numpy() for name, value in zip(graph.output_names, outputs, strict=True)}
        seen = {**step.signals, **{name: value[0] for name, value in memory.items()}}
        yield {**seen, **{f"given_{name}": results[name][0] for name in graph.commands}}, step
        memory = {name: results[f"next_{name}"] for name in memory}
