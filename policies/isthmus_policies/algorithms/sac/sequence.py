"""Soft actor-critic for an actor that gives a sequence of actions for one look (Patel & Siegelmann 2025). The algorithm
"sac-sequence".

The critics learn from every control step, as in SAC. The actor's sequence begins at a step of the replay; what the
critics would read between is foretold by a model from the sequence's own actions ("temporal recall"), so that each of
its actions is judged where it would be done. The model learns from the same steps, and only learning needs it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.algorithms.algorithm import AlgorithmEntry
from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.learner import LOGGED, Learner, Part
from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.algorithms.sac.sac import SAC, remembered_bytes
from isthmus_policies.networks.policy import Groups, Policy, Tensors, restart
from isthmus_policies.networks.sequence import SequenceActorCritic
from isthmus_sim.env import Env, Step

MEMORY = "memory."


@dataclass(frozen=True, kw_only=True)
class SequenceSACConfig(SACConfig):
    """As SAC, in single steps."""

    n_step: int = 1
    """The model learns what one action leads to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_step != 1:
            raise ValueError(f"the model learns what one action leads to: n_step must be 1, got {self.n_step}")


class SequenceLearner(Learner):
    """Improves a `SequenceActorCritic`: the model, the critics, and each action of the actor's sequences."""

    policy: SequenceActorCritic
    logged = (*LOGGED, "model_loss")

    def __init__(self, policy: SequenceActorCritic, config: SequenceSACConfig, generator: torch.Generator) -> None:
        super().__init__(policy, config, generator)
        self.model = self.parts["model"] = Part(list(policy.model.parameters()), config.learning_rate)

    def step(self, batch: Transitions) -> Tensor:
        loss = self._improve_model(batch)
        return torch.cat((super().step(batch), loss.unsqueeze(0)))

    def _improve_model(self, batch: Transitions) -> Tensor:
        """Towards what the critics read after a step, where an episode went on. Returns the loss."""
        policy = self.policy
        goes_on = (batch.known & (batch.discount > 0)).unsqueeze(-1)
        after = policy.critic_encoder(batch.next)
        loss = ((policy.foretold(policy.judged(batch.observations, batch.action)) - after) * goes_on).square().mean()
        self.model.gradient.zero_()
        loss.backward()
        self.model.step()
        return loss.detach()

    def _outputs(self, observations: Tensors) -> Tensor:
        """What the actor gives for every action of the sequences, one sequence after the other."""
        return self.policy.sequence(observations).flatten(0, 1)

    def _judged(self, observations: Tensors, output: Tensor, action: Tensor) -> Tensor:
        """The temporal recall: each action of the sequences with what would be read when it is done, after the mean
        actions before it, which nothing but noise is added to."""
        policy = self.policy
        means = output[:, : policy.action_size].tanh().unflatten(0, (-1, policy.length))
        features, recalled = policy.critic_encoder(observations), []
        for mean in means.unbind(1):
            recalled.append(features)
            features = policy.foretold(torch.cat((features, mean), dim=-1))
        return torch.cat((torch.stack(recalled, dim=1).flatten(0, 1), action), dim=-1)


class SequenceSAC(SAC):
    """`Algorithm`: as SAC, and what it does in the worlds are its own plans, each to the end or to the episode's."""

    policy: SequenceActorCritic
    config: SequenceSACConfig

    def __init__(self, env: Env, policy: Policy, config: SequenceSACConfig, generator: torch.Generator) -> None:
        """Raises ValueError as SAC does."""
        super().__init__(env, policy, config, generator)
        self._memory = self.policy.initial_memory(env.num_envs, env.device)

    @staticmethod
    def improvable(policy: Policy) -> SequenceActorCritic:
        if not isinstance(policy, SequenceActorCritic):
            raise ValueError(
                "sac-sequence learns sequences of actions: the policy must be a SequenceActorCritic, such as --policy "
                f"sequence, this is a {type(policy).__name__}"
            )
        return policy

    def make_learner(self, generator: torch.Generator) -> SequenceLearner:
        return SequenceLearner(self.policy, self.config, generator)

    def _step(self) -> Step:
        step = super()._step()
        restart(self._memory, step.ended)
        if self.intervener is not None:  # a plan is of no use where somebody else has driven
            restart(self._memory, self.intervener.driven.nonzero().squeeze(-1))
        return step

    def _output(self) -> Tensor:
        output, self._memory = self.policy.planned(self.replay.newest(), self._memory)
        return output

    def state_dict(self) -> dict[str, Tensor]:
        return super().state_dict() | {f"{MEMORY}{name}": value for name, value in self._memory.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        if "snapshots" in self.env.engine.capabilities:
            self._memory = {name: state[f"{MEMORY}{name}"].to(self.env.device) for name in self._memory}


def world_bytes(policy: Policy, groups: Groups, action_size: int, config: SequenceSACConfig) -> int:
    """Memory that one world takes. Raises ValueError for a policy that it cannot improve."""
    return remembered_bytes(SequenceSAC.improvable(policy), groups, action_size, config)


ENTRY = AlgorithmEntry(
    config=SequenceSACConfig(),
    make=SequenceSAC,
    world_bytes=world_bytes,
    training={"policy_name": "sequence", "num_envs": 64, "iterations": 400, "torch_threads": 1},
)
