"""Rows of numbers, of which only the newest are in memory: a recording may be longer than that."""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 2**20
IN_MEMORY_BYTES = 2**23
"""Rows of no more than this make no file."""


class NumberRows:
    """Rows that are as long as the first one, and of its type; in a file without a name where they are many."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115  it lives as long as the rows do
        self._block: NDArray[Any] = np.empty((0, 0))
        self._count = 0
        self._ever = np.zeros(0, bool)

    def __len__(self) -> int:
        return self._count

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of all numbers."""
        return self._block.dtype

    def append(self, row: Sequence[float] | NDArray[np.float64]) -> None:
        """Raises ValueError where it is longer or shorter, or a number does not fit, and OSError on a full disk."""
        if not self._count:
            self._begin(np.array(row))
        place = self._count % len(self._block)
        if self._count and not place:
            self._ever |= ever(self._block)
            self._file.write(self._block.data)
        try:
            self._block[place] = row
        except OverflowError as error:
            raise ValueError(f"has a number that is not one of {self.dtype}, as those before") from error
        self._count += 1

    def clear(self) -> None:
        """Begin anew: the next row may be of another length."""
        self._file.seek(0)
        self._file.truncate()
        self._count = 0

    def ever(self) -> NDArray[np.bool_]:
        """(size,) whether an element has been a number at least once."""
        return self._ever | ever(self._block[: self._in_block()])

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(T, size): those that `rows` (T,) numbers, in any order. Reads a block at a time."""
        taken = np.empty((len(rows), self._block.shape[1]), self.dtype)
        blocks = rows // len(self._block)
        for number in np.unique(blocks):
            here = blocks == number
            taken[here] = self._read(int(number))[rows[here] % len(self._block)]
        return taken

    def _begin(self, first: NDArray[Any]) -> None:
        size = max(1, BLOCK_BYTES // first.nbytes)
        self._block, self._ever = np.empty((size, len(first)), first.dtype), np.zeros(len(first), bool)

    def _in_block(self) -> int:
        return (self._count - 1) % len(self._block) + 1 if self._count else 0

    def _read(self, number: int) -> NDArray[Any]:
        if number == (self._count - 1) // len(self._block):
            return self._block
        self._file.seek(number * self._block.nbytes)
        data = self._file.read(self._block.nbytes)
        self._file.seek(0, 2)
        return np.frombuffer(data, self.dtype).reshape(self._block.shape)


def ever(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """(size,) whether an element of rows (n, size) is a number at least once."""
    return np.asarray(~np.isnan(rows).all(axis=0)) if len(rows) else np.zeros(rows.shape[1], bool)
