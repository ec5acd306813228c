"""Datasets out of datasets: merge, split, keep, delete, encode anew; and statistics computed anew.

Each makes a new folder, which appears when it is whole, and leaves its sources as they are. Videos are copied or cut,
not encoded anew, unless that is what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus_datasets.format.episode import Episode, Frames, ImageFiles
from isthmus_datasets.format.episode_index import episode_files, statistics_columns
from isthmus_datasets.format.features import INDEX_FEATURES, Feature, Features, unlike
from isthmus_datasets.format.files import Lock, Staging, move, sync, write_synced
from isthmus_datasets.format.images.storage import without_loss
from isthmus_datasets.format.images.video import write_video
from isthmus_datasets.format.info import INFO_FILE, DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import open_parquet, parquet_bytes
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.staging import CRF, KEY_EVERY, STATS_FILE
from isthmus_datasets.format.statistics import (
    Statistics,
    aggregate,
    episode_statistics,
    from_json,
    sampled,
    thinned,
    to_json,
)
from isthmus_datasets.format.writer import LOCK, STAGING, DatasetWriter
from isthmus_datasets.tools.losses import only_task, refuse_losses, refuse_splits
from isthmus_datasets.tools.packing import new_dataset
from isthmus_datasets.tools.remux import cut_video


def merge(sources: Sequence[Path], target: Path) -> None:
    """The episodes of all `sources`, one after the other.

    Raises:
        DatasetError: a source is damaged, two differ in rate, features or their units, or `target` is there already.
        OSError: a file cannot be written.
    """
    if not sources:
        raise DatasetError("there is nothing to merge: name a dataset")
    readers = [DatasetReader(source) for source in sources]
    for other in readers[1:]:
        _check_same(readers[0], other)
    for reader in readers[1:] and readers:
        refuse_splits(reader)
    robots = dict.fromkeys(reader.info.robot_type for reader in readers if reader.info.robot_type)
    info = replace(readers[0].info, robot_type="+".join(robots) or None, extra=_common_extra(readers))
    write_episodes(target, info, ((reader, index) for reader in readers for index in range(reader.num_episodes)))


def keep_episodes(source: Path, target: Path, indices: Sequence[int]) -> None:
    """Only the episodes `indices`, in that order; errors as `merge`, and DatasetError for one that is not there."""
    split(source, {target: indices})


def delete_episodes(source: Path, target: Path, indices: Sequence[int]) -> None:
    """All but the episodes `indices`; errors as `keep_episodes`."""
    reader = DatasetReader(source)
    _check_indices(reader, indices)
    keep_episodes(source, target, [index for index in range(reader.num_episodes) if index not in set(indices)])


def split(source: Path, targets: Mapping[Path, Sequence[int]]) -> None:
    """One dataset for each of `targets`, of those episodes; errors as `keep_episodes`."""
    reader = DatasetReader(source)
    refuse_splits(reader)
    for indices in targets.values():
        _check_indices(reader, indices)
    for target, indices in targets.items():
        write_episodes(target, reader.info, ((reader, index) for index in indices))


def reencode(
    source: Path, target: Path, *, crf: int = CRF, key_every: int = KEY_EVERY, lossless: Sequence[str] = ()
) -> None:
    """All episodes, their videos as H.264 of this quality; what was without loss, the cameras `lossless` and depths are
    so afterwards. Errors as `merge`, and DatasetError for a camera that is not there. See `video.VideoWriter`."""
    reader = DatasetReader(source)
    kept = [name for name, feature in reader.info.features.items() if feature.is_lossless]
    forgotten = {name: replace(f, info=None) if _is_lossy(f) else f for name, f in reader.info.features.items()}
    features = without_loss(forgotten, [*kept, *lossless])
    everything = ((reader, index) for index in range(reader.num_episodes))
    write_episodes(target, replace(reader.info, features=features), everything, encoding=(crf, key_every))


def recompute_statistics(root: Path) -> None:
    """Compute meta/stats.json and the statistics in meta/episodes anew from the data, in place; such as are not
    computed here stay.

    Raises:
        DatasetError: a file is missing or damaged, or another process writes to the dataset.
        OSError: a file cannot be written.
    """
    reader, lock = DatasetReader(root), Lock(root / LOCK)
    try:
        parts = [_statistics(reader, index) for index in range(reader.num_episodes)]
        with Staging(root / STAGING) as folder:
            first = 0
            for path in episode_files(root):
                first += _replace_statistics(path, parts[first:], folder)
            write_synced(folder / STATS_FILE.name, to_json(_updated(root / STATS_FILE, aggregate(parts))))
            move(folder / STATS_FILE.name, root / STATS_FILE)
        sync((root / STATS_FILE).parent)
    finally:
        lock.close()


def write_episodes(
    target: Path,
    info: DatasetInfo,
    episodes: Iterable[tuple[DatasetReader, int]],
    encoding: tuple[int, int] | None = None,
    change: Callable[[Episode], Episode] = lambda episode: episode,
) -> None:
    """A new dataset of episodes of others, each of them changed; errors as `merge`.

    Args:
        target: Its folder.
        info: What it declares.
        episodes: Which ones.
        encoding: Quality and frames between key frames of videos that are encoded anew; None to copy them.
        change: What becomes of an episode.
    """
    features = {name: feature for name, feature in info.features.items() if name not in INDEX_FEATURES}
    with (
        new_dataset(target) as folder,
        DatasetWriter.create(
            folder, fps=info.fps, features=features, robot_type=info.robot_type, extra=info.extra
        ) as writer,
    ):
        asked: set[Path] = set()
        for reader, index in episodes:
            if reader.root not in asked:
                refuse_losses(reader)
                asked.add(reader.root)
            with TemporaryDirectory(prefix=".", dir=folder) as scratch:  # whose files the dataset links
                episode = _standalone(reader, index, Path(scratch), features, encoding)
                writer.append(change(episode))


def streamed(reader: DatasetReader, index: int) -> Episode:
    """An episode whose images are read as they are needed. Raises as `DatasetReader.episode`, and DatasetError
    where what was asked changed on the way."""
    only_task(reader, index)
    names = [name for name, feature in reader.info.features.items() if feature.is_image]
    videos = {name: partial(reader.stream, index, name) for name in names}
    return replace(reader.episode(index, videos=False), videos=videos)


def _standalone(
    reader: DatasetReader, index: int, scratch: Path, features: Features, encoding: tuple[int, int] | None
) -> Episode:
    """The episode, its videos as files of its own, encoded anew as `features` have them where `encoding` is given."""
    only_task(reader, index)
    columns = [name for name in reader.info.columns if reader.info.features[name].is_image]
    videos: dict[str, Path | Frames | ImageFiles] = {n: partial(reader.image_files, index, n) for n in columns}
    for camera in reader.info.cameras:
        path = scratch / f"{camera}.mp4"
        if encoding is None:
            videos[camera] = _footage(reader, index, camera, path)
        else:
            crf, key_every = encoding
            frames, lossless = reader.stream(index, camera), features[camera].is_lossless
            videos[camera] = write_video(
                path, frames, fps=reader.info.fps, crf=crf, key_every=key_every, lossless=lossless
            )
    return replace(reader.episode(index, videos=False), videos=videos)


def _footage(reader: DatasetReader, index: int, camera: str, path: Path) -> Path | Frames:
    """The episode's part of its file; or its frames, to be encoded, where that cannot be cut out."""
    source, first = reader.video_start(index, camera)
    try:
        return cut_video(source, path, first=first, count=reader.episodes[index].length, fps=reader.info.fps)
    except DatasetError:
        return partial(reader.stream, index, camera)  # no key frame at its start; real damage is named there


