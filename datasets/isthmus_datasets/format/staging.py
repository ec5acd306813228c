"""An episode as files of its own: written, flushed, decoded and counted before any of them joins the dataset."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from av.error import FFmpegError
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.episode_index import EpisodeRow, VideoPlace, conformed, row_table
from isthmus_datasets.format.features import INDEX_FEATURES
from isthmus_datasets.format.files import not_written, sync, write_synced
from isthmus_datasets.format.final import Final, final_file, final_problem, final_table
from isthmus_datasets.format.image_rows import write_rows
from isthmus_datasets.format.images.frames import VideoFacts, scan_video
from isthmus_datasets.format.images.pixels import Pixels
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.info import INFO_FILE, DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import parquet_bytes, table
from isthmus_datasets.format.statistics import (
    Statistics,
    aggregate,
    episode_statistics,
    sampled,
    thinned,
    to_json,
)
from isthmus_datasets.format.tasks import TASKS_FILE, tasks_bytes

STATS_FILE = Path("meta/stats.json")
CRF = 20
KEY_EVERY = 10  # frames: to read one, 5 more are decoded on average; the file is half as large again


@dataclass(frozen=True, kw_only=True)
class Committed:
    """What the dataset holds: all that an append must know, however many episodes there are."""

    info: DatasetInfo
    tasks: tuple[str, ...]
    statistics: Statistics
    episode_schema: pa.Schema | None = None


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Files that are ready to join.

    Args:
        moves: From where to where, in the order of joining; the last is meta/info.json.
        committed: What the dataset holds afterwards.
    """

    moves: list[tuple[Path, Path]]
    committed: Committed


def check_episode(info: DatasetInfo, episode: Episode) -> None:
    """Raises DatasetError for zero steps, a column or video that is missing or not declared, of another type, shape
    or length, or not a number somewhere."""
    where = f"episode {info.total_episodes}"
    streamed = set(episode.videos) & set(info.columns)
    _check_names(where, "column", set(info.columns), set(episode.columns) | streamed)
    _check_names(where, "video", set(info.cameras), set(episode.videos) - streamed)
    if episode.length == 0:
        raise DatasetError(f"{where} has zero steps: there is nothing to append")
    if not isinstance(episode.task, str) or not episode.task:
        raise DatasetError(f"{where} does not say what was asked: give its task in words")
    if episode.final is not None and (problem := final_problem(info.features, episode.final)):
        raise DatasetError(f"{where}: {problem}")
    arrays = {name: v for name, v in {**episode.columns, **episode.videos}.items() if isinstance(v, np.ndarray)}
    for name, values in arrays.items():
        problem = info.features[name].problem(values)
        if problem:
            raise DatasetError(f"{where}: {name!r} {problem}")
        if len(values) != episode.length:
            raise DatasetError(f"{where}: {name!r} has {len(values)} rows, others have {episode.length}")


def _check_names(where: str, kind: str, declared: set[str], given: set[str]) -> None:
    if declared - given:
        raise DatasetError(f"{where} lacks the {kind} {', '.join(sorted(declared - given))} that is declared")
    if given - declared:
        raise DatasetError(f"{where} has the {kind} {', '.join(sorted(given - declared))} that is not declared")


def stage(folder: Path, episode: Episode, before: Committed) -> Staged:
    """Write everything that `episode` changes into `folder`, flushed to the disk.

    Raises:
        DatasetError: a video does not hold exactly the frames of the rows, or a fact cannot be written.
        OSError: a file cannot be written; it is named.
    """
    info, index = before.info, before.info.total_episodes
    chunk, file = divmod(index, info.chunks_size)
    tasks = before.tasks if episode.task in before.tasks else (*before.tasks, episode.task)
    columns = episode.columns | _index_columns(info, episode.length, tasks.index(episode.task))
    scans = {camera: _stage_video(folder, camera, episode, info) for camera in info.cameras}
    data_file = info.data_file(chunk, file)
    images = _stage_images(staged_name(folder, data_file), columns, episode, info)
    images |= {name: scan.images for name, scan in scans.items()}
    statistics = episode_statistics(info.features, columns, images)
    span = VideoPlace(chunk=chunk, file=file, start_s=0.0, end_s=episode.length / info.fps)
    row = EpisodeRow(
        index=index,
        length=episode.length,
        tasks=(episode.task,),
        facts=episode.facts,
        chunk=chunk,
        file=file,
        first=info.total_frames,
        videos=dict.fromkeys(info.cameras, span),
    )
    row_columns = _row(row, statistics, before.episode_schema)
    committed = Committed(
        info=_grown(info, scans, frames=episode.length, tasks=len(tasks)),
        tasks=tasks,
        statistics=aggregate([before.statistics, statistics]) if index else statistics,
        episode_schema=row_columns.schema,
    )
    files = {
        data_file: None if images.keys() - scans.keys() else parquet_bytes(table(info.parquet_features, columns)),
        **{info.video_file(camera, chunk, file): None for camera in info.cameras},
        final_file(chunk, file): None if episode.final is None else _final_bytes(info, index, episode.final),
        info.episodes_file(chunk, file): parquet_bytes(row_columns, wide=True),
        TASKS_FILE: tasks_bytes(tasks) if tasks != before.tasks else None,
        STATS_FILE: to_json(committed.statistics),
        INFO_FILE: committed.info.to_json(),
    }
    return Staged(moves=_write(folder, files), committed=committed)


def _write(folder: Path, files: Mapping[Path, bytes | None]) -> list[tuple[Path, Path]]:
    moves = []
    for target, content in files.items():
        staged = staged_name(folder, target)
        if content is not None:
            write_synced(staged, content)
        if staged.exists():
            moves.append((staged, target))
    return moves


