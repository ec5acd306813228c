"""Memory that processes share, as a file: what was written stays when a process is killed."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus_policies.algorithms.sac.meaning import differences

HEADER = 65536
"""Bytes before the contents, a multiple of a page: JSON that says what they are, filled up with spaces."""


class ExchangeError(ValueError):
    """A file that actor and learner share is not what is needed; the message names it and what to do."""


def create(path: Path, about: Mapping[str, Any], size: int) -> None:
    """Make a file with `size` bytes of zeros, unless it is there. Raises ExchangeError where it is another one's."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        header = json.dumps(about).encode()
        if len(header) > HEADER:
            raise ExchangeError(f"{path}: what it is about takes {len(header)} bytes, there is room for {HEADER}")
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(header.ljust(HEADER))
        os.truncate(partial, HEADER + size)
        partial.replace(path)
    require(path, about, size)


def require(path: Path, about: Mapping[str, Any], size: int) -> None:
    """Raise ExchangeError, with the lines that differ, where there is no such file, or it is another one's."""
    if not path.is_file():
        raise ExchangeError(f"{path} is not there: start the learner first, which makes it")
    with path.open("rb") as file:
        header = file.read(HEADER)
    try:
        there = json.loads(header)
    except ValueError as error:
        raise ExchangeError(f"{path} is no file that actor and learner share: {error}") from error
    if wrong := list(differences(there, json.loads(json.dumps(about)))):
        raise ExchangeError(f"{path} is another learner's: {'; '.join(wrong)}; take another folder for the exchange")
    if (found := path.stat().st_size) != HEADER + size:
        raise ExchangeError(f"{path} has {found} bytes, it must have {HEADER + size}: it was cut, take another folder")


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """The contents of a file, without its header, as memory."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, offset=HEADER) as memory:
        yield memory


@contextmanager
def only(path: Path, who: str) -> Iterator[None]:
    """Nobody else is `who` meanwhile; the kernel lets go when the process dies. Raises ExchangeError where there is
    one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExchangeError(f"{path.parent} has {who} already: stop that one first") from None
        yield
