"""Reads the rows and frames of every episode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus_datasets.format.image_rows import image_files
from isthmus_datasets.format.images.frames import decode_image
from isthmus_datasets.format.images.pixels import PixelError
from isthmus_datasets.format.info import DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import from_arrow, open_parquet
from isthmus_datasets.tools.scan.dataset_scan import EpisodeScan
from isthmus_datasets.tools.scan.finding import COPY_AGAIN, Problems
from isthmus_datasets.tools.scan.footage import FrameSpan, watch_images, watch_video
from isthmus_datasets.tools.scan.schema import check_schema

_AGAIN = "record or convert the episode again"
THUMBNAILS = 8
"""Number of episodes whose images are kept."""
_UNREAD = "none, if what wrote it reads it; here the camera has to be left out"


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
    for episode in episodes:
        data[info.data_file(episode.row.chunk, episode.row.file)].append(episode)
        for camera, place in episode.row.videos.items():
            videos[info.video_file(camera, place.chunk, place.file), camera].append(episode)
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
    indices = [episode.index for episode in inside]
    try:
        with open_parquet(path) as file:
            check_schema(path, file.schema_arrow, info, indices, problems)
            wanted = [name for name in info.parquet_features if name in file.schema_arrow.names]
            numbers = [name for name in wanted if not info.features[name].is_image]
            table = file.read(columns=numbers, use_threads=False)
    except DatasetError as error:
        problems.add(error, *indices)
        return
    strangers = ~np.isin(_episode_numbers(table), indices)
    if len(table) != sum(episode.row.length for episode in inside) and strangers.any():
        problems.add(f"{path} has {strangers.sum()} rows of no episode that is in it", *indices)
    for episode, (first, length) in zip(inside, _cut(table, inside), strict=True):
        for name in numbers:
            with _told(path, name, episode, problems):
                episode.columns[name] = from_arrow(info.features[name], table[name].slice(first, length))
        for name in [name for name in wanted if name not in numbers and length]:
            with _told(path, name, episode, problems):
                images = map(decode_image, image_files(path, name, first=first, count=length))
                episode.footage[name] = watch_images(images, _whole(episode, shown))


@contextmanager
def _told(path: Path, name: str, episode: EpisodeScan, problems: Problems) -> Iterator[None]:
    """What is wrong with a column of an episode becomes a problem of it."""
    try:
        yield
    except DatasetError as error:
        problems.add(error, episode.index, fix=_AGAIN)
    except ValueError as error:
        problems.add(f"{path}: column {name!r} {error}", episode.index, fix=_AGAIN)


def _whole(episode: EpisodeScan, shown: set[int]) -> FrameSpan:
    """All of an episode, which is seen on the page where it is one of those that are shown."""
    return FrameSpan(episode=episode.index, first=0, length=episode.row.length, thumbnails=episode.index in shown)


def _episode_numbers(table: pa.Table) -> NDArray[np.int64]:
    """Which episode each row says it belongs to; -1 where none does."""
    if "episode_index" not in table.column_names:
        return np.full(len(table), -1)
    return table["episode_index"].fill_null(-1).to_numpy()


def _cut(table: pa.Table, inside: list[EpisodeScan]) -> Iterator[tuple[int, int]]:
    """Each episode's first row and how many: by their lengths where these add up, else by the number of the episode
    that stands in every row."""
    lengths = [episode.row.length for episode in inside]
    if len(table) == sum(lengths):
        yield from zip(np.cumsum([0, *lengths]).tolist(), lengths, strict=False)
        return
    numbers = _episode_numbers(table)
    for episode in inside:
        mine = np.flatnonzero(numbers == episode.index)
        yield (int(mine[0]), len(mine)) if len(mine) else (0, 0)


def _watch(path: Path, camera: str, fps: int, inside: list[EpisodeScan], problems: Problems, shown: set[int]) -> None:
    places = {episode.index: episode.row.videos[camera] for episode in inside}
    spans = [
        FrameSpan(
            episode=episode.index,
            first=round(places[episode.index].start_s * fps),
            length=episode.row.length,
            thumbnails=episode.index in shown,
        )
        for episode in inside
    ]
    spans.sort(key=lambda span: span.first)
    footage, broken = watch_video(path, spans, fps=fps)
    fix = _UNREAD if isinstance(broken, PixelError) else COPY_AGAIN
    for episode in inside:
        if episode.index in footage:
            episode.footage[camera] = footage[episode.index]
        else:
            problems.add(broken or f"{path} has no frame of this episode", episode.index, fix=fix)
