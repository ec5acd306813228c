"""Go-Explore's archive: one snapshot of every kind of state that was ever reached, to go on exploring from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from isthmus_sim.env import Env
from isthmus_sim.resets.snapshots import take
from isthmus_sim.resets.starts import Snapshot, Starts, drawn, rows
from isthmus_sim.state_dicts import joined, part

ROOM = 4096
"""Most cells that are kept where nothing else is said."""


class Archive(Starts):
    """States are told apart by a coarse description, which makes cells. A share of the episodes begins in the snapshot
    of a cell, the likelier the more seldom it was visited: in proportion to 1/sqrt(visits + 1) (Ecoffet et al. 2021,
    "First return, then explore"). Of a cell, that snapshot is kept which took the fewest control steps.

    Args:
        sizes: Quantity of the scene -> how far apart states are in it that are told apart, in its unit.
        share: Of the episodes that begin so.
        room: Most cells that are kept; what is found later is not.
    """

    needs_snapshots = True

    def __init__(self, sizes: Mapping[str, float], share: float, room: int = ROOM) -> None:
        self._sizes, self._share, self._room = dict(sizes), share, room
        self._places: dict[tuple[int, ...], int] = {}
        self._steps: list[int] = []
        self._visits = torch.zeros(room)
        self._kept: Snapshot = {}

    def __len__(self) -> int:
        """Cells that were found."""
        return len(self._places)

    def snapshots(self, n: int, generator: torch.Generator) -> tuple[Tensor, Snapshot] | None:
        there = drawn(n, self._share, generator)
        if len(there) == 0 or not self._places:
            return None
        seldom = (self._visits[: len(self)] + 1.0).rsqrt().to(generator.device)
        return there, rows(self._kept, torch.multinomial(seldom, len(there), replacement=True, generator=generator))

    def watch(self, env: Env, going: Tensor) -> None:
        worlds = going.nonzero().squeeze(-1)
        found: dict[int, int] = {}  # place -> world whose snapshot it gets
        for world, cell, step in zip(
            worlds.tolist(), self._cells(env, worlds), env.episode_step[worlds].tolist(), strict=True
        ):
            place = self._places.get(cell)
            if place is None:
                if len(self) == self._room:
                    continue
                place = self._places[cell] = len(self)
                self._steps.append(step + 1)
            if step < self._steps[place]:
                self._steps[place], found[place] = step, world
            self._visits[place] += 1
        if found:
            self._keep(torch.tensor(list(found)), take(env, torch.tensor(list(found.values()), device=going.device)))

    def _cells(self, env: Env, worlds: Tensor) -> list[tuple[int, ...]]:
        described = [(env.state[name][worlds].flatten(1) / size).floor() for name, size in self._sizes.items()]
        return [tuple(cell) for cell in torch.cat(described, dim=-1).long().tolist()]

    def _keep(self, places: Tensor, snapshot: Snapshot) -> None:
        if not self._kept:
            self._kept = {name: value.new_zeros(self._room, *value.shape[1:]) for name, value in snapshot.items()}
        for name, value in snapshot.items():
            self._kept[name][places] = value

    def state_dict(self) -> dict[str, Tensor]:
        count = len(self)
        return {
            "cells": torch.tensor(list(self._places), dtype=torch.long, device="cpu").reshape(count, -1),
            "steps": torch.tensor(self._steps, dtype=torch.long, device="cpu"),
            "visits": self._visits[:count],
            **joined(kept={name: value[:count] for name, value in self._kept.items()}),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        cells = [tuple(cell) for cell in state["cells"].tolist()]
        self._places = {cell: place for place, cell in enumerate(cells)}
        self._steps = state["steps"].tolist()
        self._visits[: len(cells)] = state["visits"].to(self._visits)
        if kept := part(state, "kept"):
            self._kept = {}
            self._keep(torch.arange(len(cells)), kept)
