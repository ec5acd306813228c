"""meta/tasks.parquet: what was asked, in words, and its number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from isthmus_datasets.format.info import DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import open_parquet, parquet_bytes

TASKS_FILE = Path("meta/tasks.parquet")
WORDS = ("task", "__index_level_0__")
"""What the column of the words is called: here, and by pandas where its index has no name, as LeRobot's."""


def tasks_bytes(tasks: Sequence[str]) -> bytes:
    """The content of meta/tasks.parquet: for pandas, a frame whose index is the task."""
    text = {"pandas_type": "unicode", "numpy_type": "object"}
    number = {"pandas_type": "int64", "numpy_type": "int64", "metadata": None}
    description = {
        "index_columns": ["task"],
        "column_indexes": [{"name": None, "field_name": None, **text, "metadata": {"encoding": "UTF-8"}}],
        "columns": [
            {"name": "task_index", "field_name": "task_index", **number},
            {"name": "task", "field_name": "task", **text, "metadata": None},
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    columns = {"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())}
    return parquet_bytes(pa.table(columns).replace_schema_metadata({"pandas": json.dumps(description)}))


def other_columns(root: Path, info: DatasetInfo) -> list[str]:
    """What meta/tasks.parquet says of tasks besides their numbers and words. Raises DatasetError."""
    if info.total_tasks == 0:
        return []
    with open_parquet(root / TASKS_FILE) as file:
        return [name for name in file.schema_arrow.names if name not in ("task_index", *WORDS)]


def read_tasks(root: Path, info: DatasetInfo) -> tuple[str, ...]:
    """The committed tasks; their position is their index.

    Raises:
        DatasetError: the file is missing or truncated, has too few, or is not in the order of its indices.
    """
    path = root / TASKS_FILE
    if info.total_tasks == 0:
        return ()
    with open_parquet(path) as file:
        plain = file.read(use_threads=False).to_pydict()
    words = next((plain[name] for name in WORDS if name in plain), None)
    if words is None or "task_index" not in plain or len(words) < info.total_tasks:
        raise DatasetError(f"{path} does not hold the {info.total_tasks} tasks of meta/info.json")
    if plain["task_index"][: info.total_tasks] != list(range(info.total_tasks)):
        raise DatasetError(f"{path} is not in the order of task_index: LeRobot would mix up the tasks; sort it")
    return tuple(words[: info.total_tasks])
