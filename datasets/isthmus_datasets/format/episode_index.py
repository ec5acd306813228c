"""meta/episodes: where each episode is, and what is known about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus_datasets.format.episode import Scalar
from isthmus_datasets.format.info import DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import open_parquet
from isthmus_datasets.format.statistics import STATISTICS, Statistics

TYPED_FACTS = {"success": pa.bool_(), "operator": pa.string(), "seed": pa.int64()}
"""Facts with a column of their own, which LeRobot can filter on. The others are JSON text in the column `facts`: a
column that only some episodes have would make LeRobot refuse the dataset."""


@dataclass(frozen=True, kw_only=True)
class VideoPlace:
    """An episode's part of an mp4 file: from `start_s` up to `end_s`."""

    chunk: int
    file: int
    start_s: float
    end_s: float


@dataclass(frozen=True, kw_only=True)
class EpisodeRow:
    """What meta/episodes says about one episode.

    Args:
        index: Number of the episode.
        length: T.
        tasks: What was asked, in words: one, or several when it changed on the way.
        facts: As the episode was given them; those that were None in `TYPED_FACTS` are left out.
        chunk, file: Numbers of the Parquet file with its rows.
        first: Number of its first row in the whole dataset.
        videos: camera -> where its frames are.
    """

    index: int
    length: int
    tasks: tuple[str, ...]
    facts: Mapping[str, Scalar]
    chunk: int
    file: int
    first: int
    videos: Mapping[str, VideoPlace]


def row_table(row: EpisodeRow, statistics: Statistics, *, chunk: int, file: int) -> pa.Table:
    """One row of meta/episodes, which will be in that file. Raises ValueError for a fact that cannot be written."""
    integers = {
        "episode_index": row.index,
        "length": row.length,
        "data/chunk_index": row.chunk,
        "data/file_index": row.file,
        "dataset_from_index": row.first,
        "dataset_to_index": row.first + row.length,
        "meta/episodes/chunk_index": chunk,
        "meta/episodes/file_index": file,
    }
    columns: dict[str, pa.Array] = {name: pa.array([value], pa.int64()) for name, value in integers.items()}
    columns["tasks"] = pa.array([list(row.tasks)], pa.list_(pa.string()))
    for camera, place in row.videos.items():
        columns[f"videos/{camera}/chunk_index"] = pa.array([place.chunk], pa.int64())
        columns[f"videos/{camera}/file_index"] = pa.array([place.file], pa.int64())
        columns[f"videos/{camera}/from_timestamp"] = pa.array([place.start_s], pa.float64())
        columns[f"videos/{camera}/to_timestamp"] = pa.array([place.end_s], pa.float64())
    columns |= _fact_columns(row.facts)
    return pa.table(columns | statistics_columns(statistics))


def conformed(row: pa.Table, schema: pa.Schema | None, facts: Mapping[str, Scalar]) -> pa.Table:
    """The row with exactly the columns that the dataset's meta/episodes has: readers take those of the first file for
    all of them. Statistics that it does not hold are left out, columns of others are filled with facts of their name.

    Args:
        row: As `row_table` gives it.
        schema: The dataset's; None for one without episodes, which has any.
        facts: The episode's.

    Raises:
        ValueError: a fact has no column there, or a value does not fit one.
    """
    if schema is None:
        return row
    there = set(schema.names)
    homeless = [name for name, value in facts.items() if value is not None and not {_column_of(name), name} & there]
    if homeless:
        raise ValueError(
            f"meta/episodes of this dataset has no column for what is known of it, {', '.join(homeless)}: append it "
            "without, or to a copy that `isthmus-dataset select` has made"
        )
    columns = {name: row.column(name) for name in row.column_names if name in there}
    given = {name: facts.get(name) for name in there - set(columns)}
    columns |= {name: pa.chunked_array([pa.array([value])]) for name, value in given.items()}
    try:
        arrays = [columns[field.name].cast(field.type) for field in schema]
    except pa.ArrowException as error:
        raise ValueError(f"meta/episodes of this dataset takes other values: {error}") from error
    return pa.Table.from_arrays(arrays, schema=schema)


def episode_schema(root: Path) -> pa.Schema | None:
    """The columns of meta/episodes, as its first file has them; None where there is none. Raises DatasetError."""
    for path in episode_files(root)[:1]:
        with open_parquet(path) as file:
            return file.schema_arrow.remove_metadata()
    return None


def _column_of(fact: str) -> str:
    return fact if fact in TYPED_FACTS else "facts"


def statistics_columns(statistics: Statistics) -> dict[str, pa.Array]:
    """One episode's statistics as columns of one row."""
    nested = {f"stats/{feature}/{name}": value for feature, each in statistics.items() for name, value in each.items()}
    return {name: pa.array([value.tolist()]) for name, value in nested.items()}


