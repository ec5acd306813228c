"""Runs a policy graph on the robot: raw signals in, robot commands out, memory kept between steps."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from isthmus_deploy.contracts.contract import Contract, Memory
from isthmus_deploy.policy import policy_file
from isthmus_deploy.policy.margins import MarginGraph
from isthmus_deploy.policy.policy_file import PolicyFileError, ReplayStep
from isthmus_deploy.policy.scores import ScoreGraph
from isthmus_deploy.policy.sessions import ONNX_ERRORS, check_tensors, open_session
from isthmus_deploy.safety.commands.filter import DriverFailed
from isthmus_deploy.safety.conditions import Conditions


class Runtime:
    """A loaded policy. Not thread-safe: one loop steps it.

    Loading verifies the file, checks the graph against its contract and replays the test vectors, so that a policy
    which computes something else on this machine is refused before anything is armed.

    Args:
        path: The policy file that isthmus-export wrote.
        threads: Threads within one operator. One is fastest for the small networks of control; they never spin.
        seed: Seeds what a policy with noise inputs draws; with the same readings it gives the same commands again.

    Raises:
        PolicyFileError: the file is damaged or foreign, its graph does not have the inputs and outputs of its contract,
            ONNX Runtime cannot load it, or it does not reproduce its test vectors.
    """

    def __init__(self, path: str | Path, *, threads: int = 1, seed: int = 0):
        self._path = path
        self._file = policy_file.read(path)
        self._session = open_session(path, self._file.model, threads)
        contract = self._file.contract
        check_tensors(path, "input", self._session.get_inputs(), contract.graph_inputs())
        check_tensors(path, "output", self._session.get_outputs(), contract.graph_outputs())
        self._inputs = {name: np.zeros((1, *shape), dtype) for name, (dtype, shape) in contract.graph_inputs().items()}
        self._signals = {item.name: self._inputs[item.name] for item in contract.signals}
        self._noise = {item.name: self._inputs[f"noise_{item.name}"] for item in contract.noise}
        begun = contract.commands if contract.begins_near else ()
        self._begin = {item.name: self._inputs[f"begin_{item.name}"] for item in begun}
        self._near = self._inputs["near"] if contract.begins_near else None
        self._commands = {
            item.name: np.zeros((1, *contract.output_shape(item)), item.dtype) for item in contract.commands
        }
        self._random = np.random.default_rng(seed)
        self._memory = [{item.name: _initial(item) for item in contract.memory} for _ in range(2)]
        self._initial = {item.name: _initial(item) for item in contract.memory}
        self._outputs = {name: buffer[0] for name, buffer in self._commands.items()}
        # One binding reads the memory that the other wrote: the next memory never overwrites what is still read.
        self._bindings = [self._bind(self._memory[0], self._memory[1]), self._bind(self._memory[1], self._memory[0])]
        self._turn = 0
        self._margins = None if self._file.conditions is None else MarginGraph(path, self._file.conditions, contract)
        self.scores = None if self._file.monitor is None else ScoreGraph(path, self._file.monitor, contract, seed)
        """Computes the monitor's scores of what it is given, for whoever runs the policy; None without a monitor."""
        self._check_replay(self._file.replay)
        self.reset()

    @property
    def contract(self) -> Contract:
        """The contract in the policy file."""
        return self._file.contract

    @property
    def digest(self) -> str:
        """SHA-256 of the policy, as 64 hexadecimal digits: what diagnostics show."""
        return self._file.digest

    def conditions(self) -> Conditions:
        """Judges readings by the policy's conditions; a new one, which nothing was judged by yet."""
        return Conditions(self.contract.conditions or (), self._margins)

    def reset(self) -> None:
        """Set the memory to its initial value, as at the start of an episode, that of the monitor's graph too; what is
        drawn goes on."""
        for name, initial in self._initial.items():
            np.copyto(self._memory[self._turn][name], initial)
        if self.scores is not None:
            self.scores.begin()

    def step(
        self,
        signals: Mapping[str, np.ndarray],
        noise: Mapping[str, np.ndarray] | None = None,
        begin: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        """Compute the commands for one control period, or a chunk of them, and advance the memory.

        Args:
            signals: Every signal of the contract by name, unbatched: a reading (*shape), for a policy of chunks the
                last ones (observed, *shape), oldest first. Others are ignored.
            noise: Every noise input by name, unbatched; None to draw it.
            begin: The chunk to begin near to, (horizon, *shape) of each command by name; None to begin afresh.

        Returns:
            Commands by name, unbatched: (*shape), or chunks (horizon, *shape). The arrays are the runtime's own and are
            overwritten by the next step.

        Raises:
            ValueError: a signal is missing, has another shape, or is no image where the policy needs one; or there is
                a chunk to begin near to for a policy that takes none, or of another shape.
            DriverFailed: ONNX Runtime cannot compute it.
        """
        for name, buffer in self._signals.items():
            self._take("signal", name, signals, buffer[0])
        for name, buffer in self._noise.items():
            if noise is None:
                self._random.standard_normal(out=buffer, dtype=np.float32)
            else:
                np.copyto(buffer[0], noise[name])
        self._begin_near(begin)
        try:
            self._session.run_with_iobinding(self._bindings[self._turn])
        except (RuntimeError, *ONNX_ERRORS) as error:  # with a binding it raises a bare RuntimeError
            raise DriverFailed(f"ONNX Runtime cannot compute the policy: {error}") from error
        self._turn = 1 - self._turn
        return self._outputs

    def scored(self) -> dict[str, np.ndarray]:
        """What the monitor's scores are computed from after a step (`score_inputs`), by name, unbatched: the arrays are
        the runtime's own, valid until the next one."""
        read = self._memory[1 - self._turn]
        return {
            **{name: buffer[0] for name, buffer in self._signals.items()},
            **{f"memory_{name}": buffer[0] for name, buffer in read.items()},
            **{f"given_{name}": buffer for name, buffer in self._outputs.items()},
        }

    def _take(self, kind: str, name: str, values: Mapping[str, np.ndarray], buffer: np.ndarray) -> None:
        value = values.get(name)
        if value is None:
            raise ValueError(f"{kind} {name} is missing; given are {', '.join(sorted(values)) or 'none'}")
        if value.shape != buffer.shape:
            problem = f"{kind} {name} has the shape {value.shape}, the contract says {buffer.shape}"
            raise ValueError(problem + self._chunk_hint())
        if buffer.dtype == np.uint8 and value.dtype != np.uint8:
            raise ValueError(f"{kind} {name} is {value.dtype}, the contract says uint8")
        np.copyto(buffer, value, casting="same_kind")

    def _chunk_hint(self) -> str:
        chunk = self.contract.chunk
        if chunk is None:
            return ""
        return f": a policy of chunks takes the last {chunk.observed} readings, and gives {chunk.horizon} commands"

    def _begin_near(self, begin: Mapping[str, np.ndarray] | None) -> None:
        if self._near is not None:
            self._near.fill(0.0 if begin is None else 1.0)
        elif begin is not None:
            raise ValueError(f"{self._path} takes no chunk to begin near to: it begins afresh each time")
        if begin is not None:
            for name, buffer in self._begin.items():
                self._take("command", name, begin, buffer[0])

    def _bind(self, read: Mapping[str, np.ndarray], write: Mapping[str, np.ndarray]) -> onnxruntime.IOBinding:
        binding = self._session.io_binding()
        inputs = {**self._inputs, **{f"memory_{name}": buffer for name, buffer in read.items()}}
        outputs = {**self._commands, **{f"next_memory_{name}": buffer for name, buffer in write.items()}}
        for name, buffer in inputs.items():
            binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        for name, buffer in outputs.items():
            binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        return binding

    def _check_replay(self, replay: tuple[ReplayStep, ...]) -> None:
        steps = self._replayed(replay)
        if self.scores is not None:
            self.scores.check_replay(steps)
        for _ in steps:  # without scores they are stepped all the same
            pass
        if self._margins is not None:
            self._margins.check_replay(replay)

    def _replayed(self, replay: tuple[ReplayStep, ...]) -> Iterator[tuple[Mapping[str, np.ndarray], ReplayStep]]:
        """Step through the test vectors: what the scores of each are computed from, and the vector. Raises
        PolicyFileError where the commands are others."""
        for index, step in enumerate(replay):
            if step.reset:
                self.reset()
            try:
                commands = self.step(step.signals, step.noise, step.begin or None)
            except DriverFailed as error:
                raise PolicyFileError(f"{self._path}: step {index} of its test vectors: {error}") from error
            for command in self.contract.commands:
                span = np.subtract(command.maximum, command.minimum)
                error = np.abs(commands[command.name] - step.commands[command.name]) / span
                if not np.all(error <= policy_file.TOLERANCE):  # not a number fails too
                    raise PolicyFileError(
                        f"{self._path}: does not reproduce its test vectors here: {command.name} is off by "
                        f"{np.max(error):.2g} of its range at step {index} (at most {policy_file.TOLERANCE:.0e}); "
                        f"ONNX Runtime {onnxruntime.__version__}"
                    )
            yield self.scored(), step


def _initial(memory: Memory) -> np.ndarray:
    """The memory's value after a reset, with a batch axis of one."""
    return np.broadcast_to(np.array(memory.initial, memory.dtype), (1, *memory.shape)).copy()
