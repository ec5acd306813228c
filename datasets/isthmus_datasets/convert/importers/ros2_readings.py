"""A topic's messages, one after the other, as the rows of one column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.ros2.messages import camera_array, choose, numbers


class Readings:
    """The numbers of one topic's messages, each a reading.

    Args:
        path: The field of the message; empty for all of it.
    """

    def __init__(self, path: tuple[str, ...]) -> None:
        self._path = path
        self._rows: list[list[float | int | bool]] = []
        self._names: list[str] = []

    def add(self, message: Any) -> None:
        """Raises ValueError when it holds no numbers, or not those of the first one."""
        pairs = numbers(choose(message, self._path))
        names = [name for name, _ in pairs]
        if not names or (self._rows and names != self._names):
            raise ValueError(f"has {len(names)} numbers, the first one had {len(self._names)}")
        self._names = names
        self._rows.append([value for _, value in pairs])

    def table(self) -> tuple[NDArray[Any], tuple[str, ...] | None, int]:
        """Values (n, size), the elements' names, and how many messages at the start gave no reading.

        Elements that are never a number are left out: PX4 marks what is not used like that. Raises ValueError where
        none is left.
        """
        values = np.array(self._rows)
        used = _used(values)
        names = [name or ".".join(self._path) for name in self._names]
        if used.all() and all(name.isdecimal() for name in names):
            return values, None, 0
        return values[:, used], tuple(name for name, use in zip(names, used, strict=True) if use), 0

    def findings(self) -> list[str]:
        """What a person should know of them."""
        used = _used(np.array(self._rows))
        unused = [name for name, use in zip(self._names, used, strict=True) if not use]
        return [f"elements {', '.join(unused)} are never a number: left out"] if unused else []


def _used(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which elements of (n, size) are a number at least once. Raises ValueError where none is."""
    used = np.asarray(~np.isnan(values).all(axis=0))
    if len(values) and not used.any():
        raise ValueError("has nothing that is ever a number: choose another field, or leave it out")
    return used


class JointReadings:
    """One field of JointState messages, by joint. A message may bring some of the joints, in any order.

    Args:
        path: The field: position, velocity or effort; empty for position.
        wanted: The joints to take, in this order; empty for all. Where messages have no names, what their joints are
            called; empty for joint_0, joint_1 …
    """

    def __init__(self, path: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        self._path, self._wanted = path or ("position",), wanted
        self._rows: list[dict[str, float]] = []
        self._without_names = 0

    def add(self, message: Any) -> None:
        """Raises ValueError when names and numbers differ in count, or only some messages have names."""
        values = choose(message, self._path)
        names = list(message.name)
        if not names:
            self._without_names += 1
            names = list(self._wanted) or [f"joint_{i}" for i in range(len(values))]
        if len(names) != len(values) or not names:
            raise ValueError(f"has {len(values)} numbers in {'.'.join(self._path)} for the joints {', '.join(names)}")
        self._rows.append(dict(zip(names, map(float, values), strict=True)))
        if self._without_names not in (0, len(self._rows)):
            raise ValueError("and others differ in having names: their joints cannot be matched")

    def table(self) -> tuple[NDArray[Any], tuple[str, ...] | None, int]:
        """Values (n, joints), the joints, and how many messages at the start did not yet complete all of them.

        Joints that are never a number are left out. Raises ValueError where none is left, or one that is wanted is not
        there.
        """
        values, names, late = self._complete()
        used = _used(values)
        return values[:, used], tuple(name for name, use in zip(names, used, strict=True) if use), late

    def _complete(self) -> tuple[NDArray[np.float64], tuple[str, ...], int]:
        names = self._names()
        latest: dict[str, float] = {}
        complete = []
        for row in self._rows:
            latest |= row
            if latest.keys() >= set(names):
                complete.append([latest[name] for name in names])
        return np.array(complete), names, len(self._rows) - len(complete)

    def findings(self) -> list[str]:
        """What a person should know of them."""
        found = []
        values, names, _ = self._complete()
        if self._without_names:
            why = "as was said" if self._wanted else "by their place in the message, which nothing confirms"
            found.append(f"`name` is empty: the joints are called {', '.join(names)}, {why}")
        orders = {tuple(row) for row in self._rows}
        if len(orders) > 1:
            found.append(f"messages have {len(orders)} different orders or sets of joints: matched by name")
        unused = [name for name, use in zip(names, _used(values), strict=True) if not use]
        return [*found, f"joints {', '.join(unused)} are never a number: left out"] if unused else found

    def _names(self) -> tuple[str, ...]:
        there = tuple(dict.fromkeys(name for row in self._rows for name in row))
        missing = [name for name in self._wanted if name not in there]
        if missing:
            raise ValueError(f"has no joint {', '.join(missing)}; there are {', '.join(there)}")
        return self._wanted or there


class ImageReadings:
    """Keeps the first image's size: images are decoded again when their video is written."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] | None = None

    def add(self, message: Any) -> None:
        """Raises ValueError when the first one cannot be decoded."""
        if self.shape is None:
            self.shape = camera_array(message).shape
