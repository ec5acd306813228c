"""The policy "gru": an actor that remembers by a gated recurrent unit (Cho et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from isthmus_policies.networks.actor_critic import UNITS, ActorCritic, ActorCriticConfig, Wire, whole
from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.networks.policy import Groups, PolicyEntry, Tensors
from isthmus_sim.task import Group


@dataclass(frozen=True, kw_only=True)
class GruConfig(ActorCriticConfig):
    """The actor's layers come after the recurrent unit."""

    actor: tuple[int, ...] = (64,)
    """Hidden layers of the actor, after the recurrent unit."""
    units: int = 64
    """Numbers that it remembers."""
    image: CnnConfig = field(default_factory=CnnConfig)
    """How images are read, where there are any among the groups."""


class GruPolicy(ActorCritic):
    """Observations -> recurrent unit -> the actor's layers. The critic sees the state and needs no memory."""

    def __init__(self, groups: Groups, action_size: int, config: GruConfig) -> None:
        if config.units < 1:
            raise ValueError(f"units must be at least 1, got {config.units}")
        super().__init__(groups, action_size, config, image=config.image, actor_inputs=config.units)
        self.memory = {"hidden": Group(shape=(config.units,))}
        self.cell = nn.GRUCell(self.actor_encoder.size, config.units)

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        hidden = self.cell(self.actor_encoder(observations), memory["hidden"])
        return self.actor(hidden), {"hidden": hidden}

    def mean(self, features: Tensor, memory: Tensors, done: Tensor) -> Tensor:
        hidden, steps = memory["hidden"], []
        for rows, ends in zip(features, done, strict=True):
            hidden = self.cell(rows, hidden)
            steps.append(hidden)
            hidden = hidden.masked_fill(ends.unsqueeze(-1), 0.0)
        return self.actor(torch.stack(steps))

    def wires(self) -> list[Wire]:
        actor, critic = super().wires()
        return [
            Wire(network=self.cell, reads=whole(self.groups), gives=UNITS),
            Wire(network=actor.network, reads=(UNITS,), gives=actor.gives),
            critic,
        ]


GRU = PolicyEntry(config=GruConfig(), make=lambda config, groups, size: GruPolicy(groups, size, config))
