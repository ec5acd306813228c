"""PPO's update of a chunk policy and of its critic."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus_policies.algorithms.optimizer import load_optimizer, optimizer_tensors
from isthmus_policies.chunks.finetune.config import PPO
from isthmus_policies.chunks.finetune.critic import Critic
from isthmus_policies.chunks.finetune.experience import Experience
from isthmus_policies.chunks.finetune.explorer import Explorer
from isthmus_sim.state_dicts import joined, part

COLUMNS = ("learner/kl", "learner/away", "learner/value_loss", "learner/rate", "learner/deviation")
_MOST_NORM = 1.0  # of the policy's gradient
_BOUNDS = (1e-6, 1e-2)  # of the policy's learning rate


class Learner:
    """Improves the policy from experience. Its learning rate rises and falls so that an update moves it by `config.kl`;
    an epoch that moved it by 1.5 times that is the last one.

    Args:
        explorer, critic: What is learned.
        config: How.
        generator: Orders what is learned from.
    """

    def __init__(self, explorer: Explorer, critic: Critic, config: PPO, generator: torch.Generator) -> None:
        self._explorer, self._critic, self._config, self._generator = explorer, critic, config, generator
        self.rate = config.rate
        self._parameters = [parameter for parameter in explorer.parameters() if parameter.requires_grad]
        self._policy = torch.optim.Adam(self._parameters, lr=config.rate)
        self._value = torch.optim.Adam(critic.parameters(), lr=config.critic_rate)

    def update(self, experience: Experience, *, critic_alone: bool = False) -> dict[str, float]:
        """Several epochs over the experience; what to log, as `COLUMNS`."""
        self._critic.take_in(experience.privileged)
        advantage = experience.advantage
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        with torch.no_grad():
            likely = self._explorer.log_probability(experience.drawn, experience.mean)
            if critic_alone:
                self._explorer.take_in(experience.seen)
            before = self._explorer.before(experience.seen)
        kl, away, missed = 0.0, 0.0, 0.0
        for _ in range(self._config.epochs):
            moves = not critic_alone and kl <= 1.5 * self._config.kl
            found = torch.zeros(3)
            batches = self._batches(len(advantage))
            for batch in batches:
                found[2] += self._learn_value(experience, batch)
                if moves:
                    found[:2] += self._learn_policy(experience, batch, advantage[batch], likely[batch], before[batch])
            means = (found / len(batches)).tolist()
            missed = means[2]
            if moves:
                kl, away = means[:2]
        if not critic_alone:
            self._adapt(kl)
        deviation = float(self._explorer.log_deviation.detach().exp().mean())
        return dict(zip(COLUMNS, (kl, away, missed, self.rate, deviation), strict=True))

    def _batches(self, rows: int) -> tuple[Tensor, ...]:
        """All rows, in parts of about the batch's size."""
        order = torch.randperm(rows, generator=self._generator)
        return order.chunk(max(1, round(rows / self._config.batch_size)))

    def _learn_value(self, experience: Experience, batch: Tensor) -> Tensor:
        loss = (self._critic(experience.privileged[batch]) - experience.value[batch]).square().mean()
        self._value.zero_grad()
        loss.backward()
        self._value.step()
        return loss.detach().cpu()

    def _learn_policy(
        self, experience: Experience, batch: Tensor, advantage: Tensor, likely: Tensor, before: Tensor
    ) -> Tensor:
        """KL from the policy that acted, and from the one that the run began with."""
        explorer, clip = self._explorer, self._config.clip
        mean = explorer.mean({name: rows[batch] for name, rows in experience.seen.items()})
        change = explorer.log_probability(experience.drawn[batch], mean) - likely
        ratio = change.exp()
        surrogate = torch.min(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage).mean()
        away = explorer.away(mean, before).mean()
        self._policy.zero_grad()
        (self._config.style * away - surrogate).backward()
        nn.utils.clip_grad_norm_(self._parameters, _MOST_NORM)
        self._policy.step()
        kl = (ratio - 1.0 - change).mean()  # Schulman 2020, "Approximating KL Divergence": k3
        return torch.stack((kl, away)).detach().cpu()

    def _adapt(self, kl: float) -> None:
        low, high = self._config.kl / 1.5, 1.5 * self._config.kl
        factor = 1 / 1.3 if kl > high else 1.1 if kl < low else 1.0
        self.rate = min(max(self.rate * factor, _BOUNDS[0]), _BOUNDS[1])
        for group in self._policy.param_groups:
            group["lr"] = self.rate

    def tensors(self) -> dict[str, Tensor]:
        """Its state."""
        return joined(policy=optimizer_tensors(self._policy), value=optimizer_tensors(self._value))

    def load(self, tensors: dict[str, Tensor], rate: float) -> None:
        """Go on from what `tensors` gave, at that learning rate."""
        load_optimizer(self._policy, part(tensors, "policy"))
        load_optimizer(self._value, part(tensors, "value"))
        self.rate = rate
        for group in self._policy.param_groups:
            group["lr"] = rate
