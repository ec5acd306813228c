"""Control steps of a robot as a replay: what the learner makes of the rows that the actor has written."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus_policies.algorithms.sac.replay import ReplayBuffer
from isthmus_policies.networks.policy import Tensors


class Received:
    """Fills a replay of one world. An episode that breaks off is closed with what was seen last, as one whose time is
    over is: nobody knows what would have followed."""

    def __init__(self, replay: ReplayBuffer) -> None:
        self.replay = replay
        self._open: NDArray[Any] | None = None  # the last row, while its episode goes on

    def add(self, rows: NDArray[Any], reward: NDArray[np.float32], begins: NDArray[np.bool_]) -> None:
        """Take in rows (n,) as of `experience.row_type`, with what each shall earn (n,).

        begins: (n,) where a row does not follow the one before.
        """
        parts = np.flatnonzero(begins | _after_end(rows))
        for i, (part, earned) in enumerate(zip(np.split(rows, parts), np.split(reward, parts), strict=True)):
            if i > 0 and self._open is not None:
                self._close()
            if len(part):
                self._follow(part, earned)

    def _follow(self, rows: NDArray[Any], reward: NDArray[np.float32]) -> None:
        """Rows that follow each other."""
        steps = {f"observations.{name}": _tensor(rows["before"][name]) for name in rows.dtype["before"].names or ()}
        steps |= {name: _tensor(rows[name]) for name in ("action", "terminated")}
        steps |= {"reward": _tensor(reward), "truncated": torch.zeros(len(rows), dtype=torch.bool)}
        self.replay.append(steps)
        last = rows[-1]
        self._open = None if last["terminated"] else last
        if self._open is not None:
            self.replay.begin({name: value.unsqueeze(0) for name, value in _seen(last).items()})
        if last["truncated"]:
            self._close()

    def _close(self) -> None:
        """One row more, that of an action of which nothing is known."""
        self.replay.append({name: value[1:] for name, value in self.replay.recent(0, 1).items()})
        self._open = None


def _after_end(rows: NDArray[Any]) -> NDArray[np.bool_]:
    ended = rows["terminated"] | rows["truncated"]
    return np.concatenate(([False], ended[:-1]))


def _seen(row: NDArray[Any]) -> Tensors:
    """What was seen after it."""
    return {name: _tensor(row["after"][name]) for name in row.dtype["after"].names or ()}


def _tensor(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.array(values))
