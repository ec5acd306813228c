"""Learning what turns observations into features and estimates, in a phase of its own after the policy's.

So the policy improves on features that stand still, and the KL that its learning rate follows is its own doing; and
what perceives may learn faster than actions may change. Two phases as in Cobbe et al. 2021, "Phasic Policy Gradient".
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_policies.algorithms.optimizer import in_one_piece, load_optimizer, optimizer_tensors
from isthmus_policies.distributed import copy_first_, mean_
from isthmus_policies.networks.actor_critic import ActorCritic, Apart
from isthmus_policies.networks.policy import Tensors

_PASSES, _ROWS = 2, 512  # over a roll-out, and in a gradient step


class Perception:
    """Improves a policy's modules that learn `apart`, by its auxiliary losses."""

    def __init__(self, policy: ActorCritic, apart: Apart, generator: torch.Generator) -> None:
        self._policy, self._apart, self._generator = policy, apart, generator
        self.learned = [parameter for module in apart.modules for parameter in module.parameters()]
        self.parameters, self.gradient = in_one_piece(self.learned)
        copy_first_(self.parameters.detach())
        self.optimizer = torch.optim.Adam([self.parameters], lr=apart.learning_rate, fused=True)

    def update(self, rows: Tensors, progress: float) -> Tensor:
        """Passes over the groups' rows (n, *shape). Returns each auxiliary loss, the mean over all steps."""
        n = len(next(iter(rows.values())))
        self.optimizer.param_groups[0]["lr"] = self._apart.learning_rate * min(1.0, 2 * (1 - progress))
        losses: list[Tensor] = []
        for _ in range(_PASSES):
            order = torch.randperm(n, generator=self._generator, device=self.parameters.device)
            losses += [self._step({k: v[chosen] for k, v in rows.items()}) for chosen in order.split(_ROWS)]
        return mean_(torch.stack(losses).mean(0))

    def _step(self, rows: Tensors) -> Tensor:
        self.gradient.zero_()
        features = self._policy.actor_encoder(rows)
        losses = torch.stack([loss(rows, features) for loss in self._policy.auxiliary.values()])
        losses.sum().backward()
        mean_(self.gradient)
        self.gradient *= (1.0 / (self.gradient.norm() + 1e-6)).clamp_(max=1.0)
        self.optimizer.step()
        return losses.detach()

    def state_dict(self) -> Tensors:
        """The optimiser."""
        return optimizer_tensors(self.optimizer)

    def load_state_dict(self, state: Tensors) -> None:
        load_optimizer(self.optimizer, state)
