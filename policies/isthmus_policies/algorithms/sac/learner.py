"""A gradient step of soft actor-critic: critics, then actor and temperature."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from isthmus_policies.algorithms.optimizer import in_one_piece, load_optimizer, optimizer_tensors
from isthmus_policies.algorithms.sac.config import OffPolicyConfig
from isthmus_policies.algorithms.sac.gradients import EnsembleGradient, squash_gradient
from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.algorithms.sac.shift import with_shifts
from isthmus_policies.distributed import copy_first_, mean_
from isthmus_policies.networks.cnn import Cnn
from isthmus_policies.networks.policy import Tensors
from isthmus_policies.networks.squashed import SquashedActorCritic, squash

LOGGED = ("critic_loss", "value", "entropy", "temperature")


class Part:
    """Parameters that learn together by Adam, in one piece of memory. In every process of `distributed` they are the
    same."""

    def __init__(self, parameters: list[nn.Parameter], learning_rate: float) -> None:
        self.whole, self.gradient = in_one_piece(parameters)
        copy_first_(self.whole.detach())
        self.optimizer = torch.optim.Adam([self.whole], lr=learning_rate, fused=True)

    def step(self) -> None:
        """A step along the gradient that was written."""
        mean_(self.gradient)
        self.optimizer.step()


class Learner:
    """Improves a `SquashedActorCritic` from transitions, whoever took them (Haarnoja et al. 2018, "Soft Actor-Critic
    Algorithms and Applications")."""

    logged = LOGGED
    """Names of what `step` returns."""

    def __init__(self, policy: SquashedActorCritic, config: OffPolicyConfig, generator: torch.Generator) -> None:
        """generator: Of everything that it draws. Raises ValueError for fewer critics than `minimum_of`."""
        if policy.critics.members < config.minimum_of:
            raise ValueError(
                f"the value is the least of minimum_of {config.minimum_of} critics, the policy has "
                f"{policy.critics.members}: take more (policy.critics) or a smaller minimum_of"
            )
        self.policy, self.config = policy, config
        self._generator = generator
        self.target = copy.deepcopy(policy.critics).requires_grad_(False)
        device = next(policy.critics.parameters()).device
        self._log_temperature = nn.Parameter(torch.tensor([math.log(config.initial_temperature)], device=device))
        actor = [*policy.actor_encoder.parameters(), *policy.actor.parameters()]
        # The temperature learns in the actor's step: an optimiser of its own would take as long as an actor.
        self.actor = Part([*actor, self._log_temperature], config.learning_rate)
        self.critics = Part(list(policy.critics.parameters()), config.learning_rate)
        self.parts = {"actor": self.actor, "critics": self.critics}
        self._target, _ = in_one_piece(list(self.target.parameters()))
        self._target.data.copy_(self.critics.whole)
        self._sees = any(isinstance(part, Cnn) for part in policy.actor_encoder.parts.values())
        self._aim = config.target_entropy * policy.action_size
        self._entropy = torch.zeros((), device=device)
        self._values = EnsembleGradient(policy.critics)
        self.steps = 0

    @property
    def temperature(self) -> Tensor:
        """Worth of a nat of entropy, (1,)."""
        fixed = self.config.temperature
        learned = self._log_temperature.detach().exp()
        return learned if fixed is None else torch.full_like(learned, fixed)

    def step(self, batch: Transitions) -> Tensor:
        """A gradient step of the critics, and of actor and temperature when it is their turn. Returns what is `logged`;
        the entropy is that of the actor's last step."""
        temperature = self.temperature
        if self._sees and self.config.image_shift:
            batch = with_shifts(batch, self.config.image_shift, self._generator)
        loss, value = self._improve_critics(batch, temperature)
        if self.steps % self.config.actor_every == 0:
            self._improve_actor(batch, temperature)
        self.steps += 1
        return torch.stack((loss, value, self._entropy, temperature.squeeze()))

    @torch.no_grad()
    def _improve_critics(self, batch: Transitions, temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Towards rewards and the target critics' value of what followed. Returns the loss and the mean value."""
        policy, n = self.policy, len(batch.action)
        action, log_prob = squash(policy.output(batch.next), self._noise(batch.action))
        values = self.target(policy.judged(batch.next, action))
        future = values.gather(0, self._least(values)).squeeze(0)
        aim = batch.reward + batch.discount * (future - temperature * log_prob)
        values = self._values.forward(policy.judged(batch.observations, batch.action))
        # Of each critic the mean square over the batch, and the sum of these: each learns as if it were alone.
        error = (values - aim) * batch.known
        self._values.by_weights(error * (2 / n))
        self.critics.step()
        self._target.lerp_(self.critics.whole, self.config.target_rate)
        return error.square().sum() / n, values.mean()

    def _improve_actor(self, batch: Transitions, temperature: Tensor) -> None:
        """Towards actions of more value, and of more entropy by what that is worth; the temperature up where there is
        less entropy than asked for."""
        self.actor.gradient.zero_()
        output = self._outputs(batch.observations)
        n, noise = len(output), self._noise(output[:, : self.policy.action_size])
        with torch.no_grad():
            action, log_prob = squash(output, noise)
            values = self._values.forward(self._judged(batch.observations, output, action))
            by_value = torch.zeros_like(values).scatter_(0, self._least(values), -1 / n)
            by_action = self._values.by_last(by_value, self.policy.action_size)
            self._entropy = -log_prob.mean()
            by_output = squash_gradient(output, noise, action, by_action, temperature / n)
        output.backward(by_output)
        if self.config.temperature is None:
            assert self._log_temperature.grad is not None
            self._log_temperature.grad.fill_(self._entropy - self._aim)
        self.actor.step()

    def _outputs(self, observations: Tensors) -> Tensor:
        """What the actor gives that is to be improved, (m, 2 action_size)."""
        return self.policy.output(observations)

    def _judged(self, observations: Tensors, output: Tensor, action: Tensor) -> Tensor:
        """What the critics read of each action (m, action_size) that was drawn by the actor's output."""
        return self.policy.judged(observations, action)

    def _least(self, values: Tensor) -> Tensor:
        """(1, n): of the values (members, n), which is the least among `minimum_of` critics."""
        few, members = self.config.minimum_of, len(values)
        if few == members:
            return values.argmin(0, keepdim=True)
        drawn = torch.randperm(members, generator=self._generator, device=values.device)[:few]
        return drawn[values[drawn].argmin(0, keepdim=True)]

    def _noise(self, like: Tensor) -> Tensor:
        return torch.empty_like(like).normal_(generator=self._generator)

    def state_dict(self) -> Tensors:
        """Target critics, temperature, optimisers."""
        own = {
            "target": self._target.detach(),
            "log_temperature": self._log_temperature.detach(),
            "entropy": self._entropy,
            "steps": torch.tensor(self.steps, device="cpu"),
        }
        optimizers = {name: optimizer_tensors(part.optimizer) for name, part in self.parts.items()}
        return own | {f"{name}.{key}": value for name, each in optimizers.items() for key, value in each.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Tensors) -> None:
        self._target.copy_(state["target"])
        self._log_temperature.copy_(state["log_temperature"])
        self._entropy.copy_(state["entropy"])
        self.steps = int(state["steps"])
        for name, part in self.parts.items():
            prefix = f"{name}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            load_optimizer(part.optimizer, own)
