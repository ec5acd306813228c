"""Writing files so that a reader never sees half of one, and configurations as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside `path`, flush to disk, rename. On any failure the previous file stays as it was."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(
            error.errno, f"could not write {path} ({error.strerror}); what was there before is untouched"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, atomically. Dataclasses become objects, paths strings."""

    def plain(item: Any) -> Any:
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            return dataclasses.asdict(item)
        if isinstance(item, Path):
            return str(item)
        raise TypeError(f"{type(item).__name__} has no JSON form")

    write_atomically(path, (json.dumps(value, indent=2, default=plain) + "\n").encode())


def from_json(cls: type[T], value: dict[str, Any], where: str = "") -> T:
    """A dataclass from the JSON object that `write_json` made of it. Raises ValueError naming an unknown key and the
    known."""
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise ValueError(f"{where or cls.__name__}: unknown key {', '.join(unknown)}; known: {', '.join(hints)}")
    return cls(**{name: _from_plain(hints[name], item, f"{where}.{name}".lstrip(".")) for name, item in value.items()})


def _from_plain(hint: Any, item: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_json(hint, item, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(item, list | tuple):
            raise ValueError(f"{where}: expected a list, got {item!r}")
        return tuple(item)
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return Path(item) if item is not None and Path in options else item


def code_revision() -> str:
    """The revision of this code: git's description of the working tree, or the installed version."""
    here = Path(__file__).parent
    described = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    if described.returncode == 0:
        return described.stdout.strip()
    from importlib.metadata import version

    return f"isthmus {version('isthmus')}"
