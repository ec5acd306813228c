"""The third graph of a policy file: how far the policy is out of its depth, from what it infers from.

It stands beside the policy's own graph so that a chunk is not late by the time that the scores take.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import PolicyFileError, ReplayStep
from isthmus_deploy.policy.side_graph import SideGraph

SCORES = "scores"
"""Name of the graph's output, (batch, scores) float32."""
NOISE = "noise"
"""Name of the input that is drawn."""
TOLERANCE = 1e-3
"""Largest error of a replayed score, for each unit that it is from zero and one more. A logarithm of small differences
between chunks is known less well than the chunks."""


class ScoreGraph:
    """The graph, opened. Not thread-safe: what runs the policy calls it.

    Args:
        path: The policy file, for messages.
        model: The serialised graph.
        contract: What it takes and gives.
        seed: Seeds what is drawn.

    Raises:
        PolicyFileError: ONNX Runtime cannot load it, or its inputs and outputs are not the contract's.
    """

    def __init__(self, path: str | Path, model: bytes, contract: Contract, seed: int):
        if contract.monitor is None:
            raise PolicyFileError(f"{path}: a graph of scores, but the contract has no monitor")
        taken = {item.name: (item.dtype, contract.input_shape(item)) for item in contract.signals}
        noise = contract.monitor.noise
        drawn = {} if noise is None else {NOISE: ("float32", noise)}
        self._graph = SideGraph(path, model, {**taken, **drawn}, SCORES, len(contract.monitor.scores))
        self._signals = {name: self._graph.inputs[name] for name in taken}
        self._noise = self._graph.inputs.get(NOISE)
        self._random = np.random.default_rng((seed, 1))  # nothing that the policy draws of the same seed

    def __call__(self, signals: Mapping[str, np.ndarray], noise: np.ndarray | None = None) -> np.ndarray:
        """(scores,) float32, of what the policy infers from, by name and unbatched; overwritten by the next call.

        Args:
            signals: As `Runtime.step` takes them.
            noise: What would be drawn; None to draw it.

        Raises:
            DriverFailed: ONNX Runtime cannot compute it.
        """
        for name, buffer in self._signals.items():
            np.copyto(buffer[0], signals[name], casting="same_kind")
        if self._noise is not None:
            self._draw(self._noise, noise)
        return self._graph.run()

    def _draw(self, buffer: np.ndarray, noise: np.ndarray | None) -> None:
        if noise is None:
            self._random.standard_normal(out=buffer, dtype=np.float32)
        else:
            np.copyto(buffer[0], noise)

    def check_replay(self, replay: Sequence[ReplayStep]) -> None:
        """Raise PolicyFileError where the scores of the test vectors are not reproduced."""
        pairs = ((self(step.signals, step.monitor_noise), step.scores) for step in replay)
        self._graph.check_replay(pairs, TOLERANCE)
