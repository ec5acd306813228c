"""Commands by name as rows of numbers, which is what a chunk is to the executor, and back."""

from collections.abc import Mapping, Sequence

import numpy as np

from isthmus_deploy.chunk_executor import Chunk, ChunkError
from isthmus_deploy.contracts.limits import Command


class CommandRows:
    """Joins the commands in their order along the last axis, each flattened.

    Args:
        commands: Of the contract.
        horizon: Rows of a chunk.
    """

    def __init__(self, commands: Sequence[Command], horizon: int):
        self._shapes = {command.name: command.shape for command in commands}
        self._horizon = horizon
        sizes = [int(np.prod(command.shape)) for command in commands]
        ends = np.cumsum(sizes, dtype=int).tolist()
        self._parts = {c.name: slice(end - size, end) for c, size, end in zip(commands, sizes, ends, strict=True)}
        self.size = sum(sizes)
        """Numbers of a row."""

    def join(self, chunks: Mapping[str, np.ndarray]) -> Chunk:
        """(horizon, size) of (horizon, *shape) by name; a new array.

        Raises:
            ChunkError: a command is missing, or has another shape.
        """
        for name, shape in self._shapes.items():
            if name not in chunks:
                raise ChunkError(f"a chunk without {name}; it has {', '.join(chunks) or 'nothing'}")
            if chunks[name].shape != (self._horizon, *shape):
                raise ChunkError(
                    f"a chunk of {name} has the shape {chunks[name].shape}, it must be {(self._horizon, *shape)}"
                )
        return np.concatenate([chunks[name].reshape(self._horizon, -1) for name in self._shapes], axis=1)

    def split(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """(…, *shape) by name, of (…, size)."""
        axes = rows.shape[:-1]
        return {name: rows[..., part].reshape(*axes, *self._shapes[name]) for name, part in self._parts.items()}
