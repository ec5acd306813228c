"""State dicts of several parts as one flat one: what a part calls NAME, the whole calls PART.NAME."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def joined(**parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of the parts, in one."""
    return {f"{prefix}.{name}": value for prefix, values in parts.items() for name, value in values.items()}


def part(whole: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of the part `prefix`, as it calls them."""
    return {name.removeprefix(f"{prefix}."): v for name, v in whole.items() if name.startswith(f"{prefix}.")}
