"""Ways to spoil a dataset that is on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def cut(path: Path) -> None:
    """Without its second half, as an interrupted copy leaves it."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """What `change` does to the object in a file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_info(root: Path, **entries: Any) -> None:
    """Other entries of meta/info.json."""
    edit_json(root / "meta/info.json", lambda info: info.update(entries))


def edit_parquet(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """What `change` makes of the table in a Parquet file."""
    pq.write_table(change(pq.ParquetFile(path).read()), path)


def with_column(table: pa.Table, name: str, values: Iterable[Any]) -> pa.Table:
    """Another column of that name, of the same type."""
    place = table.column_names.index(name)
    return table.set_column(place, table.field(name), pa.array(list(values), table.field(name).type))
