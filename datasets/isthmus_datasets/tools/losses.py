"""What an operation would not carry over to a new dataset is refused by name, never dropped."""

from __future__ import annotations

import pyarrow as pa

from isthmus_datasets.format.episode_index import episode_files
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.parquet import open_parquet
from isthmus_datasets.format.reader import DatasetReader

_PARTS = ("stats/", "videos/", "data/", "meta/")
"""Beginnings of the names of columns that meta/episodes has by its own format."""


def refuse_losses(reader: DatasetReader) -> None:
    """Raise DatasetError for columns that would be lost: of meta/episodes those that are neither the format's own nor
    one value an episode, of the data those that meta/info.json does not declare."""
    for path in episode_files(reader.root)[:1]:
        with open_parquet(path) as file:
            lost = [field.name for field in file.schema_arrow if _is_strange(field)]
        _refuse(reader, "meta/episodes", lost, "it holds more than one value an episode")
    for row in reader.episodes[:1]:
        path = reader.root / reader.info.data_file(row.chunk, row.file)
        with open_parquet(path) as file:
            lost = [name for name in file.schema_arrow.names if name not in reader.info.features]
        _refuse(reader, "data/", lost, "meta/info.json does not declare it")


def only_task(reader: DatasetReader, index: int) -> str:
    """What was asked in an episode. Raises DatasetError where that changed on the way."""
    tasks = reader.episodes[index].tasks
    if len(tasks) != 1:
        raise DatasetError(f"{reader.root}: episode {index} has {len(tasks)} tasks, one can be copied: split it first")
    return tasks[0]


def _is_strange(field: pa.Field) -> bool:
    return field.name != "tasks" and not field.name.startswith(_PARTS) and pa.types.is_nested(field.type)


def _refuse(reader: DatasetReader, where: str, lost: list[str], why: str) -> None:
    if lost:
        raise DatasetError(
            f"{reader.root}/{where}: {', '.join(lost)} would be lost: {why}; take it out of a copy first"
        )
