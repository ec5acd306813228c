"""The third graph of a policy file: how far the policy is out of its depth, from what it infers from and what it does.

It stands beside the policy's own graph so that a chunk is not late by the time that the scores take, and a policy that
is run step by step need not be scored in every step.
"""

from collections.abc import Iterable, Mapping
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
        monitor = contract.monitor
        if monitor is None:
            raise PolicyFileError(f"{path}: a graph of scores, but the contract has no monitor")
        taken = score_inputs(contract)
        drawn = {} if monitor.noise is None else {NOISE: ("float32", monitor.noise)}
        self._graph = SideGraph(path, model, {**taken, **drawn}, SCORES, len(monitor.scores), monitor.carried)
        self._taken = {name: self._graph.inputs[name] for name in taken}
        self._noise = self._graph.inputs.get(NOISE)
        self._random = np.random.default_rng((seed, 1))  # nothing that the policy draws of the same seed

    def begin(self) -> None:
        """An episode begins: what the graph remembers is forgotten."""
        self._graph.begin()

    def __call__(self, given: Mapping[str, np.ndarray], noise: np.ndarray | None = None) -> np.ndarray:
        """(scores,) float32; overwritten by the next call.

        Args:
            given: `score_inputs` by name, unbatched; others are ignored.
            noise: What would be drawn; None to draw it.

        Raises:
            DriverFailed: ONNX Runtime cannot compute it.
        """
        for name, buffer in self._taken.items():
            np.copyto(buffer[0], given[name], casting="same_kind")
        if self._noise is not None:
            self._draw(self._noise, noise)
        return self._graph.run()

    def _draw(self, buffer: np.ndarray, noise: np.ndarray | None) -> None:
        if noise is None:
            self._random.standard_normal(out=buffer, dtype=np.float32)
        else:
            np.copyto(buffer[0], noise)

    def check_replay(self, replay: Iterable[tuple[Mapping[str, np.ndarray], ReplayStep]]) -> None:
        """Raise PolicyFileError where the scores of the test vectors, each behind what the graph is given with it, are
        not reproduced."""
        self._graph.check_replay(((self(given, step.monitor_noise), step.scores) for given, step in replay), TOLERANCE)


def score_inputs(contract: Contract) -> dict[str, tuple[str, tuple[int, ...]]]:
    """What a graph of scores is given of a policy, beside noise and what it carries: type and shape without the batch
    axis, by name. Of a policy of chunks, its windows of readings. Of one that is run step by step, the readings, its
    memory before the step (`memory_NAME`), and the commands that it then gave (`given_NAME`)."""
    signals = {item.name: (item.dtype, contract.input_shape(item)) for item in contract.signals}
    if contract.chunk is not None:
        return signals
    memory = {f"memory_{item.name}": (item.dtype, item.shape) for item in contract.memory}
    return {**signals, **memory, **{f"given_{item.name}": (item.dtype, item.shape) for item in contract.commands}}
