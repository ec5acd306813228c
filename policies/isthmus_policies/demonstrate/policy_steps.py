"""An exported policy, step by step, whether its graph gives one command or a chunk of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.chunk_executor import ChunkExecutor
from isthmus_deploy.command_rows import CommandRows
from isthmus_deploy.contracts.contract import Chunk, Contract
from isthmus_deploy.policy.reading_history import ReadingHistory
from isthmus_deploy.policy.runtime import Runtime

Values = Mapping[str, NDArray[Any]]


class Steps(Protocol):
    """What an episode needs of a policy."""

    def reset(self, seed: int) -> None:
        """An episode begins; what is drawn depends on nothing but `seed`."""
        ...

    def step(self, signals: Values) -> Values:
        """Commands upon readings, both by name and unbatched."""
        ...

    def resume(self) -> None:
        """Forget what was planned; what was observed stays."""
        ...


def policy_steps(runtime: Runtime) -> Steps:
    """The loaded policy, which nobody else may step."""
    chunk = runtime.contract.chunk
    return SingleSteps(runtime) if chunk is None else ChunkSteps(runtime, chunk)


class SingleSteps:
    """A command an inference."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._drawn = runtime, Drawn(runtime.contract)

    def reset(self, seed: int) -> None:
        self._runtime.reset()
        self._drawn.reset(seed)

    def step(self, signals: Values) -> Values:
        """Raises ValueError where a signal is missing or of another shape."""
        return self._runtime.step(signals, self._drawn.next())

    def resume(self) -> None:
        """It decides anew at every step."""


class ChunkSteps:
    """A chunk an inference, which takes no time here: it is there at the tick of its observation."""

    def __init__(self, runtime: Runtime, chunk: Chunk) -> None:
        contract = runtime.contract
        self._runtime, self._drawn = runtime, Drawn(contract)
        self._history = ReadingHistory([signal.name for signal in contract.signals], chunk.observed)
        self._rows = CommandRows(contract.commands, chunk.horizon)
        self._executor = ChunkExecutor(chunk.executor, self._rows.size)
        self._tick = 0

    def reset(self, seed: int) -> None:
        self._executor.reset()
        self._history.clear()
        self._drawn.reset(seed)
        self._tick = 0

    def step(self, signals: Values) -> Values:
        """Raises ValueError where a signal is of another shape, or a chunk is not finite."""
        self._history.see(signals, 1)
        if self._executor.due(self._tick):
            request = self._executor.request(self._tick)
            begin = None if request.init is None else self._rows.split(request.init)
            made = self._runtime.step(self._history.windows(), self._drawn.next(), begin)
            self._executor.add(request, self._rows.join(made), self._tick)
        commands = self._rows.split(self._executor.action(self._tick))
        self._tick += 1
        return commands

    def resume(self) -> None:
        """The next step makes a new chunk, of what has been observed meanwhile."""
        self._executor.reset()


class Drawn:
    """What a policy draws, from a seed of the episode's own."""

    def __init__(self, contract: Contract) -> None:
        self._shapes = {item.name: item.shape for item in contract.noise}
        self.reset(0)

    def reset(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def next(self) -> dict[str, NDArray[np.float32]]:
        """What one inference needs, by name."""
        return {name: self._random.standard_normal(shape, np.float32) for name, shape in self._shapes.items()}
