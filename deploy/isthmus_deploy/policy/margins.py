"""The second graph of a policy file: how far readings are from breaking each condition.

It stands beside the policy's own graph, because conditions must be known where that is not run: in stand-by, and in the
control periods between two inferences of a policy of chunks. It keeps no memory and takes no images.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import PolicyFileError, ReplayStep
from isthmus_deploy.policy.sessions import ONNX_ERRORS, check_tensors, open_session
from isthmus_deploy.safety.commands.filter import DriverFailed

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
        self._path = path
        self._windows = contract.chunk is not None
        names = [condition.name for condition in contract.conditions or ()]
        self._session = open_session(path, model)
        taken = {item.name: (item.dtype, item.shape) for item in contract.signals if item.dtype != "uint8"}
        check_tensors(path, "input", self._session.get_inputs(), taken)
        check_tensors(path, "output", self._session.get_outputs(), {MARGINS: ("float32", (len(names),))})
        self._inputs = {name: np.zeros((1, *shape), np.float32) for name, (_, shape) in taken.items()}
        self._margins = np.zeros((1, len(names)), np.float32)
        self._binding = self._session.io_binding()
        for name, buffer in self._inputs.items():
            self._binding.bind_input(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        self._binding.bind_output(MARGINS, "cpu", 0, np.float32, self._margins.shape, self._margins.ctypes.data)

    def __call__(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """(conditions,) float32, each in its unit, of readings by name, unbatched; overwritten by the next call.

        Raises:
            DriverFailed: ONNX Runtime cannot compute it.
        """
        for name, buffer in self._inputs.items():
            np.copyto(buffer[0], signals[name], casting="same_kind")
        try:
            self._session.run_with_iobinding(self._binding)
        except (RuntimeError, *ONNX_ERRORS) as error:
            raise DriverFailed(f"ONNX Runtime cannot compute the conditions: {error}") from error
        return self._margins[0]

    def check_replay(self, replay: Sequence[ReplayStep]) -> None:
        """Raise PolicyFileError where the margins of the test vectors are not reproduced."""
        for index, step in enumerate(replay):
            newest = {name: step.signals[name][-1] if self._windows else step.signals[name] for name in self._inputs}
            try:
                error = np.abs(self(newest) - step.margins) / (1.0 + np.abs(step.margins))
            except DriverFailed as failed:
                raise PolicyFileError(f"{self._path}: step {index} of its test vectors: {failed}") from failed
            if not np.all(error <= TOLERANCE):  # not a number fails too
                raise PolicyFileError(
                    f"{self._path}: does not reproduce its test vectors here: its margins are off by "
                    f"{np.max(error):.2g} at step {index} (at most {TOLERANCE:.0e})"
                )
