"""Left-right symmetry: what a robot that is its own mirror image learns on one side holds on the other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from isthmus_sim.task import Mirror


class Reflection:
    """Mirror images of rows, by what they are: "actor", "critic" or "action"."""

    def __init__(self, mirror: Mapping[str, Mirror], sizes: dict[str, int], device: torch.device) -> None:
        """Raises ValueError for a table that is missing, of another size than `sizes` says, or no mirror."""
        for name, size in sizes.items():
            _check(name, mirror, size)
        self._index = {name: torch.tensor(mirror[name].index, device=device) for name in sizes}
        self._sign = {name: torch.tensor(mirror[name].sign, device=device) for name in sizes}

    def __call__(self, name: str, rows: Tensor) -> Tensor:
        """(..., size) -> (..., size)."""
        return rows[..., self._index[name]] * self._sign[name]

    def with_images(self, name: str, rows: Tensor) -> Tensor:
        """(n, size) -> (2n, size): the rows, then their images."""
        return torch.cat((rows, self(name, rows)))

    def variance(self, name: str, variance: Tensor) -> Tensor:
        """The variance (size,) of the images of rows that have this one."""
        return variance[self._index[name]]


def _check(name: str, mirror: Mapping[str, Mirror], size: int) -> None:
    if name not in mirror:
        raise ValueError(f"the task has no mirror image of {name!r}; train it with symmetry none")
    index, sign = mirror[name].index, mirror[name].sign
    if sorted(index) != list(range(size)) or len(sign) != size:
        raise ValueError(f"the mirror image of {name!r} is of {len(index)} numbers, not of {size} in another order")
    if any(index[place] != i or sign[place] * sign[i] != 1.0 for i, place in enumerate(index)):
        raise ValueError(f"the mirror image of {name!r}, mirrored again, is not what it was")
