"""Whether datasets mean the same by a feature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader


def check_features(readers: Sequence[DatasetReader], names: Iterable[str], *, any_size: bool = False) -> None:
    """Raises DatasetError where one has other values by a name than the first: of another type or shape, in another
    order, or in other units. With `any_size` images may differ in size."""
    first, *others = readers
    for name, other in product(names, others):
        here, there = first.info.features.get(name), other.info.features.get(name)
        if here is None or there is None:
            continue  # said by whoever reads it
        if found := difference(here, there, any_size=any_size):
            fix = "give the size that both are scaled to" if here.is_image else "convert it, or leave one of them out"
            raise DatasetError(f"{name!r} is {found[0]} in {first.root}, {found[1]} in {other.root}: {fix}")


def difference(one: Feature, other: Feature, *, any_size: bool = False) -> tuple[str, str] | None:
    """What differs, as each has it; None where both mean the same. Names or units that one does not tell do not."""
    scaled = any_size and one.is_image and other.is_image
    if not scaled and (one.shape, one.numpy) != (other.shape, other.numpy):
        return f"{one.dtype} {one.shape}", f"{other.dtype} {other.shape}"
    if one.names and other.names and one.names != other.names:
        return f"({', '.join(one.names)})", f"({', '.join(other.names)})"
    units, others = _units(one), _units(other)
    if units and others and units != others:
        return f"in {', '.join(units)}", f"in {', '.join(others)}"
    return None


def _units(feature: Feature) -> list[Any] | None:
    return list(map(str, (feature.info or {}).get("units") or [])) or None
