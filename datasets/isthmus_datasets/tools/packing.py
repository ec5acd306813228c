"""Many episodes a file, as LeRobot itself writes them: fewer files to copy, and faster to open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus_datasets.format.episode_index import EpisodeRow, VideoPlace, read_episode_statistics, row_table
from isthmus_datasets.format.files import Staging, make_folder, move, sync, write_synced
from isthmus_datasets.format.final import final_file, final_table
from isthmus_datasets.format.info import DATA_PATH, INFO_FILE, VIDEO_PATH, DatasetError
from isthmus_datasets.format.parquet import parquet_bytes
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.staging import STATS_FILE
from isthmus_datasets.format.statistics import Statistics, aggregate, to_json
from isthmus_datasets.format.tasks import TASKS_FILE, tasks_bytes
from isthmus_datasets.tools.losses import refuse_losses
from isthmus_datasets.tools.remux import VideoJoiner

MEGABYTE = 2**20


def pack(source: Path, target: Path, *, data_mb: int | None = None, video_mb: int | None = None) -> None:
    """Write `source` again as `target`, with several episodes in each file; nothing is encoded anew.

    Args:
        source: A dataset; it stays as it is.
        target: A folder that is not there yet. It appears when it is whole.
        data_mb, video_mb: A file that has grown to so many megabytes gets no further episode; None for what
            meta/info.json says.

    Raises:
        DatasetError: `source` is damaged, lacks an episode's statistics, or `target` is there already.
        OSError: a file cannot be written.
    """
    reader = DatasetReader(source)
    refuse_losses(reader)
    info = replace(
        reader.info,
        data_path=DATA_PATH,
        video_path=VIDEO_PATH if reader.info.cameras else None,
        data_files_size_in_mb=reader.info.data_files_size_in_mb if data_mb is None else data_mb,
        video_files_size_in_mb=reader.info.video_files_size_in_mb if video_mb is None else video_mb,
    )
    statistics = read_episode_statistics(source, info)
    if any("index" not in each for each in statistics):
        raise DatasetError(f"{source}/meta/episodes lacks the statistics of an episode: recompute them")
    with new_dataset(target) as folder:
        places = _pack_data(reader, folder, info.data_files_size_in_mb * MEGABYTE)
        _pack_final(reader, places, folder)
        limit = info.video_files_size_in_mb * MEGABYTE
        videos = {camera: _pack_videos(reader, camera, folder, limit) for camera in info.cameras}
        rows = [
            replace(row, chunk=chunk, file=file, videos={camera: videos[camera][row.index] for camera in info.cameras})
            for row, (chunk, file) in zip(reader.episodes, places, strict=True)
        ]
        if rows:
            _write_rows(folder, rows, statistics, reader.tasks)
        make_folder(folder / INFO_FILE.parent)
        write_synced(folder / INFO_FILE, info.to_json())


@contextmanager
def new_dataset(target: Path) -> Iterator[Path]:
    """A folder beside `target` that becomes it at the end of the block. Raises DatasetError when `target` is there."""
    if target.exists():
        raise DatasetError(f"{target} is there already: choose another folder")
    make_folder(target.parent)
    with Staging(target.with_name(f".{target.name}.partial")) as folder:
        yield folder
        for path in folder.rglob("*"):
            sync(path)
        move(folder, target)
    sync(target.parent)


def _write_rows(folder: Path, rows: list[EpisodeRow], statistics: list[Statistics], tasks: tuple[str, ...]) -> None:
    tables = [row_table(row, each, chunk=0, file=0) for row, each in zip(rows, statistics, strict=True)]
    path = folder / "meta/episodes/chunk-000/file-000.parquet"
    make_folder(path.parent)
    write_synced(path, parquet_bytes(pa.concat_tables(tables)))
    write_synced(folder / TASKS_FILE, tasks_bytes(tasks))
    write_synced(folder / STATS_FILE, to_json(aggregate(statistics)))


def _pack_data(reader: DatasetReader, folder: Path, limit: int) -> list[tuple[int, int]]:
    """Row group behind row group; returns the chunk and file of every episode."""
    places: list[tuple[int, int]] = []
    writer, number, size = None, -1, 0
    with ExitStack() as current:
        for row in reader.episodes:
            parts = reader.parts(row.index)
            rows = next(parts)
            if writer is None or size >= limit:
                current.close()
                number += 1
                path = folder / DATA_PATH.format(**_indices(reader, number))
                make_folder(path.parent)
                handle = current.enter_context(path.open("wb"))
                writer = current.enter_context(pq.ParquetWriter(handle, rows.schema, compression="snappy"))
            for part in chain([rows], parts):
                writer.write_table(part.cast(writer.schema))
            size = handle.tell()
            places.append(divmod(number, reader.info.chunks_size))
    return places


def _pack_final(reader: DatasetReader, places: list[tuple[int, int]], folder: Path) -> None:
    """The final observations of a data file's episodes in one file; written one place after the other."""
    for place, group in groupby(zip(places, reader.episodes, strict=True), key=lambda each: each[0]):
        finals = ((row.index, reader.final(row.index)) for _, row in group)
        kept = [final_table(reader.info.features, index, final) for index, final in finals if final is not None]
        if kept:
            path = folder / final_file(*place)
            make_folder(path.parent)
            write_synced(path, parquet_bytes(pa.concat_tables(kept)))


def _pack_videos(reader: DatasetReader, camera: str, folder: Path, limit: int) -> list[VideoPlace]:
    """Video behind video; returns where every episode is."""
    places: list[VideoPlace] = []
    joiner, number, fps = None, -1, reader.info.fps
    with ExitStack() as current:
        for row in reader.episodes:
            source, first = reader.video_start(row.index, camera)
            if joiner is None or joiner.size >= limit or not joiner.takes(source):
                current.close()
                number += 1
                path = folder / VIDEO_PATH.format(video_key=camera, **_indices(reader, number))
                joiner = current.enter_context(VideoJoiner(path, fps=fps))
            chunk, file = divmod(number, reader.info.chunks_size)
            start, end = joiner.frames / fps, (joiner.frames + row.length) / fps
            places.append(VideoPlace(chunk=chunk, file=file, start_s=start, end_s=end))
            joiner.add(source, first=first, count=row.length)
    return places


def _indices(reader: DatasetReader, number: int) -> dict[str, int]:
    chunk, file = divmod(number, reader.info.chunks_size)
    return {"chunk_index": chunk, "file_index": file}
