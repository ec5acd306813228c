"""Writing files so that a reader never sees half of one, and configurations as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import types
import typing
from collections.abc import Mapping, Sequence
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
    """Write JSON, indented, atomically; `plain` says what becomes of what is no JSON. Raises ValueError for NaN and
    infinity, which JSON does not have."""
    write_atomically(path, (json.dumps(plain(value), indent=2, allow_nan=False) + "\n").encode())


def plain(value: Any) -> Any:
    """The same as JSON values: dataclasses become objects, tuples lists, paths texts. Raises TypeError for what has no
    such form."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def from_json(cls: type[T], value: Any, where: str = "") -> T:
    """A dataclass from the JSON object that `write_json` made of it. A generic one says its types: `Config[A, B]`.

    Raises ValueError naming the place of an unknown or missing key, or of a value of another type, and what is valid.
    A missing key is an error although its field may have a default: what was written is rebuilt as it was, and today's
    default may be another one.
    """
    origin: Any = typing.get_origin(cls) or cls
    types_ = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(cls), strict=False))
    hints = {name: types_.get(hint, hint) for name, hint in typing.get_type_hints(origin).items()}
    fields = {field.name: hints[field.name] for field in dataclasses.fields(origin)}
    if not isinstance(value, dict):
        raise ValueError(f"{where or origin.__name__}: expected an object with {', '.join(fields)}; got {value!r}")
    for kind, keys in (("unknown", value.keys() - fields.keys()), ("missing", fields.keys() - value.keys())):
        if keys:
            raise ValueError(
                f"{where or origin.__name__}: {kind} key {', '.join(sorted(keys))}; "
                f"valid are exactly: {', '.join(fields) or 'none'}"
            )
    return origin(
        **{name: _from_plain(hint, value[name], f"{where}.{name}".lstrip(".")) for name, hint in fields.items()}
    )


def _from_plain(hint: Any, item: Any, where: str) -> Any:
    """One value of a type that may stand in a configuration."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(origin or hint):
        return from_json(hint, item, where)
    if origin in (types.UnionType, typing.Union):
        return _from_options(arguments, item, where)
    if origin in (tuple, list, Sequence):
        values = _tuple(arguments if origin is tuple else (arguments[0], ...), item, where)
        return list(values) if origin is list else values
    if origin in (dict, Mapping):
        if not isinstance(item, dict):
            raise ValueError(f"{where}: expected an object, got {item!r}")
        return {key: _from_plain(arguments[1], each, f"{where}.{key}") for key, each in item.items()}
    if origin is typing.Literal:
        if item not in arguments:
            raise ValueError(f"{where}: {item!r} is none of {', '.join(map(repr, arguments))}")
        return item
    return _scalar(hint, item, where)


def _from_options(options: tuple[Any, ...], item: Any, where: str) -> Any:
    """A value of one of several types; None where that is one, else the first that takes it."""
    if item is None and type(None) in options:
        return None
    errors = []
    for option in options:
        try:
            return _from_plain(option, item, where)
        except ValueError as error:
            errors.append(str(error))
    raise ValueError(errors[0])


def _tuple(items: tuple[Any, ...], values: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise ValueError(f"{where}: expected a list, got {values!r}")
    hints = items[:1] * len(values) if items[-1:] == (Ellipsis,) else items
    if len(hints) != len(values):
        raise ValueError(f"{where}: expected {len(hints)} values, got {values!r}")
    return tuple(
        _from_plain(hint, each, f"{where}[{i}]") for i, (hint, each) in enumerate(zip(hints, values, strict=True))
    )


def _scalar(kind: Any, item: Any, where: str) -> Any:
    """A number, text, flag or path. JSON does not tell 1.0 from 1: an integer is a float where one is expected."""
    if kind is float and type(item) is int:
        return float(item)
    if kind is Path and isinstance(item, str):
        return Path(item)
    if type(item) is not kind:
        raise ValueError(f"{where}: expected {getattr(kind, '__name__', kind)}, got {item!r}")
    return item


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