def _fact_columns(facts: Mapping[str, Scalar]) -> dict[str, pa.Array]:
    wanted = {"success": bool, "operator": str, "seed": int}
    for name, kind in wanted.items():
        if facts.get(name) is not None and type(facts[name]) is not kind:
            raise ValueError(f"fact {name!r} is {facts[name]!r}, expected {kind.__name__} or None")
    if abs(facts.get("seed") or 0) >= 2**63:  # type: ignore[arg-type]
        raise ValueError(f"fact 'seed' is {facts['seed']}, which does not fit into 64 bits")
    others = {name: value for name, value in facts.items() if name not in TYPED_FACTS}
    for name, value in others.items():
        if value is not None and type(value) not in (str, bool, int, float):
            raise ValueError(f"fact {name!r} is {type(value).__name__}, expected str, bool, int, float or None")
    columns = {name: pa.array([facts.get(name)], kind) for name, kind in TYPED_FACTS.items()}
    return columns | {"facts": pa.array([json.dumps(others, allow_nan=False)])}


def episode_files(root: Path) -> list[Path]:
    """meta/episodes' files in order."""
    files = (root / "meta" / "episodes").glob("chunk-*/file-*.parquet")
    return sorted(files, key=lambda path: [int(n) for n in re.findall(r"\d+", f"{path.parent.name}/{path.name}")])


def read_episodes(root: Path, info: DatasetInfo) -> list[EpisodeRow]:
    """All that are committed, in order; what a crash left over behind them is not read.

    Raises:
        DatasetError: a file is missing or truncated, or the episodes are not 0, 1, 2 … up to info.json's total.
    """
    rows: list[EpisodeRow] = []
    for path in episode_files(root):
        if len(rows) >= info.total_episodes:
            break
        rows += [episode_row(path, plain, info) for plain in _plain_rows(path)]
    del rows[info.total_episodes :]
    if [row.index for row in rows] != list(range(info.total_episodes)):
        wrong = next((i for i, row in enumerate(rows) if row.index != i), len(rows))
        raise DatasetError(f"{root / 'meta/episodes'} lacks episode {wrong} of {info.total_episodes}: copy it again")
    return rows


def _plain_rows(path: Path) -> list[dict[str, Any]]:
    with open_parquet(path) as file:
        names = [name for name in file.schema_arrow.names if not name.startswith("stats/")]
        return file.read(columns=names, use_threads=False).to_pylist()


def episode_row(path: Path, plain: dict[str, Any], info: DatasetInfo) -> EpisodeRow:
    """From one row of the file `path`. Raises DatasetError when it is not that."""
    try:
        return EpisodeRow(
            index=int(plain.pop("episode_index")),
            length=int(plain.pop("length")),
            tasks=tuple(plain.pop("tasks")),
            chunk=int(plain.pop("data/chunk_index")),
            file=int(plain.pop("data/file_index")),
            first=int(plain.pop("dataset_from_index")),
            videos={camera: _video_place(plain, f"videos/{camera}") for camera in info.cameras},
            facts=_facts(plain),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is no meta/episodes of {info.codebase_version}: {error!r}") from error


def _video_place(plain: dict[str, Any], prefix: str) -> VideoPlace:
    return VideoPlace(
        chunk=int(plain[f"{prefix}/chunk_index"]),
        file=int(plain[f"{prefix}/file_index"]),
        start_s=float(plain[f"{prefix}/from_timestamp"]),
        end_s=float(plain[f"{prefix}/to_timestamp"]),
    )


def _facts(plain: dict[str, Any]) -> dict[str, Scalar]:
    """Ours, and scalar columns that others have added."""
    facts = json.loads(plain.pop("facts", None) or "{}")
    own = {name: value for name, value in plain.items() if "/" not in name and name != "dataset_to_index"}
    return {name: v for name, v in own.items() if isinstance(v, (str, bool, int, float))} | facts


def read_episode_statistics(root: Path, info: DatasetInfo) -> list[Statistics]:
    """Statistics of every committed episode, in order; a feature that has none is left out. Raises as
    `read_episodes`."""
    parts: list[Statistics] = []
    for path in episode_files(root):
        if len(parts) >= info.total_episodes:
            break
        with open_parquet(path) as file:
            names = [name for name in file.schema_arrow.names if name.startswith("stats/")]
            plain = file.read(columns=names, use_threads=False).to_pylist()
        parts += [row_statistics(each, info) for each in plain]
    return parts[: info.total_episodes]


def row_statistics(plain: dict[str, Any], info: DatasetInfo) -> Statistics:
    """Those in one row of meta/episodes; a feature that has none is left out."""
    result: Statistics = {}
    for feature in info.features:
        kept = {name: plain.get(f"stats/{feature}/{name}") for name in STATISTICS}
        if kept["count"] is not None:
            result[feature] = {name: np.asarray(value) for name, value in kept.items() if value is not None}
    return result
