"""Whether a Parquet file has the columns that meta/info.json declares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetInfo
from isthmus_datasets.tools.scan.finding import Problems


def check_schema(path: Path, schema: pa.Schema, info: DatasetInfo, episodes: Sequence[int], problems: Problems) -> None:
    """Add a problem for each column that is missing, not declared, or of another type; all `episodes` suffer."""
    declared, there = info.parquet_features, set(schema.names)
    for name in [name for name in declared if name not in there]:
        message = f"{path} lacks the column {name!r} that meta/info.json declares"
        problems.add(message, *episodes, fix="take it out of meta/info.json's features, or convert the episode again")
    for name in [name for name in schema.names if name not in declared]:
        message = f"{path} has the column {name!r} that meta/info.json does not declare"
        problems.add(message, *episodes, fix="declare it in meta/info.json: LeRobot refuses the dataset like this")
    for name in [name for name in declared if name in there]:
        problem = _type_problem(declared[name], schema.field(name).type)
        if problem:
            problems.add(f"{path}: column {name!r} {problem}", *episodes, fix="convert the episode to what is declared")


def _type_problem(feature: Feature, kind: pa.DataType) -> str | None:
    if feature.is_image:
        return None if pa.types.is_struct(kind) else f"holds {kind}, declared are images"
    element = kind
    while pa.types.is_list(element) or pa.types.is_large_list(element) or pa.types.is_fixed_size_list(element):
        if pa.types.is_fixed_size_list(element) and element.list_size not in feature.shape:
            return f"has {element.list_size} numbers a row, declared is shape {feature.shape}"
        element = element.value_type
    text = pa.types.is_string(element) or pa.types.is_large_string(element)
    if feature.dtype == "string" or text:
        return None if (feature.dtype == "string") == text else f"holds {element}, declared is {feature.dtype}"
    return None if element == pa.from_numpy_dtype(feature.numpy) else f"holds {element}, declared is {feature.dtype}"
