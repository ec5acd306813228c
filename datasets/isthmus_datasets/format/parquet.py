"""Columns between NumPy and Parquet, as LeRobot wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.frames import decode_image, png
from isthmus_datasets.format.images.pixels import Pixels
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.lfs import lfs_pointer

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def arrow_type(feature: Feature) -> pa.DataType:
    """A scalar for shape (1,), a fixed_size_list for one axis, lists of lists for more (LeRobot's Array2D …)."""
    if feature.dtype == "image":
        return IMAGE
    if feature.dtype == "string":
        return pa.string()
    kind = pa.from_numpy_dtype(feature.numpy)
    if feature.shape == (1,):
        return kind
    if len(feature.shape) == 1:
        return pa.list_(kind, feature.shape[0])
    for _ in feature.shape:
        kind = pa.list_(kind)
    return kind


def to_arrow(feature: Feature, values: NDArray[Any]) -> pa.Array:
    """`values` (T, *shape) as a column of T rows."""
    if feature.dtype == "image":
        rows = [{"bytes": png(image), "path": f"frame-{i:06d}.png"} for i, image in enumerate(values)]
        return pa.array(rows, IMAGE)
    if feature.dtype == "string":
        return pa.array([str(value) for value in values.flat], pa.string())
    array = pa.array(np.ascontiguousarray(values).reshape(-1))
    if feature.shape == (1,):
        return array
    if len(feature.shape) == 1:
        return pa.FixedSizeListArray.from_arrays(array, feature.shape[0])
    for size in reversed(feature.shape):
        array = pa.ListArray.from_arrays(np.arange(0, len(array) + 1, size, dtype=np.int32), array)
    return array


def from_arrow(feature: Feature, column: pa.ChunkedArray) -> NDArray[Any]:
    """The column as (T, *shape) of the declared type. Raises ValueError where it is not that."""
    array, rows = column.combine_chunks(), len(column)
    if array.null_count:
        raise ValueError(f"has {array.null_count} rows without a value")
    if feature.dtype == "image":
        return _images(feature, array)
    while isinstance(array, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
        array = array.flatten()
    flat = array.to_numpy(zero_copy_only=False)
    if flat.size != rows * int(np.prod(feature.shape)):
        raise ValueError(f"has {flat.size} numbers in {rows} rows, declared is shape {feature.shape}")
    return np.array(flat, dtype=feature.numpy).reshape(rows, *feature.shape)


def _images(feature: Feature, array: pa.Array) -> NDArray[Any]:
    images = np.empty((len(array), *feature.shape), feature.numpy)
    for i, row in enumerate(array.to_pylist()):
        if row["bytes"] is None:
            raise ValueError(f"has the name of an image ({row['path']}), not the image, in row {i}")
        try:
            images[i] = checked_image(feature, row["bytes"])
        except ValueError as error:
            raise ValueError(f"{error} in row {i}") from error
    return images


def checked_image(feature: Feature, image: Pixels | bytes) -> Pixels:
    """An image, or that of a file, as declared. Raises ValueError where it is not that."""
    pixels = decode_image(image) if isinstance(image, bytes) else image
    if (pixels.shape, pixels.dtype) != (feature.shape, feature.numpy):
        wanted = f"{feature.numpy} {feature.shape}"
        raise ValueError(f"has an image of {pixels.dtype} {pixels.shape}, declared is {wanted}")
    return pixels


def table(features: Features, columns: dict[str, NDArray[Any]]) -> pa.Table:
    """All of `features`, in their order."""
    schema = pa.schema([(name, arrow_type(feature)) for name, feature in features.items()])
    return pa.Table.from_arrays([to_arrow(f, columns[name]) for name, f in features.items()], schema=schema)


def parquet_bytes(rows: pa.Table, *, wide: bool = False) -> bytes:
    """A Parquet file of one row group, Snappy. `wide`: for few rows of many columns, less is said about each column."""
    sink = pa.BufferOutputStream()
    said: dict[str, Any] = dict.fromkeys(("use_dictionary", "write_statistics", "store_schema"), False) if wide else {}
    pq.write_table(rows, sink, compression="snappy", row_group_size=max(len(rows), 1), **said)
    return sink.getvalue().to_pybytes()


@contextmanager
def open_parquet(path: Path, *, buffered: bool = False) -> Iterator[pq.ParquetFile]:
    """Raises DatasetError that names the file where it is missing, truncated or no Parquet. `buffered`: what is read of
    a column is not in memory as a whole."""
    try:
        with pq.ParquetFile(  # the threads of buffering ahead cost more than they save
            path, pre_buffer=False, buffer_size=2**20 if buffered else 0
        ) as file:
            yield file
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: copy the dataset again, or delete the episode") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        damage = lfs_pointer(path) or f"{path} is not a whole Parquet file ({error}): copy the dataset again"
        raise DatasetError(damage) from error


def read_rows(path: Path, names: Sequence[str], *, first: int, count: int) -> pa.Table:
    """Rows `first` to `first + count` of a file, reading only the row groups that hold them.

    Raises:
        DatasetError: as `open_parquet`, or the file lacks a column or rows.
    """
    with open_parquet(path) as file:
        groups, before = rows_at(file, path, names, first=first, count=count)
        return file.read_row_groups(groups, columns=list(names), use_threads=False).slice(before, count)


def rows_at(
    file: pq.ParquetFile, path: Path, names: Sequence[str], *, first: int, count: int
) -> tuple[list[int], int]:
    """The row groups that hold those rows, and how many rows of the first group come before. Raises as `read_rows`."""
    missing = sorted(set(names) - set(file.schema_arrow.names))
    if missing:
        raise DatasetError(f"{path} lacks the column {', '.join(missing)} that meta/info.json declares")
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    ends = np.cumsum(sizes)
    if not len(ends) or ends[-1] < first + count:
        raise DatasetError(f"{path} has {file.metadata.num_rows} rows, needed are {first} to {first + count}")
    low, high = np.searchsorted(ends, [first, first + count - 1], side="right")
    return list(range(low, high + 1)), first - (int(ends[low]) - sizes[low])
