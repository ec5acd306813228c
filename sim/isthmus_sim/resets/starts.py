"""Where episodes begin beside where the task lets them: what every strategy of starts is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from isthmus_sim.engine import State

if TYPE_CHECKING:
    from isthmus_sim.env import Env

Snapshot = dict[str, Tensor]
"""What worlds were in and what they remember, a row per world: see `snapshots.take`."""


class Starts:
    """The task's own starts, and nothing else. A strategy overrides what it changes.

    It draws from the Env's generator alone, so that the same seed gives the same starts.
    """

    needs_snapshots = False
    """Whether it puts worlds back into states that they were in, which takes an engine with snapshots."""

    def states(self, start: State, generator: torch.Generator) -> State:
        """Where n worlds begin that the task would begin in `start`, n rows of every quantity that its starts set."""
        return start

    def snapshots(self, n: int, generator: torch.Generator) -> tuple[Tensor, Snapshot] | None:
        """Which of n worlds (k,) begin in a snapshot instead, and these, k rows; None where none does."""
        return None

    def watch(self, env: Env, going: Tensor) -> None:
        """A control step is done, of which strategies that need snapshots are told; `going` (num_envs,) bool: whose
        episode has not ended with it."""

    def state_dict(self) -> dict[str, Tensor]:
        """What going on bit for bit needs beside the Env's state."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave. Raises ValueError where it was another strategy's."""


def drawn(n: int, share: float, generator: torch.Generator) -> Tensor:
    """(k,): which of n, each with the probability `share`."""
    return (torch.rand(n, generator=generator, device=generator.device) < share).nonzero().squeeze(-1)


def rows(snapshot: Snapshot, which: Tensor) -> Snapshot:
    """The rows `which` (k,) of a snapshot."""
    return {name: value[which] for name, value in snapshot.items()}
