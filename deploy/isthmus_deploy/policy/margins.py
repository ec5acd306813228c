"""The second graph of a policy file: how far readings are from breaking each condition.

It stands beside the policy's own graph, because conditions must be known where that is not run: in stand-by, and in the
control periods between two inferences of a policy of chunks. It keeps no memory and takes no images.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep
from isthmus_deploy.policy.side_graph import SideGraph

MARGINS = "margins"
"""Name of the graph's output, (batch, conditions) float32."""
TOLERANCE = 1e-5
"""Largest error of a replayed margin, in its unit, for each unit that it is from zero and one more."""


class MarginGraph:
    """The graph, opened. Not thread-safe: one loop calls it.

    Args:
        path: The policy file, for messages.
        model: The serialised graph.
        contract: What it takes (every signal but images) and gives.

    Raises:
        PolicyFileError: ONNX Runtime cannot load it, or its inputs and outputs are not the contract's.
    """

    def __init__(self, path: str | Path, model: bytes, contract: Contract):
        self._windows = contract.chunk is not None
        taken = {item.name: (item.dtype, item.shape) for item in contract.signals if item.dtype != "uint8"}
        self._graph = SideGraph(path, model, taken, MARGINS, len(contract.conditions or ()))

    def __call__(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """(conditions,) float32, each in its unit, of readings by name, unbatched; overwritten by the next call.

        Raises:
            DriverFailed: ONNX Runtime cannot compute it.
        """
        for name, buffer in self._graph.inputs.items():
            np.copyto(buffer[0], signals[name], casting="same_kind")
        return self._graph.run()

    def check_replay(self, replay: Sequence[ReplayStep]) -> None:
        """Raise PolicyFileError where the margins of the test vectors are not reproduced."""
        pairs = ((self(self._newest(step)), step.margins) for step in replay)
        self._graph.check_replay(pairs, TOLERANCE)

    def _newest(self, step: ReplayStep) -> Mapping[str, np.ndarray]:
        if not self._windows:
            return step.signals
        return {name: step.signals[name][-1] for name in self._graph.inputs}
