"""Levenberg-Marquardt where a simulation of many candidates costs little more than one: dampings are tried together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from isthmus_sim.identify.log import Array

_HARDER = 1e3  # where no damping won


class Linearized(Protocol):
    """Residuals and their slopes at some parameters."""

    @property
    def cost(self) -> float:
        """What is made small there."""
        ...


Place = TypeVar("Place", bound=Linearized)


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is tried, and when it ends."""

    dampings: tuple[float, ...]
    """What is tried together: factors of the damping that won last."""
    iterations: int
    give_up: float
    """Damping beyond which no step will win."""
    enough: float
    """Share of the cost that a step has to win for a further one."""


def descend(
    start: Array,
    search: Search,
    *,
    linearize: Callable[[Array], Place],
    step: Callable[[Place, float], Array],
    costs: Callable[[Array], Array],
) -> Place:
    """Go down from a start to where the cost is least nearby.

    Args:
        start: (u,) parameters.
        search: How it goes on.
        linearize: Parameters (u,) -> the place there.
        step: A place and a damping -> where a damped Gauss-Newton step leads, (u,).
        costs: Candidates (n, u) -> (n,), not finite where a step was too long.
    """
    place, damping = linearize(start), 1.0
    for _ in range(search.iterations):
        dampings = damping * np.array(search.dampings)
        tried = np.stack([step(place, each) for each in dampings])
        reached = costs(tried)
        reached = np.where(np.isfinite(reached), reached, np.inf)
        best, before = int(reached.argmin()), place.cost
        if reached[best] >= before:
            damping *= _HARDER
            if damping > search.give_up:
                break
            continue
        damping, place = dampings[best], linearize(tried[best])
        if before - reached[best] < search.enough * before:
            break
    return place
