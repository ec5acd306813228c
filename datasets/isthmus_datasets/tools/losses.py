"""What an operation would not carry over to a new dataset is refused by name, never dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from isthmus_datasets.format.episode_index import episode_files
from isthmus_datasets.format.info import INFO_FILE, DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import open_parquet
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.staging import STATS_FILE
from isthmus_datasets.format.statistics import STATISTICS, from_json
from isthmus_datasets.format.tasks import TASKS_FILE, other_columns

_OWN_FILES = (str(INFO_FILE), str(STATS_FILE), str(TASKS_FILE))
_OWN_FOLDERS = ("meta/episodes/", "meta/final/")
_ROW = {"tasks", "data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index",
        "meta/episodes/chunk_index", "meta/episodes/file_index"}  # fmt: skip
_PLACE = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
_SCALARS = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_string,
            pa.types.is_large_string, pa.types.is_null)  # fmt: skip
"""What a fact about an episode can be."""


def refuse_losses(reader: DatasetReader) -> None:
    """Raise DatasetError for what would be lost: files in meta/ that are none of the format's; columns of meta/episodes
    that are neither the format's own nor one value an episode; columns of the data that meta/info.json does not
    declare, of the tasks but their numbers and words; statistics that are not computed here. All files are looked at.
    """
    meta = (path.relative_to(reader.root).as_posix() for path in (reader.root / "meta").rglob("*") if path.is_file())
    files = [name for name in meta if not (name in _OWN_FILES or name.startswith((*_OWN_FOLDERS, "meta/.")))]
    _refuse(reader, "meta/", files, "it is no file of the format")
    _refuse(reader, TASKS_FILE, other_columns(reader.root, reader.info), "a task has a number and words")
    _refuse(reader, STATS_FILE, _strange_statistics(reader), "it is no statistic that is computed here")
    for path in episode_files(reader.root):
        lost = [field.name for field in _schema(path) if not _is_kept(field, reader.info)]
        _refuse(reader, path.relative_to(reader.root), lost, "it is not known, or not one value an episode")
    for path in dict.fromkeys(reader.info.data_file(row.chunk, row.file) for row in reader.episodes):
        lost = [name for name in _schema(reader.root / path).names if name not in reader.info.features]
        _refuse(reader, path, lost, "meta/info.json does not declare it")


def refuse_splits(reader: DatasetReader) -> None:
    """Raise DatasetError for splits of meta/info.json: they name episodes by numbers, which change."""
    _refuse(reader, INFO_FILE, ["splits"] if "splits" in reader.info.extra else [], "its episodes get other numbers")


def only_task(reader: DatasetReader, index: int) -> str:
    """What was asked in an episode. Raises DatasetError where that changed on the way."""
    tasks = reader.episodes[index].tasks
    if len(tasks) != 1:
        raise DatasetError(f"{reader.root}: episode {index} has {len(tasks)} tasks, one can be copied: split it first")
    return tasks[0]


def _is_kept(field: pa.Field, info: DatasetInfo) -> bool:
    """Whether a column of meta/episodes is the format's own, or a fact."""
    name = field.name
    if name in _ROW:
        return True
    if match := re.fullmatch(r"stats/(.+)/([^/]+)", name):
        return _is_statistic(info, *match.groups())
    if match := re.fullmatch(r"videos/(.+)/([^/]+)", name):
        return match[1] in info.cameras and match[2] in _PLACE
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return "/" not in name and any(is_it(kind) for is_it in _SCALARS)


def _is_statistic(info: DatasetInfo, feature: str, name: str) -> bool:
    declared = info.features.get(feature)
    return declared is not None and declared.dtype != "string" and name in STATISTICS


def _strange_statistics(reader: DatasetReader) -> Iterator[str]:
    try:
        statistics = from_json((reader.root / STATS_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return  # nothing is lost: they are computed anew
    for feature, each in statistics.items():
        yield from (f"{feature}/{name}" for name in each if not _is_statistic(reader.info, feature, name))


def _schema(path: Path) -> pa.Schema:
    with open_parquet(path) as file:
        return file.schema_arrow


def _refuse(reader: DatasetReader, where: str | Path, names: Iterable[str], why: str) -> None:
    if lost := sorted(names):
        raise DatasetError(
            f"{reader.root}/{where}: {', '.join(lost)} would be lost: {why}; take it out of a copy first"
        )
