"""A topic's messages, one after the other, as the rows of one column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.bags.message_units import JOINT_STATE, units_of
from isthmus_datasets.convert.importers.bags.number_rows import NumberRows
from isthmus_datasets.recording.ros2.messages import camera_array, choose, numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Values:
    """Some elements of all readings.

    Args:
        rows: The readings.
        elements: (size,) which of a reading's elements, in order.
        units: Of all of a reading's elements, "" where nobody says one; None where nobody says any.
        note: What is to be known of the units.
    """

    rows: NumberRows
    elements: NDArray[np.int64]
    units: Sequence[str] | None
    note: str = ""

    def info(self) -> dict[str, Any] | None:
        """What a dataset's file says of their units, and how far these are sure; None where there are none."""
        if self.units is None:
            return None
        said = {"units": [self.units[element] for element in self.elements]}
        return said | ({"units_note": self.note} if self.note else {})

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of all numbers."""
        return self.rows.dtype

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(T, size): of the readings that `rows` (T,) numbers."""
        return self.rows.take(rows)[:, self.elements]

    def reordered(self, order: Sequence[int]) -> Values:
        """With the elements at these places."""
        return replace(self, elements=self.elements[list(order)])


class Readings:
    """The numbers of one topic's messages, each a reading.

    Args:
        path: The field of the message; empty for all of it.
        said: What the bag says of the topic beside its type.
    """

    def __init__(self, path: tuple[str, ...], said: Mapping[str, str]) -> None:
        self._path, self._said = path, said
        self._rows = NumberRows()
        self._names: list[str] = []
        self._units: tuple[str, ...] | None = None

    def add(self, message: Any) -> None:
        """Raises ValueError when it holds no numbers, or not those of the first one."""
        pairs = numbers(choose(message, self._path))
        names = [name for name, _ in pairs]
        if not names or (self._rows and names != self._names):
            raise ValueError(f"has {len(names)} numbers, the first one had {len(self._names)}")
        if not self._rows:
            self._names, self._units = names, units_of(message, self._path, names, self._said)
        self._rows.append([value for _, value in pairs])

    def table(self) -> tuple[Values, tuple[str, ...] | None, int]:
        """Values, the elements' names, and how many messages at the start gave no reading.

        Elements that are never a number are left out: PX4 marks what is not used like that. Raises ValueError where
        none is left.
        """
        used = _used(self._rows)
        names = [name or ".".join(self._path) for name in self._names]
        values = Values(rows=self._rows, elements=np.flatnonzero(used), units=self._units)
        if used.all() and all(name.isdecimal() for name in names):
            return values, None, 0
        return values, tuple(name for name, use in zip(names, used, strict=True) if use), 0

    def findings(self) -> list[str]:
        """What a person should know of them."""
        unused = [name for name, use in zip(self._names, _used(self._rows), strict=True) if not use]
        return [f"elements {', '.join(unused)} are never a number: left out"] if unused else []


def _used(rows: NumberRows) -> NDArray[np.bool_]:
    """(size,) which elements are a number at least once. Raises ValueError where none is."""
    used = rows.ever()
    if not used.any():
        raise ValueError("has nothing that is ever a number: choose another field, or leave it out")
    return used


class JointReadings:
    """One field of JointState messages, by joint. A message may bring some of the joints, in any order; readings begin
    once all have come.

    Args:
        path: The field: position, velocity or effort; empty for position.
        wanted: The joints to take, in this order; empty for all. Where messages have no names, what their joints are
            called; empty for joint_0, joint_1 …
    """

    def __init__(self, path: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        self._path, self._wanted = path or ("position",), wanted
        self._rows = NumberRows()
        self._there: dict[str, int] = {}
        """Place of each joint that has come, in `_latest`."""
        self._latest = np.empty(0)
        self._places: dict[tuple[str, ...], NDArray[np.int64]] = {}
        """Names in a message -> the places of its joints."""
        self._chosen: NDArray[np.int64] | None = None
        """Places of what a reading has; None until all of it has come."""
        self._messages = self._without_names = 0

    def add(self, message: Any) -> None:
        """Raises ValueError when names and numbers differ in count, or only some messages have names."""
        values = choose(message, self._path)
        names = tuple(message.name)
        self._messages += 1
        if not names:
            self._without_names += 1
            names = self._wanted or tuple(f"joint_{i}" for i in range(len(values)))
        if len(names) != len(values) or not names:
            raise ValueError(f"has {len(values)} numbers in {'.'.join(self._path)} for the joints {', '.join(names)}")
        if names not in self._places:
            self._meet(names)
        self._latest[self._places[names]] = values
        if self._chosen is not None:
            self._rows.append(self._latest[self._chosen])
        if self._without_names not in (0, self._messages):
            raise ValueError("and others differ in having names: their joints cannot be matched")

    def _meet(self, names: tuple[str, ...]) -> None:
        """Give joints that were not there before a place; they begin with this reading."""
        known = len(self._there)
        for name in names:
            self._there.setdefault(name, len(self._there))
        self._places[names] = np.array([self._there[name] for name in names])
        self._latest = np.append(self._latest, np.zeros(len(self._there) - known))
        joints = self._wanted or tuple(self._there)
        if self._there.keys() >= set(joints) and (self._chosen is None or len(joints) != len(self._chosen)):
            self._chosen = np.array([self._there[name] for name in joints])
            self._rows.clear()

    def table(self) -> tuple[Values, tuple[str, ...] | None, int]:
        """Values, the joints, and how many messages at the start did not yet complete all of them.

        Joints that are never a number are left out. Raises ValueError where none is left, or one that is wanted is not
        there.
        """
        names = self._names()
        used = _used(self._rows)
        revolute, prismatic = JOINT_STATE[".".join(self._path)]
        note = f"taken for revolute: a JointState does not say which joints are prismatic, whose unit is {prismatic}"
        units = [revolute] * len(names)
        values = Values(rows=self._rows, elements=np.flatnonzero(used), units=units, note=note)
        late = self._messages - len(self._rows)
        return values, tuple(name for name, use in zip(names, used, strict=True) if use), late

    def findings(self) -> list[str]:
        """What a person should know of them."""
        found = []
        names = self._names()
        if self._without_names:
            why = "as was said" if self._wanted else "by their place in the message, which nothing confirms"
            found.append(f"`name` is empty: the joints are called {', '.join(names)}, {why}")
        if len(self._places) > 1:
            found.append(f"messages have {len(self._places)} different orders or sets of joints: matched by name")
        unused = [name for name, use in zip(names, _used(self._rows), strict=True) if not use]
        return [*found, f"joints {', '.join(unused)} are never a number: left out"] if unused else found

    def _names(self) -> tuple[str, ...]:
        missing = [name for name in self._wanted if name not in self._there]
        if missing:
            raise ValueError(f"has no joint {', '.join(missing)}; there are {', '.join(self._there)}")
        return self._wanted or tuple(self._there)


class ImageReadings:
    """Keeps the first image's size: images are decoded again when their video is written."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] | None = None

    def add(self, message: Any) -> None:
        """Raises ValueError when the first one cannot be decoded."""
        if self.shape is None:
            self.shape = camera_array(message).shape