def staged_name(folder: Path, target: Path) -> Path:
    """Where a file waits: a flat folder, so that one flush is enough."""
    return folder / "_".join(target.parts)


def _final_bytes(info: DatasetInfo, index: int, final: Final) -> bytes:
    return parquet_bytes(final_table(info.features, index, final), wide=True)


def _row(row: EpisodeRow, statistics: Statistics, schema: pa.Schema | None) -> pa.Table:
    """What meta/episodes says of it, in a file that has its rows' numbers."""
    try:
        return conformed(row_table(row, statistics, chunk=row.chunk, file=row.file), schema, row.facts)
    except ValueError as error:
        raise DatasetError(f"episode {row.index}: {error}") from error


def _index_columns(info: DatasetInfo, length: int, task_index: int) -> dict[str, NDArray[Any]]:
    steps = np.arange(length)
    values = {
        "timestamp": steps / info.fps,
        "frame_index": steps,
        "episode_index": np.full(length, info.total_episodes),
        "index": info.total_frames + steps,
        "task_index": np.full(length, task_index),
    }
    return {name: values[name].astype(feature.dtype).reshape(-1, 1) for name, feature in INDEX_FEATURES.items()}


def _stage_images(
    path: Path, columns: Mapping[str, NDArray[Any]], episode: Episode, info: DatasetInfo
) -> dict[str, Pixels]:
    """Write the rows where they have images, and give those for statistics; nothing where they have none."""
    names = [name for name in info.columns if info.features[name].is_image]
    if not names:
        return {}
    numbers = {name: values for name, values in columns.items() if name not in names}
    try:
        images = {name: _one_by_one(name, episode.videos.get(name, episode.columns.get(name))) for name in names}
        kept = write_rows(path, info.parquet_features, numbers, images, sampled(episode.length).tolist())
    except OSError as error:
        raise not_written(path, error) from error
    except DatasetError as error:
        raise DatasetError(f"episode {info.total_episodes}: {error}") from error
    sync(path)
    return kept


def _one_by_one(name: str, given: Any) -> Iterable[Pixels | bytes]:
    if isinstance(given, Path):
        raise DatasetError(f"{name!r} is a column of images, not a video: give what gives them, not {given}")
    return cast(Iterable[Pixels | bytes], given() if callable(given) else given)


def _stage_video(folder: Path, camera: str, episode: Episode, info: DatasetInfo) -> VideoFacts:
    """Encode or copy, then decode and compare with the rows."""
    source, where = episode.videos[camera], f"episode {info.total_episodes}: video {camera!r}"
    chunk, file = divmod(info.total_episodes, info.chunks_size)
    path = staged_name(folder, info.video_file(camera, chunk, file))
    try:
        if isinstance(source, Path):
            _bring(source, path, folder.parent)
        else:
            frames = source if isinstance(source, np.ndarray) else cast(Iterable[Pixels], source())
            lossless = info.features[camera].is_lossless
            write_video(path, frames, fps=info.fps, crf=CRF, key_every=KEY_EVERY, lossless=lossless)
    except FileNotFoundError:
        raise DatasetError(f"{where}: {source} is missing") from None
    except (OSError, FFmpegError) as error:
        raise not_written(path, error) from error
    except ValueError as error:
        raise DatasetError(f"{where}: {error}") from error
    sync(path)
    try:
        facts = scan_video(path, fps=info.fps, sample=sampled(episode.length))
    except DatasetError as error:
        raise DatasetError(f"{where} ({source if isinstance(source, Path) else 'encoded'}): {error}") from error
    _check_video(where, facts, episode.length, info, camera)
    return replace(facts, images=thinned(facts.images))


def _bring(source: Path, path: Path, root: Path) -> None:
    """A file that is below the dataset's folder, such as a recording's, is linked, which takes no room: nobody writes
    into it again. Others' are copied."""
    if root.resolve() in source.resolve().parents:
        with suppress(OSError):  # a file system without links
            os.link(source, path)
            return
    shutil.copyfile(source, path)


def _check_video(where: str, facts: VideoFacts, length: int, info: DatasetInfo, camera: str) -> None:
    declared = info.features[camera]
    if facts.shape != declared.shape:
        raise DatasetError(f"{where} has frames of shape {facts.shape}, declared is {declared.shape}")
    promised, found = (declared.info or {}).get("video.pix_fmt"), facts.info["video.pix_fmt"]
    if (declared.is_depth or declared.is_lossless) and promised not in (None, found):
        fix = "" if declared.is_depth else ": encode it anew without loss, as reencode --lossless does"
        raise DatasetError(f"{where} is stored as {found}, declared is {promised}{fix}")
    if facts.frames != length:
        raise DatasetError(f"{where} has {facts.frames} frames when decoded, the episode has {length} rows")
    if facts.misplaced is not None:
        raise DatasetError(f"{where}: frame {facts.misplaced} is not at {facts.misplaced}/{info.fps} s: write it anew")


def _grown(info: DatasetInfo, scans: Mapping[str, VideoFacts], *, frames: int, tasks: int) -> DatasetInfo:
    """`info` with one episode more; the first one tells the videos' codec, and keeps what else was declared."""
    features = {
        name: replace(feature, info={**(feature.info or {}), **scans[name].info})
        if name in scans and (not feature.info or not info.total_episodes)
        else feature
        for name, feature in info.features.items()
    }
    return replace(
        info,
        features=features,
        total_episodes=info.total_episodes + 1,
        total_frames=info.total_frames + frames,
        total_tasks=tasks,
    )