def _is_lossy(feature: Feature) -> bool:
    return feature.is_video and not (feature.is_depth or feature.is_lossless)


def _check_indices(reader: DatasetReader, indices: Sequence[int]) -> None:
    wrong = [index for index in indices if not 0 <= index < reader.num_episodes]
    if wrong:
        raise DatasetError(f"{reader.root} has {reader.num_episodes} episodes, there is no episode {wrong[0]}")


def _check_same(one: DatasetReader, other: DatasetReader) -> None:
    if one.info.fps != other.info.fps:
        raise DatasetError(f"{one.root} has {one.info.fps} rows a second, {other.root} {other.info.fps}")
    if found := unlike(one.info.features, other.info.features):
        name, here, there = found
        raise DatasetError(
            f"feature {name!r} is {here} in {one.root}, {there} in {other.root}: convert one of them, or correct its "
            f"{INFO_FILE} where that says it wrong"
        )


def _common_extra(readers: Sequence[DatasetReader]) -> dict[str, Any]:
    """What else the sources' meta/info.json say. Raises DatasetError where two say different things."""
    said: dict[str, Any] = {}
    for reader in readers:
        for name, value in reader.info.extra.items():
            if said.setdefault(name, value) != value:
                raise DatasetError(
                    f"{reader.root}/{INFO_FILE} says {name} {value!r}, another {said[name]!r}: take it out of a copy"
                )
    return said


def _statistics(reader: DatasetReader, index: int) -> Statistics:
    rows, features = sampled(reader.episodes[index].length), reader.info.features
    images = {camera: thinned(reader.frames(index, camera, rows)) for camera in reader.info.cameras}
    wanted, names = set(rows.tolist()), [name for name in reader.info.columns if features[name].is_image]
    for name in names:
        shown = enumerate(reader.stream(index, name))
        images[name] = np.stack([thinned(image) for number, image in shown if number in wanted])
    numbers = [name for name in reader.info.parquet_features if name not in names]
    return episode_statistics(features, reader.columns(index, numbers), images)


def _updated(path: Path, statistics: Statistics) -> Statistics:
    """With what others have put into the file besides."""
    try:
        there = from_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        there = {}
    return there | {name: {**there.get(name, {}), **each} for name, each in statistics.items()}


def _replace_statistics(path: Path, parts: Sequence[Statistics], folder: Path) -> int:
    """Write anew the statistics of the episodes in this file, which are the first of `parts`. Returns how many episodes
    they were."""
    with open_parquet(path) as file:
        rows = file.read(use_threads=False)
    if not parts:
        return 0
    added = pa.concat_tables([pa.table(statistics_columns(each)) for each in parts[: len(rows)]])
    rows = rows.drop_columns([name for name in rows.column_names if name in added.column_names])
    for name in added.column_names:
        rows = rows.append_column(name, added[name])
    write_synced(folder / path.name, parquet_bytes(rows, wide=True))
    move(folder / path.name, path)
    return len(rows)
