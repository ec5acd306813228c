"""Rows of a zarr v2 array, with the damage reported that zarr reads over.

zarr takes a missing chunk for one of fill values, and a Blosc chunk that is cut short can decode to wrong numbers.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from isthmus_datasets.format.info import DatasetError


class ArrayRows:
    """An array (N, …) on disk, read by ranges of rows.

    Args:
        path: The array's folder.
        empty_chunks: Whether a chunk may have no file; it is then all fill value.

    Raises:
        DatasetError: the folder holds no array that zarr can read, or one without an axis.
    """

    def __init__(self, path: Path, *, empty_chunks: bool = False) -> None:
        self.path, self._empty_chunks = path, empty_chunks
        try:
            layout = json.loads((path / ".zarray").read_text())
            array = zarr.open_array(str(path), mode="r")
            self.attributes: dict[str, Any] = dict(array.attrs)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path} is not a zarr v2 array that can be read: {error}") from error
        if not array.shape:
            raise DatasetError(f"{path} is one number: an array of steps has an axis for them")
        self._array: Any = array
        self.shape: tuple[int, ...] = array.shape
        self._chunks: list[int] = layout["chunks"]
        self._separator: str = layout.get("dimension_separator", ".")
        self._blosc = (layout.get("compressor") or {}).get("id") == "blosc"

    @property
    def is_text(self) -> bool:
        """Its elements are strings."""
        return self._array.dtype.kind in "OTU"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers, in this machine's byte order; object for text."""
        return np.dtype(object) if self.is_text else self._array.dtype.newbyteorder("=")

    def rows(self, start: int, stop: int, where: str) -> NDArray[Any]:
        """(stop − start, …). Raises DatasetError with the file and `where` when a chunk is missing or damaged."""
        for key in self._keys(start, stop):
            self._check_chunk(self.path / key, where)
        try:
            return np.asarray(self._array[start:stop]).astype(self.dtype)
        except (RuntimeError, ValueError, OSError, TypeError) as error:
            raise DatasetError(f"{self.path}: {where} cannot be decoded ({error}); copy the array again") from error

    def chunks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Ranges of rows that together are start … stop, none of them in two chunks."""
        while start < stop:
            end = min(stop, (start // self._chunks[0] + 1) * self._chunks[0])
            yield start, end
            start = end

    def _keys(self, start: int, stop: int) -> list[str]:
        """Names of the chunks that hold rows start … stop."""
        rows = range(start // self._chunks[0], -(-stop // self._chunks[0]))
        others = [range(-(-n // c)) for n, c in zip(self.shape[1:], self._chunks[1:], strict=True)]
        return [self._separator.join(map(str, index)) for index in itertools.product(rows, *others)]

    def _check_chunk(self, file: Path, where: str) -> None:
        if not file.is_file():
            if self._empty_chunks:
                return
            raise DatasetError(
                f"{file} is missing, which {where} needs; copy it again, or say empty_chunks if the writer leaves out"
                " chunks of fill values"
            )
        if not self._blosc:
            return
        with file.open("rb") as chunk:
            header = chunk.read(16)  # https://www.blosc.org: the last 4 bytes are the compressed size
        size = file.stat().st_size
        expected = int.from_bytes(header[12:], "little") if len(header) == 16 else "at least 16"
        if size != expected:
            raise DatasetError(f"{file} has {size} of {expected} bytes, which {where} needs; copy it again")
