"""The scores of a policy of chunks: its last readings and noise in, the scores out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep
from isthmus_deploy.policy.scores import NOISE
from isthmus_policies.chunks.columns import RobotColumns
from isthmus_policies.chunks.monitor.fit import Scorer
from isthmus_policies.export.scores import ScoresGraph, compile_scores
from isthmus_sim.description import RobotDescription


class ChunkScoresGraph(ScoresGraph):
    """Windows of signals and noise in, scores (n, scores) out.

    Args:
        scorer: Computes them.
        robot: Whose signals.
        contract: What the policy takes, and its monitor.
    """

    def __init__(self, scorer: Scorer, robot: RobotDescription, contract: Contract) -> None:
        super().__init__(contract)
        self._scorer, self._columns = scorer, RobotColumns(scorer.policy.spec, robot)

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        given = dict(zip(self.input_names, inputs, strict=True))
        noise = given.pop(NOISE, None)
        return (self._scorer(self._columns.observations(given), noise),)


def compile_chunk_scores(
    scorer: Scorer, robot: RobotDescription, contract: Contract, vectors: Sequence[ReplayStep], seed: int
) -> tuple[bytes, list[ReplayStep]]:
    """The graph, and the test vectors with the scores of what they infer from, by torch. Raises ExportError where the
    two differ."""
    given = [(dict(step.signals), step) for step in vectors]
    return compile_scores(ChunkScoresGraph(scorer, robot, contract), given, seed)
