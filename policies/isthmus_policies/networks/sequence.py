"""An actor that gives a sequence of actions for one look, which it does without looking again. The policy "sequence".

For robots whose sensors, links or computers are slow beside their motors (Patel & Siegelmann 2025, "Overcoming Slow
Decision Frequencies in Continuous Control: Model-Based Sequence Reinforcement Learning for Model-Free Control").
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus_policies.networks.mlp import mlp
from isthmus_policies.networks.normalizer import MAX_DEVIATIONS
from isthmus_policies.networks.policy import Groups, PolicyEntry, Tensors
from isthmus_policies.networks.squashed import SquashedActorCritic, SquashedConfig, squashed_mlp
from isthmus_sim.task import Group


@dataclass(frozen=True, kw_only=True)
class SequenceConfig(SquashedConfig):
    """How far it plans, how often it looks, and the model that only learning needs."""

    length: int = 16
    """Actions that one look gives."""
    period: int = 16
    """Control steps from one look to the next: so many of these actions are done."""
    units: int = 64
    """Numbers of the recurrent unit that tells how the sequence goes on."""
    model: tuple[int, ...] = (64, 64)
    """Hidden layers of the model that tells what the critics would have seen between two looks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.period <= self.length:
            raise ValueError(f"period must be from 1 to the length {self.length}, got {self.period}")
        if self.units < 1:
            raise ValueError(f"units must be at least 1, got {self.units}")


class Unrolled(nn.Module):
    """A recurrent unit that begins with what is seen and goes on by itself, and the same layers after each of its
    steps."""

    def __init__(self, features: int, action_size: int, config: SequenceConfig) -> None:
        super().__init__()
        self.length = config.length
        self.begin = mlp((features, *config.actor, config.units), 1.0, config.activation, config.hidden_gain)
        self.cell = nn.GRUCell(features, config.units)
        self.head = squashed_mlp((config.units, *config.actor), action_size, config)

    def forward(self, features: Tensor, length: int | None = None) -> Tensor:
        """(n, features) -> (n, length, 2 action_size); all of it unless told otherwise."""
        steps = [self.begin(features).tanh()]
        for _ in range((length or self.length) - 1):
            steps.append(self.cell(features, steps[-1]))
        return self.head(torch.stack(steps, dim=1))


class SequenceActorCritic(SquashedActorCritic):
    """Its memory is the plan and how much of it is to be done; where an episode begins it looks. What is planned are
    the numbers that `squash` makes actions of; `act` gives the tanh of the means.

    The critics judge single actions, and `model` gives the change of what they read that an action makes.
    """

    def __init__(self, groups: Groups, action_size: int, config: SequenceConfig) -> None:
        """Raises ValueError for groups that are not there, or cannot be read or foretold."""
        if seen := [name for name in config.critic_groups if name in groups and groups[name].dtype != "float32"]:
            raise ValueError(
                "the model foretells what the critics read between two looks, which must be vectors; "
                f"{', '.join(map(repr, seen))} are images: leave them to the actor (actor_groups), which reads them "
                "when it looks"
            )
        super().__init__(groups, action_size, config)
        self.length, self.period = config.length, config.period
        self.memory = {"plan": Group(shape=(config.length, 2 * action_size)), "left": Group(shape=(1,))}
        size = self.critic_encoder.size
        self.model = mlp((size + action_size, *config.model, size), 0.01, "relu")

    def make_actor(self, features: int, config: SequenceConfig) -> Unrolled:
        return Unrolled(features, self.action_size, config)

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        output, memory = self.planned(observations, memory)
        return output[:, : self.action_size].tanh(), memory

    def planned(self, observations: Tensors, memory: Tensors) -> tuple[Tensor, Tensors]:
        """What the plan has for now (n, 2 action_size), and the next memory; made anew where all of it is done."""
        plan, left = memory["plan"], memory["left"]
        looks = left == 0
        plan = torch.where(looks.unsqueeze(-1), self.sequence(observations), plan)
        left = torch.where(looks, float(self.period), left) - 1
        return plan[:, 0], {"plan": plan.roll(-1, 1), "left": left}

    def sequence(self, observations: Tensors) -> Tensor:
        """What the actor gives upon a look, (n, length, 2 action_size)."""
        return self.actor(self.actor_encoder(observations))

    def output(self, observations: Tensors) -> Tensor:
        """The first of the sequence."""
        return self.actor(self.actor_encoder(observations), 1)[:, 0]

    def foretold(self, judged: Tensor) -> Tensor:
        """What the critics' encoder would make of what comes (n, features), by what they judged before (n, features +
        action_size)."""
        features = judged[:, : self.critic_encoder.size]
        return (features + self.model(judged)).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)


SEQUENCE = PolicyEntry(
    config=SequenceConfig(), make=lambda config, groups, size: SequenceActorCritic(groups, size, config)
)
