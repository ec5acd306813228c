"""The scores of a policy of chunks as a graph of their own: its last readings and noise in, the scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep
from isthmus_deploy.policy.scores import NOISE, SCORES, TOLERANCE
from isthmus_policies.chunks.columns import RobotColumns
from isthmus_policies.chunks.monitor.fit import Scorer
from isthmus_policies.evaluation.runners import batch_session
from isthmus_policies.export.graph import Graph, compile_graph
from isthmus_policies.export.written import ExportError
from isthmus_policies.networks.policy import DTYPES
from isthmus_sim.description import RobotDescription


class ScoresGraph(Graph):
    """Windows of signals and noise in, scores (n, scores) out.

    Args:
        scorer: Computes them.
        robot: Whose signals.
        contract: What the policy takes.
    """

    def __init__(self, scorer: Scorer, robot: RobotDescription, contract: Contract) -> None:
        super().__init__()
        self._scorer, self._columns = scorer, RobotColumns(scorer.policy.spec, robot)
        self._signals = {item.name: (item.dtype, contract.input_shape(item)) for item in contract.signals}

    @property
    def input_names(self) -> list[str]:
        return [*self._signals, *([NOISE] if self._scorer.noise else [])]

    @property
    def output_names(self) -> list[str]:
        return [SCORES]

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.input_names, inputs, strict=True))
        noise = given.pop(NOISE, None)
        return self._scorer(self._columns.observations(given), noise)

    def example(self, n: int) -> tuple[Tensor, ...]:
        signals = (torch.zeros(n, *shape, dtype=DTYPES[dtype]) for dtype, shape in self._signals.values())
        return (*signals, *((torch.zeros(n, *self._scorer.noise),) if self._scorer.noise else ()))


@torch.no_grad()
def compile_scores(
    scorer: Scorer, robot: RobotDescription, contract: Contract, vectors: Sequence[ReplayStep], seed: int
) -> tuple[bytes, list[ReplayStep]]:
    """The graph, and the test vectors with the scores of what they infer from, by torch.

    Raises:
        ExportError: the graph differs from torch.
    """
    graph = ScoresGraph(scorer, robot, contract)
    model = compile_graph(graph)
    session = batch_session(model)
    random, scored = np.random.default_rng(seed), []
    for step in vectors:
        given = {name: step.signals[name][None] for name in graph.input_names if name != NOISE}
        if scorer.noise:
            given[NOISE] = random.standard_normal((1, *scorer.noise), np.float32)
        expected = graph(*(torch.from_numpy(np.ascontiguousarray(given[name])) for name in graph.input_names)).numpy()
        found = np.asarray(session.run([SCORES], given)[0])
        error = np.abs(found - expected) / (1.0 + np.abs(expected))
        if not np.all(error <= TOLERANCE):
            raise ExportError(
                f"graph and policy differ by {np.max(error):.2g} in the monitor's scores, more than {TOLERANCE:g}: "
                "nothing written"
            )
        noise = given[NOISE][0] if scorer.noise else None
        scored.append(replace(step, monitor_noise=noise, scores=expected[0]))
    return model, scored
