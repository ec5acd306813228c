"""PPO's update: an actor-critic, improved from roll-outs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from isthmus_policies.algorithms.batch import Batch
from isthmus_policies.algorithms.gradients import WrittenOut
from isthmus_policies.algorithms.losses import Autograd, Backward, gaussian_log_prob
from isthmus_policies.algorithms.optimizer import in_one_piece, load_optimizer, optimizer_tensors
from isthmus_policies.algorithms.perception import Perception
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.algorithms.rollout import Rollout, advantages, values
from isthmus_policies.algorithms.symmetry import Reflection, Ties
from isthmus_policies.distributed import copy_first_, gathered, mean_
from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_policies.networks.normalizer import moments
from isthmus_policies.networks.policy import Tensors
from isthmus_sim.state_dicts import joined, part
from isthmus_sim.task import Mirror

_ROWS = 512
"""Images that are encoded at once: more do not fit into the cores' caches."""


class Learner:
    """Improves an `ActorCritic` from roll-outs: in every process of `distributed` the same one, from all of theirs."""

    def __init__(
        self,
        policy: ActorCritic,
        config: PPOConfig,
        generator: torch.Generator,
        mirror: Mapping[str, Mirror] | None = None,
    ) -> None:
        """mirror: The task's, for the symmetry. Raises ValueError where it or the policy lacks what that needs."""
        self.policy = policy
        self.config = config
        self.learning_rate = config.learning_rate
        self._generator = generator
        if policy.apart is not None and config.symmetry:
            raise ValueError(
                "what is learned apart from the actions cannot be kept symmetric: leave out the estimator's "
                "learning_rate, or the algorithm's symmetry"
            )
        self.perception = None if policy.apart is None else Perception(policy, policy.apart, generator)
        apart = set(self.perception.learned) if self.perception else set()
        self.parameters, self.gradient = in_one_piece([p for p in policy.parameters() if p not in apart])
        copy_first_(self.parameters.detach())
        self.optimizer = torch.optim.Adam([self.parameters], lr=config.learning_rate, fused=True)
        self.backward: Backward = (WrittenOut if WrittenOut.suits(policy) else Autograd)(policy, config)
        self._reflection: Reflection | None = None
        if config.symmetry:
            self._reflection = Reflection(mirror or {}, policy.sizes, self.parameters.device)
            self._ties = Ties(policy, self._reflection)
            self._ties.project_(self.parameters.detach())
        logged = ("kl", "surrogate", "value_loss", "clipped", *policy.auxiliary, "learning_rate", "std")
        self.columns = tuple(f"learner/{name}" for name in logged)

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Several epochs over the roll-out, then the normalisers take it in. Returns what to log, as `columns`."""
        batch = self._batch(rollout)
        c, first, last = self.config, *self.config.kl_target
        target = first + (last - first) * progress
        together = 0 if self.perception else len(self.policy.auxiliary)
        sums = torch.zeros(4 + together, device=rollout.reward.device)
        for _ in range(c.epochs):
            seen = torch.zeros_like(sums)
            for minibatch in batch.minibatches(c.minibatches, self._generator):
                seen += self._step(minibatch)
            sums += mean_(seen)
            # The one host synchronisation of an epoch: the learning rate is the optimiser's plain number.
            self._adapt(float(seen[0]) / c.minibatches, target)
        if self._reflection is not None:
            self._ties.project_(self.parameters.detach())  # the optimiser rounds what is alike in different ways
        losses = (sums / (c.epochs * c.minibatches)).tolist()
        if self.perception is not None:
            rows = {name: value.flatten(0, 1) for name, value in rollout.observations.items()}
            losses += self.perception.update(rows, progress).tolist()
        self._normalize(rollout)
        std = float(self.policy.std().detach().mean())
        return dict(zip(self.columns, (*losses, self.learning_rate, std), strict=True))

    @torch.no_grad()
    def _batch(self, rollout: Rollout) -> Batch:
        """The roll-out with advantages and value targets; as rows, unless the policy has a memory."""
        policy, c = self.policy, self.config
        now, next_value = values(policy, rollout)
        advantage = advantages(rollout.reward, now, next_value, rollout.terminated, rollout.done, c.gamma, c.lam)
        returns = advantage + now
        policy.rescale_value(gathered(moments(returns.reshape(-1, 1))), returns.numel())
        advantage = advantage - mean_(advantage.mean())
        advantage = advantage / (mean_(advantage.square().mean()).sqrt() + 1e-8)
        std = policy.std().clone()

        def laid_out(value: Tensor) -> Tensor:
            return value if policy.memory else value.flatten(0, 1)

        def normalized(value: Tensor) -> Tensor:
            return laid_out(policy.value_normalizer(value.unsqueeze(-1)).squeeze(-1))

        observations = {name: laid_out(rows) for name, rows in rollout.observations.items()}
        features = self._features(observations)
        if features is not None:
            observations = {name: observations[name] for name in policy.critic_groups}
        return Batch(
            observations=observations, features=features,
            memory=rollout.memory, done=laid_out(rollout.done), action=laid_out(rollout.action),
            mean=laid_out(rollout.mean), log_prob=laid_out(gaussian_log_prob(rollout.action, rollout.mean, std)),
            advantage=laid_out(advantage), value=normalized(now), returns=normalized(returns), old_std=std,
        )  # fmt: skip

    def _features(self, observations: Tensors) -> Tensor | None:
        """What the actor's encoder makes of them, some rows at a time; None where it learns with the actor."""
        if self.perception is None:
            return None
        names = self.policy.groups
        parts = zip(*(observations[name].split(_ROWS) for name in names), strict=True)
        return torch.cat([self.policy.actor_encoder(dict(zip(names, part, strict=True))) for part in parts])

    def _step(self, batch: Batch) -> Tensor:
        """One gradient step; what `Backward` returns."""
        losses = self.backward(batch)
        mean_(self.gradient)
        if self._reflection is not None:
            self._ties.project_(self.gradient)
        self.gradient *= (self.config.max_gradient_norm / (self.gradient.norm() + 1e-6)).clamp_(max=1.0)
        self.optimizer.step()
        return losses

    def _normalize(self, rollout: Rollout) -> None:
        """Let the normalisers take in the roll-out; with a symmetry, its mirror image too."""
        n = rollout.reward.numel()
        for name, normalizer in self.policy.normalizers():
            for mean, variance in gathered(moments(rollout.observations[name].flatten(0, 1).flatten(1))):
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
        """Set the learning rate of the next steps."""
        self.learning_rate = value
        for group in self.optimizer.param_groups:
            group["lr"] = value

    def state_dict(self) -> dict[str, Tensor]:
        """The optimiser and its learning rate."""
        rate = torch.tensor(self.learning_rate, dtype=torch.float64, device="cpu")
        apart = self.perception.state_dict() if self.perception else {}
        return {
            "learning_rate": rate,
            **optimizer_tensors(self.optimizer),
            **joined(perception=apart),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        own = {k: v for k, v in state.items() if k != "learning_rate" and not k.startswith("perception.")}
        load_optimizer(self.optimizer, own)
        if self.perception is not None:
            self.perception.load_state_dict(part(state, "perception"))
        self.set_learning_rate(float(state["learning_rate"]))
