"""A monitor's scores as a graph of their own, held to what torch makes of the test vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep
from isthmus_deploy.policy.scores import NOISE, SCORES, TOLERANCE, score_inputs
from isthmus_deploy.policy.side_graph import CARRIED
from isthmus_policies.evaluation.runners import Arrays, batch_session
from isthmus_policies.export.graph import Graph, compile_graph
from isthmus_policies.export.written import ExportError
from isthmus_policies.networks.policy import DTYPES

NEXT = f"next_{CARRIED}"


class ScoresGraph(Graph):
    """What the scores of a policy are computed from in, scores (n, scores) out; noise and what is carried where its
    monitor has some.

    Args:
        contract: The policy's, with its monitor.
    """

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        assert contract.monitor is not None
        self.noise, self.carried = contract.monitor.noise, contract.monitor.carried
        self.given = score_inputs(contract)
        """Type and shape, without the batch axis, of all else, by name."""

    @property
    def input_names(self) -> list[str]:
        return [*self.given, *([NOISE] if self.noise else []), *([CARRIED] if self.carried else [])]

    @property
    def output_names(self) -> list[str]:
        return [SCORES, *([NEXT] if self.carried else [])]

    def example(self, n: int) -> tuple[Tensor, ...]:
        given = [torch.zeros(n, *shape, dtype=DTYPES[dtype]) for dtype, shape in self.given.values()]
        drawn = [torch.zeros(n, *self.noise)] if self.noise else []
        return (*given, *drawn, *([torch.zeros(n, self.carried)] if self.carried else []))


@torch.no_grad()
def compile_scores(
    graph: ScoresGraph, vectors: Sequence[tuple[Arrays, ReplayStep]], seed: int
) -> tuple[bytes, list[ReplayStep]]:
    """The graph, and the test vectors, each behind what it is then given, with their scores by torch.

    Raises:
        ExportError: the graph differs from torch.
    """
    model = compile_graph(graph)
    session = batch_session(model)
    random, scored = np.random.default_rng(seed), []
    carried = np.zeros((1, graph.carried or 0), np.float32)
    for given, step in vectors:
        inputs = {name: given[name][None] for name in graph.given}
        if graph.noise:
            inputs[NOISE] = random.standard_normal((1, *graph.noise), np.float32)
        if graph.carried:
            inputs[CARRIED] = np.zeros_like(carried) if step.reset else carried
        outputs = graph(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in graph.input_names))
        expected = {name: value.numpy() for name, value in zip(graph.output_names, outputs, strict=True)}
        found = zip(graph.output_names, session.run(graph.output_names, inputs), strict=True)
        _check(expected, {name: np.asarray(value) for name, value in found})
        carried = expected.get(NEXT, carried)
        noise = inputs[NOISE][0] if graph.noise else None
        scored.append(replace(step, monitor_noise=noise, scores=expected[SCORES][0]))
    return model, scored


def _check(expected: Arrays, found: Arrays) -> None:
    for name, value in expected.items():
        error = np.abs(found[name] - value) / (1.0 + np.abs(value))
        if not np.all(error <= TOLERANCE):
            raise ExportError(
                f"graph and policy differ by {np.max(error):.2g} in the monitor's {name}, more than {TOLERANCE:g}: "
                "nothing written"
            )
