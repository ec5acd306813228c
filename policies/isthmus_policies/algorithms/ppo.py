"""Proximal policy optimisation (Schulman et al. 2017) with clipped value loss and a learning rate that follows the
KL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus_policies.algorithms.gradients import NetworkGradient, clipped_surrogate, clipped_value_loss, log_normalizer
from isthmus_policies.algorithms.rollout import Rollout, advantages, values
from isthmus_policies.algorithms.symmetry import Reflection, Ties
from isthmus_policies.networks.actor_critic import ActorCritic, RunningNormalizer, moments
from isthmus_policies.training.distributed import copy_first_, gathered, mean_
from isthmus_sim.task import Mirror


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
    symmetry: bool = False
    """Whether the policy is its own mirror image, left and right, by ties between its weights (`symmetry.Ties`). They
    leave √½ of the weights' size at the start."""


class PPO:
    """Improves an `ActorCritic` from roll-outs: in every process of `distributed` the same one, from all of theirs."""

    def __init__(
        self,
        policy: ActorCritic,
        config: PPOConfig,
        generator: torch.Generator,
        mirror: Mapping[str, Mirror] | None = None,
    ) -> None:
        """mirror: the task's, for the symmetry. Raises ValueError where it or the policy lacks what that needs."""
        self.policy = policy
        self.config = config
        self.learning_rate = config.learning_rate
        self._generator = generator
        self.parameters, self.gradient = in_one_piece(list(policy.parameters()))
        copy_first_(self.parameters.detach())
        self.optimizer = torch.optim.Adam([self.parameters], lr=config.learning_rate, fused=True)
        self._actor, self._critic = NetworkGradient(policy.actor), NetworkGradient(policy.critic)
        self._reflection: Reflection | None = None
        if config.symmetry:
            self._reflection = Reflection(mirror or {}, policy.sizes, self.parameters.device)
            self._ties = Ties(policy, self._reflection)
            self._ties.hold_(self.parameters.detach())

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """One iteration: several epochs over the roll-out, then the normalisers take it in. Returns what to log."""
        batch = self._batch(rollout)
        first, last = self.config.kl_target
        target = first + (last - first) * progress
        sums = torch.zeros(4, device=rollout.reward.device)
        for _ in range(self.config.epochs):
            seen = torch.zeros_like(sums)
            for minibatch in self._minibatches(batch):
                seen += self._step(minibatch)
            sums += mean_(seen)
            # The one host synchronisation of an epoch: the learning rate is the optimiser's plain number.
            self._adapt(float(seen[0]) / self.config.minibatches, target)
        if self._reflection is not None:
            self._ties.hold_(self.parameters.detach())  # the optimiser rounds what is alike in different ways
        self._show("actor", self.policy.actor_normalizer, rollout.actor)
        self._show("critic", self.policy.critic_normalizer, rollout.critic)
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
        """The roll-out flattened to (T·N, ...), with advantages and value targets."""
        policy, c = self.policy, self.config
        now, following = values(policy, rollout)
        gain = advantages(rollout.reward, now, following, rollout.terminated, rollout.done, c.gamma, c.lam)
        returns = (gain + now).reshape(-1, 1)
        policy.rescale_value(returns)
        gain = gain - mean_(gain.mean())
        return {
            "actor": rollout.actor.flatten(0, 1),
            "critic": rollout.critic.flatten(0, 1),
            "action": rollout.action.flatten(0, 1),
            "mean": rollout.mean.flatten(0, 1),
            "log_prob": gaussian_log_prob(rollout.action, rollout.mean, policy.std()).flatten(),
            "advantage": (gain / (mean_(gain.square().mean()).sqrt() + 1e-8)).flatten(),
            "return": policy.value_normalizer(returns).squeeze(-1),
            "value": policy.value_normalizer(now.reshape(-1, 1)).squeeze(-1),
            "old_std": policy.std().clone(),
        }

    def _minibatches(self, batch: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """A fresh permutation of the batch, cut into equal parts."""
        n, device = len(batch["action"]), batch["action"].device
        order = torch.randperm(n, generator=self._generator, device=device)
        size = n // self.config.minibatches
        for rows in order[: size * self.config.minibatches].split(size):
            yield {name: value if name == "old_std" else value.index_select(0, rows) for name, value in batch.items()}

    @torch.no_grad()
    def _step(self, batch: dict[str, Tensor]) -> Tensor:
        """One gradient step; (kl, surrogate, value loss, share of clipped ratios)."""
        policy, c = self.policy, self.config
        mean, std = self._actor.forward(policy.actor_normalizer(batch["actor"])), policy.std()
        policy_loss = clipped_surrogate(batch["action"], mean, std, batch["log_prob"], batch["advantage"], c.clip)
        self._actor.backward(policy_loss.by_mean)
        torch.mul(policy_loss.by_log_std - c.entropy_weight, policy.std_moves(), out=policy.log_std.grad)

        value = self._critic.forward(policy.critic_normalizer(batch["critic"])).squeeze(-1)
        value_loss, by_value = clipped_value_loss(value, batch["value"], batch["return"], c.clip)
        self._critic.backward((c.value_weight * by_value).unsqueeze(-1))

        mean_(self.gradient)
        if self._reflection is not None:
            self._ties.hold_(self.gradient)
        self.gradient *= (c.max_gradient_norm / (self.gradient.norm() + 1e-6)).clamp_(max=1.0)
        self.optimizer.step()
        kl = gaussian_kl(batch["mean"], batch["old_std"], mean, std)
        return torch.stack((kl.mean(), policy_loss.loss, value_loss, policy_loss.clipped))

    def _show(self, name: str, normalizer: RunningNormalizer, rows: Tensor) -> None:
        """Let a normaliser take in a group's rows (T, N, size); with a symmetry, their mirror images too."""
        n = rows.shape[0] * rows.shape[1]
        for mean, variance in gathered(moments(rows.flatten(0, 1))):
            normalizer.merge(mean, variance, n)
            if self._reflection is not None:
                normalizer.merge(self._reflection(name, mean), self._reflection.variance(name, variance), n)

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


def in_one_piece(parameters: list[nn.Parameter]) -> tuple[nn.Parameter, Tensor]:
    """One parameter that holds all of them, and its gradient: they become views of it, their gradients of its. So one
    operation reaches everything."""
    whole = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    whole.grad = torch.zeros_like(whole)
    sizes = [parameter.numel() for parameter in parameters]
    values, gradients = whole.detach().split(sizes), whole.grad.split(sizes)
    for parameter, value, gradient in zip(parameters, values, gradients, strict=True):
        parameter.data = value.view_as(parameter)
        parameter.grad = gradient.view_as(parameter)
    return whole, whole.grad


def gaussian_log_prob(action: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Log-density (…) of actions (…, k) under a diagonal Gaussian with std (k,)."""
    return -0.5 * ((action - mean) / std).square().sum(-1) - log_normalizer(std)


def gaussian_kl(old_mean: Tensor, old_std: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """KL(old ‖ new) (…) of diagonal Gaussians with means (…, k) and std (k,)."""
    constant = ((std / old_std).log() + 0.5 * (old_std / std).square() - 0.5).sum()
    return 0.5 * ((old_mean - mean) / std).square().sum(-1) + constant
