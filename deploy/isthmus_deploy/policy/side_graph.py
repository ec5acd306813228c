"""A graph that a policy file carries beside the policy's own: tensors in, one row of numbers out, and another that it
may hand on to its next call."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.policy.sessions import ONNX_ERRORS, check_tensors, open_session
from isthmus_deploy.safety.commands.filter import DriverFailed

CARRIED = "carried"
Tensor = tuple[str, tuple[int, ...]]
"""Type and shape without the batch axis."""


class SideGraph:
    """The graph, opened. Not thread-safe: one thread calls it.

    Args:
        path: The policy file, for messages.
        model: The serialised graph.
        inputs: Type and shape, without the batch axis, of all that it takes, by name.
        output: Name of what it gives, (batch, `size`) float32.
        size: How many numbers that is.
        carried: How many it hands on to its next call, as `next_carried` and `carried`.

    Raises:
        PolicyFileError: ONNX Runtime cannot load it, or its inputs and outputs are others.
    """

    def __init__(
        self,
        path: str | Path,
        model: bytes,
        inputs: Mapping[str, Tensor],
        output: str,
        size: int,
        carried: int | None = None,
    ):
        self._path, self._name = path, output
        self._session = open_session(path, model)
        handed: dict[str, Tensor] = {} if carried is None else {CARRIED: ("float32", (carried,))}
        given = {f"next_{name}": tensor for name, tensor in handed.items()} | {output: ("float32", (size,))}
        check_tensors(path, "input", self._session.get_inputs(), {**inputs, **handed})
        check_tensors(path, "output", self._session.get_outputs(), given)
        self.inputs = _buffers(inputs)
        """What it is run with, (1, *shape) by name."""
        self._handed, self._outputs = _buffers(handed), _buffers(given)
        self._binding = self._session.io_binding()
        for name, buffer in {**self.inputs, **self._handed}.items():
            self._binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        for name, buffer in self._outputs.items():
            self._binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)

    def begin(self) -> None:
        """An episode begins: nothing was handed on."""
        for buffer in self._handed.values():
            buffer.fill(0)

    def run(self) -> np.ndarray:
        """(size,) float32, of `inputs` as they are; overwritten by the next call.

        Raises:
            DriverFailed: ONNX Runtime cannot compute it.
        """
        try:
            self._session.run_with_iobinding(self._binding)
        except (RuntimeError, *ONNX_ERRORS) as error:
            raise DriverFailed(f"ONNX Runtime cannot compute the {self._name}: {error}") from error
        for name, buffer in self._handed.items():
            np.copyto(buffer, self._outputs[f"next_{name}"])
        return self._outputs[self._name][0]

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


def _buffers(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: np.zeros((1, *shape), dtype) for name, (dtype, shape) in tensors.items()}
