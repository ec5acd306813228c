"""What was observed after an episode's last action: a learner that bootstraps there needs it.

A LeRobotDataset has no place for it, since every row has an action. It is in files of its own below meta/, numbered as
those of the rows, which other readers do not open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.parquet import from_arrow, open_parquet, to_arrow

Final = Mapping[str, NDArray[Any]]
"""Observation columns and cameras -> their values (*shape) after the last action."""

_PREFIXES = ("observation.", "simulation.")
_INDEX = "episode_index"


def final_file(chunk: int, file: int) -> Path:
    """Below the dataset's folder."""
    return Path(f"meta/final/chunk-{chunk:03d}/file-{file:03d}.parquet")


def final_features(features: Mapping[str, Feature]) -> Features:
    """Those that a final observation has; a video's frame is an image there, which is without loss."""
    chosen = {name: feature for name, feature in features.items() if name.startswith(_PREFIXES)}
    return {name: replace(f, dtype="image") if f.is_video else f for name, f in chosen.items()}


def final_problem(features: Mapping[str, Feature], final: Final) -> str | None:
    """What is wrong with a final observation; None where nothing is."""
    declared = final_features(features)
    if declared.keys() != final.keys():
        return f"the final observation has {', '.join(sorted(final))}, declared are {', '.join(sorted(declared))}"
    for name, feature in declared.items():
        problem = feature.problem(final[name][None])
        if problem:
            return f"the final observation's {name!r} {problem}"
    return None


def final_table(features: Mapping[str, Feature], index: int, final: Final) -> pa.Table:
    """One row: that of episode `index`."""
    columns = {name: to_arrow(feature, final[name][None]) for name, feature in final_features(features).items()}
    return pa.table({_INDEX: pa.array([index], pa.int64()), **columns})


def read_final(path: Path, features: Mapping[str, Feature], index: int) -> dict[str, NDArray[Any]] | None:
    """The final observation of episode `index`; None where none was kept. Raises DatasetError for a damaged file."""
    if not path.exists():
        return None
    with open_parquet(path) as file:
        rows = file.read(use_threads=False)
    found = np.flatnonzero(rows[_INDEX].to_numpy() == index) if _INDEX in rows.column_names else []
    if not len(found):
        return None
    row, declared = rows.slice(int(found[0]), 1), final_features(features)
    lacking = [name for name in declared if name not in row.column_names]
    if lacking:
        raise DatasetError(f"{path} lacks the column {', '.join(lacking)} that meta/info.json declares")
    try:
        return {name: from_arrow(feature, row[name])[0] for name, feature in declared.items()}
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from error
