"""Proximal policy optimisation (Schulman et al. 2017) with clipped value loss and a learning rate that follows the
KL."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_policies.networks import ActorCritic
from isthmus_policies.rollout import Rollout, advantages, values


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """Defaults: those of the quadrotor, tuned on training seeds 0 to 9."""

    horizon: int = 16
    """Control steps per roll-out. Short, so that the policy is improved often."""
    epochs: int = 2
    """Passes over a roll-out."""
    minibatches: int = 8
    """Parts of a pass, each a gradient step."""
    gamma: float = 0.99
    """Discount per control step."""
    lam: float = 0.9
    """λ of the generalised advantage estimate."""
    clip: float = 0.2
    """Clipping of the probability ratio, and of the value in units of its standard deviation."""
    value_weight: float = 0.5
    """Weight of the value's loss beside the policy's."""
    entropy_weight: float = 0.0
    """Weight of a bonus for exploring: the entropy of the action's distribution."""
    learning_rate: float = 1e-3
    """At the start; then it follows the KL within learning_rate_range."""
    learning_rate_range: tuple[float, float] = (1e-5, 1e-2)
    """Bounds of the learning rate."""
    kl_target: tuple[float, float] = (0.03, 0.003)
    """KL between the policies before and after an update that the learning rate aims at: at the training's start and
    end. Falling, so that the policy settles."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""


class PPO:
    """Improves an `ActorCritic` from roll-outs."""

    def __init__(self, policy: ActorCritic, config: PPOConfig, generator: torch.Generator) -> None:
        self.policy = policy
        self.config = config
        self.learning_rate = config.learning_rate
        self._generator = generator
        self.optimizer = torch.optim.Adam(policy.parameters(), lr=config.learning_rate, fused=True)

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """One iteration: several epochs over the roll-out, then the normalisers take it in. Returns what to log."""
        batch = self._batch(rollout)
        first, last = self.config.kl_target
        target = first + (last - first) * progress
        sums = torch.zeros(4)
        for _ in range(self.config.epochs):
            epoch = torch.zeros(4)
            for minibatch in self._minibatches(batch):
                epoch += self._step(minibatch)
            sums += epoch
            # The one host synchronisation of an epoch: the learning rate is the optimiser's plain number.
            self._adapt(float(epoch[0]) / self.config.minibatches, target)
        self.policy.actor_normalizer.update(rollout.actor.flatten(0, 1))
        self.policy.critic_normalizer.update(rollout.critic.flatten(0, 1))
        kl, surrogate, value_loss, clipped = (sums / (self.config.epochs * self.config.minibatches)).tolist()
        return {
            "learner/kl": kl,
            "learner/surrogate": surrogate,
            "learner/value_loss": value_loss,
            "learner/clipped": clipped,
            "learner/learning_rate": self.learning_rate,
            "learner/std": float(self.policy.std().detach().mean()),
        }

    @torch.no_grad()
    def _batch(self, rollout: Rollout) -> dict[str, Tensor]:
        """The roll-out flattened to (T·N, ...), normalised, with advantages and value targets."""
        policy, c = self.policy, self.config
        now, following = values(policy, rollout)
        gain = advantages(rollout.reward, now, following, rollout.terminated, rollout.done, c.gamma, c.lam)
        returns = (gain + now).reshape(-1, 1)
        policy.rescale_value(returns)
        return {
            "actor": policy.actor_normalizer(rollout.actor.flatten(0, 1)),
            "critic": policy.critic_normalizer(rollout.critic.flatten(0, 1)),
            "action": rollout.action.flatten(0, 1),
            "mean": rollout.mean.flatten(0, 1),
            "log_prob": gaussian_log_prob(rollout.action, rollout.mean, policy.std()).flatten(),
            "advantage": ((gain - gain.mean()) / (gain.std() + 1e-8)).flatten(),
            "return": policy.value_normalizer(returns).squeeze(-1),
            "value": policy.value_normalizer(now.reshape(-1, 1)).squeeze(-1),
            "old_std": policy.std().clone(),
        }

    def _minibatches(self, batch: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """A fresh permutation of the batch, cut into equal parts."""
        rows = {name: value for name, value in batch.items() if name != "old_std"}
        n = len(batch["action"])
        order = torch.randperm(n, generator=self._generator, device=batch["action"].device)
        size = n // self.config.minibatches
        shuffled = {name: value[order] for name, value in rows.items()}
        for start in range(0, size * self.config.minibatches, size):
            part = {name: value[start : start + size] for name, value in shuffled.items()}
            yield part | {"old_std": batch["old_std"]}

    def _step(self, batch: dict[str, Tensor]) -> Tensor:
        """One gradient step; (kl, surrogate, value loss, share of clipped ratios)."""
        policy, c = self.policy, self.config
        mean, std = policy.actor(batch["actor"]), policy.std()
        ratio = (gaussian_log_prob(batch["action"], mean, std) - batch["log_prob"]).exp()
        gain = batch["advantage"]
        surrogate = -torch.min(ratio * gain, ratio.clamp(1 - c.clip, 1 + c.clip) * gain).mean()

        value = policy.critic(batch["critic"]).squeeze(-1)
        near = batch["value"] + (value - batch["value"]).clamp(-c.clip, c.clip)
        target = batch["return"]
        value_loss = torch.max((value - target).square(), (near - target).square()).mean()

        loss = surrogate + c.value_weight * value_loss - c.entropy_weight * std.log().sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), c.max_gradient_norm, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            clipped = ((ratio - 1).abs() > c.clip).float().mean()
            kl = gaussian_kl(batch["mean"], batch["old_std"], mean, std)
            return torch.stack((kl.mean(), surrogate, value_loss, clipped)).cpu()

    def _adapt(self, kl: float, target: float) -> None:
        low, high = self.config.learning_rate_range
        if kl > 2 * target:
            self.set_learning_rate(max(low, self.learning_rate / 1.5))
        elif kl < 0.5 * target:
            self.set_learning_rate(min(high, self.learning_rate * 1.5))

    def set_learning_rate(self, value: float) -> None:
        self.learning_rate = value
        for group in self.optimizer.param_groups:
            group["lr"] = value


def gaussian_log_prob(action: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Log-density (…) of actions (…, k) under a diagonal Gaussian with std (k,)."""
    constant = std.log().sum() + 0.5 * math.log(2 * math.pi) * action.shape[-1]
    return -0.5 * ((action - mean) / std).square().sum(-1) - constant


def gaussian_kl(old_mean: Tensor, old_std: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """KL(old ‖ new) (…) of diagonal Gaussians with means (…, k) and std (k,)."""
    constant = ((std / old_std).log() + 0.5 * (old_std / std).square() - 0.5).sum()
    return 0.5 * ((old_mean - mean) / std).square().sum(-1) + constant
