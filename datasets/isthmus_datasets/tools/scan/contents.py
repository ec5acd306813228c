"""Reads the rows and frames of every episode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.frames import decode_image
from isthmus_datasets.format.info import DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import from_arrow, open_parquet
from isthmus_datasets.tools.scan.dataset_scan import EpisodeScan
from isthmus_datasets.tools.scan.finding import Problems
from isthmus_datasets.tools.scan.footage import Span, watch_images, watch_video
from isthmus_datasets.tools.scan.schema import check_schema

THUMBNAILS = 8
"""Number of episodes whose images are kept."""


def read_contents(
    root: Path,
    info: DatasetInfo,
    episodes: Sequence[EpisodeScan],
    problems: Problems,
    progress: Callable[[int, int], None],
) -> None:
    """Fill in `columns` and `footage` of every episode, file by file; what cannot be read becomes a problem."""
    data: dict[Path, list[EpisodeScan]] = defaultdict(list)
    videos: dict[tuple[Path, str], list[EpisodeScan]] = defaultdict(list)
    for seen in episodes:
        data[info.data_file(seen.row.chunk, seen.row.file)].append(seen)
        for camera, place in seen.row.videos.items():
            videos[info.video_file(camera, place.chunk, place.file), camera].append(seen)
    shown = set(np.linspace(0, info.total_episodes - 1, THUMBNAILS).round().astype(int).tolist())
    total = len(data) + len(videos)
    for done, (path, inside) in enumerate(data.items()):
        progress(done, total)
        _read_data(root / path, info, inside, problems, shown)
    for done, ((path, camera), inside) in enumerate(videos.items(), start=len(data)):
        progress(done, total)
        _watch(root / path, camera, info.fps, inside, problems, shown)
    progress(total, total)


def _read_data(path: Path, info: DatasetInfo, inside: list[EpisodeScan], problems: Problems, shown: set[int]) -> None:
    indices = [seen.index for seen in inside]
    try:
        with open_parquet(path) as file:
            check_schema(path, file.schema_arrow, info, indices, problems)
            wanted = [name for name in info.parquet_features if name in file.schema_arrow.names]
            table = file.read(columns=wanted, use_threads=False)
    except DatasetError as error:
        problems.add(error, *indices)
        return
    strangers = ~np.isin(_episode_numbers(table), indices)
    if len(table) != sum(seen.row.length for seen in inside) and strangers.any():
        problems.add(f"{path} has {strangers.sum()} rows of no episode that is in it", *indices)
    for seen, rows in zip(inside, _cut(table, inside), strict=True):
        for name in wanted:
            try:
                _read_column(seen, name, info.features[name], rows[name], seen.index in shown)
            except ValueError as error:
                problems.add(f"{path}: column {name!r} {error}", seen.index, fix="record or convert the episode again")


def _read_column(seen: EpisodeScan, name: str, feature: Feature, column: pa.ChunkedArray, shown: bool) -> None:
    if not feature.is_image:
        seen.columns[name] = from_arrow(feature, column)
    elif len(column):
        span = Span(episode=seen.index, first=0, length=seen.row.length, thumbnails=shown)
        seen.footage[name] = watch_images(_images(column), span)


def _images(column: pa.ChunkedArray) -> Iterator[NDArray[np.uint8]]:
    for i, cell in enumerate(column):
        row: dict[str, Any] | None = cell.as_py()
        if row is None or row["bytes"] is None:
            raise ValueError(f"has no image in row {i}")
        yield decode_image(row["bytes"])


def _episode_numbers(table: pa.Table) -> NDArray[np.int64]:
    """Which episode each row says it belongs to; -1 where none does."""
    if "episode_index" not in table.column_names:
        return np.full(len(table), -1)
    return table["episode_index"].fill_null(-1).to_numpy()


def _cut(table: pa.Table, inside: list[EpisodeScan]) -> Iterator[pa.Table]:
    """Each episode's rows: by their lengths where these add up, else by the number of the episode that stands in
    every row."""
    lengths = [seen.row.length for seen in inside]
    if len(table) == sum(lengths):
        starts = np.cumsum([0, *lengths])
        yield from (table.slice(start, length) for start, length in zip(starts, lengths, strict=False))
        return
    numbers = _episode_numbers(table)
    for seen in inside:
        mine = np.flatnonzero(numbers == seen.index)
        yield table.slice(mine[0], len(mine)) if len(mine) else table.slice(0, 0)


def _watch(path: Path, camera: str, fps: int, inside: list[EpisodeScan], problems: Problems, shown: set[int]) -> None:
    places = {seen.index: seen.row.videos[camera] for seen in inside}
    spans = [
        Span(
            episode=seen.index,
            first=round(places[seen.index].start_s * fps),
            length=seen.row.length,
            thumbnails=seen.index in shown,
        )
        for seen in inside
    ]
    spans.sort(key=lambda span: span.first)
    footage, broken = watch_video(path, spans, fps=fps)
    for seen in inside:
        if seen.index in footage:
            seen.footage[camera] = footage[seen.index]
        else:
            problems.add(broken or f"{path} has no frame of this episode", seen.index)
