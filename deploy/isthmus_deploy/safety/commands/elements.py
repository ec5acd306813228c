"""Signals and commands as one flat vector: a tick costs the same few array operations however many there are."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def full(item: Any, values: Sequence[float]) -> np.ndarray:
    """Numbers per element of the last axis of a signal or command, repeated over its whole shape; float64."""
    return np.broadcast_to(np.array(values, dtype=np.float64), item.shape).copy()


def flat(items: Sequence[Any], field: str) -> np.ndarray:
    """The field of all items, one after the other; float64."""
    return np.concatenate([np.zeros(0), *(full(item, getattr(item, field)).reshape(-1) for item in items)])


def slices(items: Sequence[Any]) -> list[slice]:
    """Where each item lies in the flat vector."""
    sizes = [int(np.prod(item.shape)) for item in items]
    return [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes, dtype=int).tolist(), strict=True)]


def numbers(values: np.ndarray) -> list[float]:
    """All of an item's elements, flat."""
    return values.tolist() if values.ndim == 1 else values.ravel().tolist()


class Parts:
    """Cuts flat vectors into the items' parts."""

    def __init__(self, items: Sequence[Any]):
        parts = slices(items)
        self._parts = [(item.name, part, tuple(item.shape)) for item, part in zip(items, parts, strict=True)]

    def of(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Each item's part of the flat `vector` by name, in its shape, without a copy."""
        return {name: vector[part].reshape(shape) for name, part, shape in self._parts}

    def arrays(self, values: list[float]) -> dict[str, np.ndarray]:
        """Each item's part of the flat `values` by name, in its shape: new arrays."""
        arrays = {}
        for name, part, shape in self._parts:
            array = np.array(values[part], np.float64)
            arrays[name] = array if len(shape) == 1 else array.reshape(shape)
        return arrays


def element_name(items: Sequence[Any], index: int) -> str:
    """The name of the element at `index` of the flat vector, such as "joint_position.knee"."""
    parts = slices(items)
    which = next(i for i, part in enumerate(parts) if index < part.stop)
    order = items[which].order
    return f"{items[which].name}.{order[(index - parts[which].start) % len(order)]}"
