"""What a robot has done, control step by control step, as the actor writes it and the learner reads it."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_policies.actor_learner.shared_file import ExchangeError, create, mapped, only, require
from isthmus_policies.algorithms.sac.meaning import meaning
from isthmus_policies.files import plain
from isthmus_policies.networks.policy import Groups
from isthmus_sim.task import Task

FILE = "experience"
FORMAT = "isthmus.experience.1"
_COUNT = mmap.PAGESIZE
"""Bytes before the rows: how many were ever written, alone on a page."""


def row_type(groups: Groups, action_size: int) -> np.dtype[Any]:
    """A control step as a row: what was seen before it and after it, the action, what that earned, whether the episode
    has ended with it (terminated) and in success (succeeded) or was cut (truncated), whether somebody else acted
    (intervened), whether somebody took over upon it (taken), and whether it is an episode's first one. `number` and
    `check` tell a whole row from another."""
    seen = [(name, group.dtype, group.shape) for name, group in groups.items()]
    flags = [(name, np.bool_) for name in ("terminated", "succeeded", "truncated", "intervened", "taken", "first")]
    return np.dtype(
        [("number", np.uint64), ("before", seen), ("after", seen), ("action", np.float32, (action_size,)),
         ("reward", np.float32), *flags, ("check", np.uint32)]
    )  # fmt: skip


class Experience:
    """The last `capacity` control steps of one robot, in a file that processes share. One of them writes.

    A row is whole before it is counted, so whoever is killed while writing loses that row alone. The writer never waits
    for the reader: who is more than `capacity` rows late has lost some.
    """

    def __init__(self, folder: Path, task: Task, groups: Groups, capacity: int, *, make: bool, write: bool) -> None:
        """make: whether the file is made where there is none; write: whether this is who writes. Raises ExchangeError
        for a file of another task, or where somebody writes already."""
        self.path, self.capacity = folder / FILE, capacity
        self._type = row_type(groups, task.action_size)
        shapes = {name: {"shape": list(group.shape), "dtype": group.dtype} for name, group in groups.items()}
        about = {"format": FORMAT, "capacity": capacity, "groups": plain(shapes), **meaning(task)}
        self._slots = capacity + 1  # one for the row that is being written
        size = _COUNT + self._slots * self._type.itemsize
        if make:
            create(self.path, about, size)
        require(self.path, about, size)
        with ExitStack() as held:
            if write:
                held.enter_context(only(folder / f"{FILE}.lock", "an actor"))
            memory = held.enter_context(mapped(self.path))
            self._held = held.pop_all()
        self._memory, self._row = memory, np.zeros((), self._type)

    def __len__(self) -> int:
        """Rows that were ever written."""
        return int.from_bytes(self._memory[:8], "little")

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a control step, by the names of `row_type`, `before` and `after` by group; flags are False by default."""
        number, new = len(self), self._row
        new[()] = np.zeros((), self._type)
        new["number"] = number
        for name, value in row.items():
            if isinstance(value, Mapping):
                for group, numbers in value.items():
                    new[name][group] = numbers
            else:
                new[name] = value
        content = new.tobytes()
        new["check"] = zlib.crc32(content[: -self._type["check"].itemsize])
        place = _COUNT + number % self._slots * self._type.itemsize
        self._memory[place : place + self._type.itemsize] = new.tobytes()
        self._memory[:8] = (number + 1).to_bytes(8, "little")

    def read(self, first: int, most: int) -> NDArray[Any]:
        """Copy up to `most` rows from number `first` on; fewer where there are no more. Raises ExchangeError for rows
        that were overwritten, or are damaged."""
        there = len(self)
        if first < there - self.capacity:
            raise ExchangeError(f"{self.path}: row {first} was overwritten, the oldest is {there - self.capacity}")
        if first > there:
            raise ExchangeError(f"{self.path} has {there} rows, {first} were read before: it is another one's")
        rows = np.empty(min(most, there - first), self._type)
        size = self._type.itemsize
        for i in range(len(rows)):
            place = _COUNT + (first + i) % self._slots * size
            content = self._memory[place : place + size]
            rows[i] = np.frombuffer(content, self._type)[0]
            whole = zlib.crc32(content[: -self._type["check"].itemsize]) == rows[i]["check"]
            if not whole or rows[i]["number"] != first + i:
                raise ExchangeError(f"{self.path}: row {first + i} was overwritten while it was read, or is damaged")
        return rows

    def close(self) -> None:
        """Let go of the file."""
        self._held.close()
