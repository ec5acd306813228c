"""Whether the files are there, and whether what they say of each other is so."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus_datasets.format.info import INFO_FILE
from isthmus_datasets.format.tasks import TASKS_FILE
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan, EpisodeScan
from isthmus_datasets.tools.scan.finding import Finding


def files(scan: DatasetScan) -> Iterator[Finding]:
    """Every file is there, whole, and holds the columns that meta/info.json declares."""
    yield from scan.problems


def leftovers(scan: DatasetScan) -> Iterator[Finding]:
    """No files beyond the episodes that count: LeRobot would read them too."""
    if scan.leftover and len(scan.episodes) == scan.info.total_episodes:
        shown = ", ".join(map(str, scan.leftover[:3])) + (" …" if len(scan.leftover) > 3 else "")
        yield Finding(
            severity="warning",
            check="leftovers",
            message=f"{len(scan.leftover)} files belong to no episode that counts: {shown}",
            fix="open the dataset with DatasetWriter, which removes what a crash has left over; or delete them",
        )


def totals(scan: DatasetScan) -> Iterator[Finding]:
    """There are episodes, as many as meta/info.json says in its totals and splits, and they follow on one another."""
    info, rows = scan.info, [episode.row for episode in scan.episodes]
    if info.total_episodes == 0:
        fix = "record or import again: what made it was interrupted, or nothing has been saved yet"
        yield Finding(severity="error", check="totals", message=f"{INFO_FILE} says that there is no episode", fix=fix)
    fix = "correct it, with an eye to which of the two is right: a file may be of an older copy"
    steps = sum(row.length for row in rows)
    whole = [row.index for row in rows] == list(range(info.total_episodes))
    if whole and steps != info.total_frames:
        message = f"{INFO_FILE} says total_frames {info.total_frames}, the episodes have {steps}"
        yield Finding(severity="error", check="totals", message=message, fix=fix)
    if scan.tasks and len(scan.tasks.words) < info.total_tasks:
        message = f"{INFO_FILE} says total_tasks {info.total_tasks}, {TASKS_FILE} has {len(scan.tasks.words)}"
        yield Finding(severity="error", check="totals", message=message, fix=fix)
    splits = scan.plain_info.get("splits")
    for name, split in (splits if isinstance(splits, dict) else {}).items():
        if not _within(split, info.total_episodes):
            message = f"{INFO_FILE}: split {name!r} is {split!r}, there are {info.total_episodes} episodes"
            yield Finding(severity="warning", check="totals", message=message, fix="correct the split")
    for episode, problem in _out_of_line(scan.episodes):
        yield Finding(
            severity="error",
            check="totals",
            episode=episode.index,
            message=f"meta/episodes: {problem}",
            fix="correct dataset_from_index and dataset_to_index: LeRobot cuts the rows there",
        )


def _within(split: Any, episodes: int) -> bool:
    """Whether it is "0:50" or a list of numbers, of episodes that exist."""
    try:
        numbers = [int(part) for part in (split.split(":") if isinstance(split, str) else split)]
    except (TypeError, ValueError):
        return False
    return all(0 <= number <= episodes for number in numbers)


def _out_of_line(episodes: list[EpisodeScan]) -> Iterator[tuple[EpisodeScan, str]]:
    if episodes and episodes[0].index == 0 and episodes[0].row.first != 0:
        yield episodes[0], f"begins at row {episodes[0].row.first}, not 0"
    for episode in episodes:
        if episode.end != episode.row.first + episode.row.length:
            yield (
                episode,
                f"rows {episode.row.first} to {episode.end} (exclusive) are not its {episode.row.length} steps",
            )
    for before, episode in pairwise(episodes):
        if episode.index == before.index:
            yield episode, "has two rows about it"
        elif episode.index == before.index + 1 and episode.row.first != before.end:
            yield episode, f"begins at row {episode.row.first}, the episode before it ends at {before.end}"


def rows(scan: DatasetScan) -> Iterator[Finding]:
    """Every episode has as many rows as meta/episodes says."""
    for episode in scan.episodes:
        if episode.columns and episode.rows != episode.row.length:
            path = scan.info.data_file(episode.row.chunk, episode.row.file)
            yield Finding(
                severity="error",
                check="rows",
                episode=episode.index,
                message=f"{path} has {episode.rows} rows of it, meta/episodes says {episode.row.length}",
                fix="copy the file again from where it was recorded, or delete the episode",
            )


def names(scan: DatasetScan) -> Iterator[Finding]:
    """A feature that names its elements has one name, a different one, for each."""
    for name, entry in scan.plain_info["features"].items():
        feature = scan.info.features[name]
        given = _flat(entry.get("names"))
        if feature.is_image or not given or len(given) == len(feature.shape) > 1:
            continue
        if len(given) != feature.shape[-1]:
            problem = f"{len(given)} names for {feature.shape[-1]} elements of shape {feature.shape}"
        elif len(set(given)) < len(given):
            problem = f"the name {max(given, key=given.count)!r} more than once"
        else:
            continue
        yield Finding(
            severity="error",
            check="names",
            message=f"{INFO_FILE}: feature {name!r} has {problem}",
            fix="correct the names: nobody can tell which element is which joint",
        )


def _flat(names: Any) -> list[str]:
    """LeRobot has lists, {"motors": [..]} and {"x": 0, "y": 1}."""
    if isinstance(names, dict):
        lists = [value for value in names.values() if isinstance(value, list)]
        return [str(name) for each in lists for name in each] if lists else list(map(str, names))
    return list(map(str, names)) if isinstance(names, list) else []


def tasks(scan: DatasetScan) -> Iterator[Finding]:
    """meta/tasks.parquet is in the order of task_index, and every row's task is one that its episode was given."""
    if scan.tasks is None:
        return
    table = scan.tasks
    if not table.indexed:
        message = f"{TASKS_FILE} has no pandas index of the words: LeRobot takes every task for 0"
        yield Finding(severity="error", check="tasks", message=message, fix="write it with the words as pandas index")
    count = scan.info.total_tasks
    if table.numbers[:count] != list(range(len(table.numbers[:count]))):
        message = f"{TASKS_FILE} has the task_index {table.numbers[:5]}, LeRobot takes the row's number for it"
        yield Finding(severity="error", check="tasks", message=message, fix="sort its rows by task_index")
    words = dict(zip(table.numbers, table.words, strict=True))
    for episode in scan.episodes:
        used = (
            np.unique(episode.columns["task_index"]).tolist()
            if episode.rows and "task_index" in episode.columns
            else []
        )
        if used and {words.get(number) for number in used} != set(episode.row.tasks):
            there = ", ".join(f"{number} ({words.get(number, 'no task')!r})" for number in used)
            yield Finding(
                severity="error",
                check="tasks",
                episode=episode.index,
                message=f"its rows have the task_index {there}, meta/episodes says {', '.join(episode.row.tasks)!r}",
                fix=f"correct task_index in its rows, or {TASKS_FILE}",
            )
