"""A graph that a policy file carries beside the policy's own: tensors in, one row of numbers out."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.policy.sessions import ONNX_ERRORS, check_tensors, open_session
from isthmus_deploy.safety.commands.filter import DriverFailed


class SideGraph:
    """The graph, opened. Not thread-safe: one thread calls it.

    Args:
        path: The policy file, for messages.
        model: The serialised graph.
        inputs: Type and shape, without the batch axis, of all that it takes, by name.
        output: Name of what it gives, (batch, `size`) float32.
        size: How many numbers that is.

    Raises:
        PolicyFileError: ONNX Runtime cannot load it, or its inputs and outputs are others.
    """

    def __init__(
        self, path: str | Path, model: bytes, inputs: Mapping[str, tuple[str, tuple[int, ...]]], output: str, size: int
    ):
        self._path, self._name = path, output
        self._session = open_session(path, model)
        check_tensors(path, "input", self._session.get_inputs(), inputs)
        check_tensors(path, "output", self._session.get_outputs(), {output: ("float32", (size,))})
        self.inputs = {name: np.zeros((1, *shape), dtype) for name, (dtype, shape) in inputs.items()}
        """What it is run with, (1, *shape) by name."""
        self._output = np.zeros((1, size), np.float32)
        self._binding = self._session.io_binding()
        for name, buffer in self.inputs.items():
            self._binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        self._binding.bind_output(output, "cpu", 0, np.float32, self._output.shape, self._output.ctypes.data)

    def run(self) -> np.ndarray:
        """(size,) float32, of `inputs` as they are; overwritten by the next call.

        Raises:
            DriverFailed: ONNX Runtime cannot compute it.
        """
        try:
            self._session.run_with_iobinding(self._binding)
        except (RuntimeError, *ONNX_ERRORS) as error:
            raise DriverFailed(f"ONNX Runtime cannot compute the {self._name}: {error}") from error
        return self._output[0]

    def check_replay(self, replayed: Iterator[tuple[np.ndarray, np.ndarray]], tolerance: float) -> None:
        """Raise PolicyFileError where what is found for the test vectors, pairs of it and of what they say, is off by
        more than the tolerance, in its unit, for each unit that it is from zero and one more."""
        index = 0
        try:
            for found, expected in replayed:
                error = np.abs(found - expected) / (1.0 + np.abs(expected))
                if not np.all(error <= tolerance):  # not a number fails too
                    raise PolicyFileError(
                        f"{self._path}: does not reproduce its test vectors here: its {self._name} are off by "
                        f"{np.max(error):.2g} at step {index} (at most {tolerance:.0e})"
                    )
                index += 1
        except DriverFailed as failed:
            raise PolicyFileError(f"{self._path}: step {index} of its test vectors: {failed}") from failed
