"""Finished episodes that the dataset had no room for wait beside it, as files, until it has.

An episode's folder is written beside the others and gets its name when it is whole; it goes away when the dataset holds
the episode. So a process that dies at any moment leaves neither half an episode nor the same one twice.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Features
from isthmus_datasets.format.files import move, sync, write_synced
from isthmus_datasets.format.final import final_table, read_final
from isthmus_datasets.format.info import DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import from_arrow, open_parquet, parquet_bytes, table
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter, Unconfirmed

QUARANTINE = ".unsaved"
"""The folder in the dataset's where they wait, each in one that is called by the time it came."""
_ROWS, _FINAL, _EPISODE = "rows.parquet", "final.parquet", "episode.json"


def set_aside(root: Path, info: DatasetInfo, episode: Episode, folder: Path) -> tuple[Path, Episode]:
    """Put an episode into quarantine.

    Args:
        root: The dataset's folder.
        info: What it declares.
        episode: All its videos are files in `folder`.
        folder: On the same disk; it is moved as a whole, so that videos need no room.

    Returns:
        The folder's new place, and the episode with its videos there.

    Raises:
        OSError: it cannot be written; `folder` is still where it was.
    """
    videos = {name: path for name, path in episode.videos.items() if isinstance(path, Path)}
    said = {"task": episode.task, "facts": episode.facts, "videos": {name: path.name for name, path in videos.items()}}
    write_synced(folder / _ROWS, parquet_bytes(table(_features(info), episode.columns)))
    if episode.final is not None:
        write_synced(folder / _FINAL, parquet_bytes(final_table(info.features, 0, episode.final), wide=True))
    write_synced(folder / _EPISODE, json.dumps(said).encode())
    for path in (*videos.values(), folder):
        sync(path)
    place = root / QUARANTINE / str(time.time_ns())
    move(folder, place)
    with suppress(OSError):  # it is there, if not for sure after a power cut
        sync(place.parent)
    return place, replace(episode, videos={name: place / path.name for name, path in videos.items()})


def waiting(root: Path) -> list[Path]:
    """The folders of the episodes that wait, oldest first."""
    return sorted(path.parent for path in (root / QUARANTINE).glob(f"*/{_EPISODE}"))


def remove(folder: Path) -> None:
    """Forget an episode that is in the dataset now. Raises OSError."""
    (folder / _EPISODE).unlink()  # first: from now on it does not wait, whatever is left of it
    sync(folder)
    shutil.rmtree(folder)


def recover(writer: DatasetWriter) -> list[int]:
    """Append the episodes that wait, oldest first. One that a process appended before it died is not appended again.

    Returns:
        The numbers of those that were appended.

    Raises:
        DatasetError: one of them is damaged.
        OSError: there is still no room for one; it goes on waiting.
        Unconfirmed: one is saved, perhaps not for good; it stays here too until the next `recover`.
    """
    saved = []
    for folder in waiting(writer.root):
        episode = _read(folder, writer.info)
        if not _is_there(writer.root, episode):
            saved.append(_append(writer, episode, folder))
        remove(folder)
    shutil.rmtree(writer.root / QUARANTINE, ignore_errors=True)
    return saved


def _append(writer: DatasetWriter, episode: Episode, folder: Path) -> int:
    try:
        return writer.append(episode)
    except Unconfirmed:
        raise  # it is there, and waits for nothing
    except OSError as error:
        steps = episode.length
        raise OSError(error.errno, f"an episode of {steps} steps waits in {folder} for room: {error}") from error


def _read(folder: Path, info: DatasetInfo) -> Episode:
    features = _features(info)
    try:
        said = json.loads((folder / _EPISODE).read_bytes())
        with open_parquet(folder / _ROWS) as file:
            rows = file.read(use_threads=False)
        return Episode(
            columns={name: from_arrow(feature, rows[name]) for name, feature in features.items()},
            videos={name: folder / file for name, file in said["videos"].items()},
            task=said["task"],
            facts=said["facts"],
            final=read_final(folder / _FINAL, info.features, 0),
        )
    except (KeyError, ValueError) as error:
        fix = "move it elsewhere to go on without"
        raise DatasetError(f"the episode that waits in {folder} cannot be read ({error}): {fix}") from error


def _features(info: DatasetInfo) -> Features:
    return {name: info.features[name] for name in info.columns}


def _is_there(root: Path, episode: Episode) -> bool:
    """Whether the dataset has it, number for number."""
    reader, seed = DatasetReader(root), episode.facts.get("seed")
    alike = [row for row in reader.episodes if (row.length, row.facts.get("seed")) == (episode.length, seed)]
    return any(_same(reader.columns(row.index, list(episode.columns)), episode.columns) for row in reversed(alike))


def _same(columns: dict[str, NDArray[Any]], others: dict[str, NDArray[Any]]) -> bool:
    return all(np.array_equal(columns[name], others[name]) for name in columns)
