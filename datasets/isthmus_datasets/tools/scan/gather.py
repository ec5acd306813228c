"""Reads all of a dataset once, and goes on where a file is missing or damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from isthmus_datasets.format.episode_index import episode_files, episode_row, row_statistics
from isthmus_datasets.format.info import INFO_FILE, DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import open_parquet
from isthmus_datasets.format.staging import STATS_FILE
from isthmus_datasets.format.statistics import Statistics, from_json
from isthmus_datasets.format.tasks import TASKS_FILE
from isthmus_datasets.format.writer import STAGING
from isthmus_datasets.tools.scan.contents import read_contents
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan, EpisodeScan, TaskTable
from isthmus_datasets.tools.scan.finding import Problems


def gather(root: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> DatasetScan:
    """Read everything below `root`: every row, every frame. Afterwards all numbers are in memory, and no images but
    a few thumbnails.

    Args:
        root: The dataset's folder.
        progress: Called with how many files are done, and of how many.

    Raises:
        DatasetError: there is no meta/info.json, or it cannot be read or is of another version.
    """
    info = DatasetInfo.from_file(root)
    problems = Problems(root)
    there = _read_episodes(root, info, problems)
    episodes = sorted(
        (episode for episode in there if episode.index < info.total_episodes), key=lambda episode: episode.index
    )
    read_contents(root, info, episodes, problems, progress)
    return DatasetScan(
        root=root,
        info=info,
        plain_info=json.loads((root / INFO_FILE).read_bytes()),
        episodes=episodes,
        leftover=_leftover(root, info, episodes),
        tasks=_read_tasks(root, info, problems),
        statistics=_read_statistics(root, info, problems),
        problems=problems.findings,
    )


def _read_episodes(root: Path, info: DatasetInfo, problems: Problems) -> list[EpisodeScan]:
    """All of meta/episodes that can be read; an episode that is not there is a problem."""
    episodes: list[EpisodeScan] = []
    damage: list[DatasetError] = []
    columns: dict[Path, set[str]] = {}
    for path in episode_files(root):
        try:
            with open_parquet(path) as file:
                rows = file.read(use_threads=False)
            columns[path] = set(rows.column_names)
            for plain in rows.to_pylist():
                end, statistics = plain.get("dataset_to_index"), row_statistics(plain, info)
                episodes.append(EpisodeScan(row=episode_row(path, plain, info), end=end, statistics=statistics))
        except DatasetError as error:
            damage.append(error)
    lost = sorted(set(range(info.total_episodes)) - {episode.index for episode in episodes})
    for error in damage:
        problems.add(error, *(lost if len(damage) == 1 else ()))
    if len(damage) != 1 and lost:
        problems.add("meta/episodes has no row about it that can be read", *lost)
    _compare_columns(columns, problems)
    return episodes


def _compare_columns(columns: dict[Path, set[str]], problems: Problems) -> None:
    """No file of meta/episodes has columns that the first one lacks; the first that has is a problem. LeRobot takes
    those of the first for all: what it lacks in another is empty, what another has more it refuses."""
    for path in columns:
        first = next(iter(columns))
        if more := sorted(columns[path] - columns[first]):
            problems.add(
                f"{path} has the columns {', '.join(more)}, {first.name} has not: LeRobot does not load them together",
                fix="copy it with isthmus-dataset select, which writes all of them anew",
            )
            return


def _leftover(root: Path, info: DatasetInfo, episodes: list[EpisodeScan]) -> list[Path]:
    """Files of episodes that do not count, by their names."""
    rows = [episode.row for episode in episodes]
    used = {info.data_file(row.chunk, row.file) for row in rows}
    used |= {info.video_file(camera, v.chunk, v.file) for row in rows for camera, v in row.videos.items()}
    there = {path.relative_to(root) for folder in ("data", "videos") for path in (root / folder).rglob("*.*")}
    staging = [Path(STAGING)] if (root / STAGING).exists() else []
    return sorted(path for path in there - used if path.suffix in (".parquet", ".mp4")) + staging


def _read_tasks(root: Path, info: DatasetInfo, problems: Problems) -> TaskTable | None:
    if info.total_tasks == 0:
        return TaskTable(words=[], numbers=[], indexed=True)
    try:
        with open_parquet(root / TASKS_FILE) as file:
            table = file.read(use_threads=False)
    except DatasetError as error:
        problems.add(error, fix="copy the file again; the words are also in meta/episodes")
        return None
    words = next((name for name in ("task", "__index_level_0__") if name in table.column_names), None)
    if words is None or "task_index" not in table.column_names:
        problems.add(f"{TASKS_FILE} lacks task or task_index", fix="write it anew from meta/episodes")
        return None
    return TaskTable(
        words=list(map(str, table[words].to_pylist())),
        numbers=table["task_index"].to_pylist(),
        indexed=_pandas_index(table) == [words],
    )


def _pandas_index(table: pa.Table) -> list[str]:
    try:
        return json.loads((table.schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        return []  # of no use to LeRobot either


def _read_statistics(root: Path, info: DatasetInfo, problems: Problems) -> Statistics | None:
    if info.total_episodes == 0:
        return {}
    try:
        return from_json((root / STATS_FILE).read_bytes())
    except (OSError, ValueError) as error:
        problems.add(f"{STATS_FILE} cannot be read: {error}", fix="recompute the statistics")
        return None
