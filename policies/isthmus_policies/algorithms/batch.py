"""What an update learns from: rows, or whole sequences where the policy has a memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.networks.policy import Tensors


@dataclass(frozen=True, kw_only=True)
class Batch:
    """n rows (n, …); with a memory, T steps of n worlds (T, n, …), because a gradient goes back through the steps."""

    observations: Tensors
    memory: Tensors
    """Before the first step (n, *shape); empty for rows."""
    done: Tensor
    """Where an episode ended after the step."""
    action: Tensor
    mean: Tensor
    """The mean action of the policy that acted, (…, k)."""
    log_prob: Tensor
    """The action's log-probability under it."""
    advantage: Tensor
    value: Tensor
    """Before the update, in units of the returns' deviation from their mean, as is `returns`."""
    returns: Tensor
    old_std: Tensor
    """The acting policy's standard deviation (k,)."""
    features: Tensor | None = None
    """What the actor's encoder made of the observations (n, size), where that does not learn with the actor."""

    @property
    def axis(self) -> int:
        """Along it are the rows or worlds that may be chosen from."""
        return 1 if self.memory else 0

    def minibatches(self, number: int, generator: torch.Generator) -> Iterator[Batch]:
        """A fresh permutation of the rows or worlds, cut into equal parts."""
        n = self.action.shape[self.axis]
        order = torch.randperm(n, generator=generator, device=self.action.device)
        size = n // number
        for chosen in order[: size * number].split(size):
            yield self._chosen(chosen)

    def _chosen(self, rows: Tensor) -> Batch:
        def select(value: Tensor) -> Tensor:
            return value.index_select(self.axis, rows)

        return dataclasses.replace(
            self,
            observations={name: select(value) for name, value in self.observations.items()},
            memory={name: value.index_select(0, rows) for name, value in self.memory.items()},
            done=select(self.done), action=select(self.action), mean=select(self.mean),
            log_prob=select(self.log_prob), advantage=select(self.advantage), value=select(self.value),
            returns=select(self.returns), features=None if self.features is None else select(self.features),
        )  # fmt: skip
