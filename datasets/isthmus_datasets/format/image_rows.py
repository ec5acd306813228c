"""Images in the rows of a Parquet file, read and written a few rows at a time: an episode's are never in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.frames import png
from isthmus_datasets.format.images.pixels import Pixels
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.parquet import IMAGE, arrow_type, checked_image, open_parquet, rows_at, to_arrow
from isthmus_datasets.format.statistics import thinned

AT_ONCE = 32
"""Rows that are in memory, and in a row group."""


def row_parts(path: Path, names: Iterable[str], *, first: int, count: int) -> Iterator[pa.Table]:
    """Rows `first` to `first + count` of a file, at most `AT_ONCE` at a time, however large its row groups are. Raises
    DatasetError as `read_rows`."""
    wanted = list(names)
    with open_parquet(path, buffered=True) as file:
        groups, before = rows_at(file, path, wanted, first=first, count=count)
        end = before + count
        at = 0
        for batch in file.iter_batches(AT_ONCE, row_groups=groups, columns=wanted, use_threads=False):
            start, stop = max(before - at, 0), min(end - at, len(batch))
            if start < stop:
                yield pa.Table.from_batches([batch.slice(start, stop - start)])
            at += len(batch)
            if at >= end:
                return


def image_files(path: Path, name: str, *, first: int, count: int) -> Iterator[bytes]:
    """What is in the rows of an image column: PNG or JPEG files. Raises DatasetError as `read_rows`, and where a row
    has no image."""
    row = first
    for part in row_parts(path, [name], first=first, count=count):
        for cell in part[name].to_pylist():
            if cell is None or cell.get("bytes") is None:
                named = f", but the name of one ({cell['path']})" if cell and cell.get("path") else ""
                raise DatasetError(f"{path}: column {name!r} has no image in row {row}{named}")
            yield cell["bytes"]
            row += 1


def write_rows(
    path: Path,
    features: Features,
    columns: Mapping[str, NDArray[Any]],
    images: Mapping[str, Iterable[Pixels | bytes]],
    sample: Iterable[int],
) -> dict[str, Pixels]:
    """Write a Parquet file of rows with images.

    Args:
        path: The file.
        features: What a row has.
        columns: name -> (T, *shape) of those that are no images; at least one.
        images: name -> one image or file (PNG, JPEG) after the other, which stays as it is.
        sample: Numbers of rows.

    Returns:
        The images of those rows, thinned as for statistics.

    Raises:
        DatasetError: an image is not as declared, or there are not as many as rows.
        OSError: the file cannot be written.
    """
    length, wanted = len(next(iter(columns.values()))), set(sample)
    schema = pa.schema([(name, arrow_type(feature)) for name, feature in features.items()])
    given = {name: _Given(name, features[name], each, wanted) for name, each in images.items()}
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="snappy") as writer:
        for begin in range(0, length, AT_ONCE):
            end = min(length, begin + AT_ONCE)
            arrays = [
                given[name].take(end - begin) if name in given else to_arrow(feature, columns[name][begin:end])
                for name, feature in features.items()
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return {name: each.finish() for name, each in given.items()}


class _Given:
    """An image column's images, one after the other."""

    def __init__(self, name: str, feature: Feature, images: Iterable[Pixels | bytes], wanted: set[int]) -> None:
        self._name, self._feature, self._left, self._wanted = name, feature, iter(images), wanted
        self._row, self._kept = 0, []

    def take(self, count: int) -> pa.Array:
        """The next `count` of them as a column's rows."""
        rows = [self._next(image) for image in islice(self._left, count)]
        if len(rows) < count:
            raise DatasetError(f"{self._name!r} has {self._row} images, others have more rows")
        return pa.array(rows, IMAGE)

    def _next(self, image: Pixels | bytes) -> dict[str, Any]:
        content = image if isinstance(image, bytes) else None
        try:
            pixels = checked_image(self._feature, image)
        except ValueError as error:
            raise DatasetError(f"{self._name!r} {error} in row {self._row}") from error
        if self._row in self._wanted:
            self._kept.append(thinned(pixels))
        named = {"bytes": png(pixels) if content is None else content, "path": f"frame-{self._row:06d}.png"}
        self._row += 1
        return named

    def finish(self) -> Pixels:
        """Those that were wanted."""
        if next(self._left, None) is not None:
            raise DatasetError(f"{self._name!r} has more than {self._row} images, others have {self._row} rows")
        return np.stack(self._kept)
