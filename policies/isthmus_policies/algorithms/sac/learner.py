"""A gradient step of soft actor-critic: critics, then actor and temperature."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from isthmus_policies.algorithms.optimizer import in_one_piece, load_optimizer, optimizer_tensors
from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.replay import Transitions
from isthmus_policies.distributed import copy_first_, mean_
from isthmus_policies.networks.ensemble import Ensemble
from isthmus_policies.networks.policy import Tensors
from isthmus_policies.networks.squashed import SquashedActorCritic

LOGGED = ("critic_loss", "value", "entropy", "temperature")


class Part:
    """Parameters that learn together by Adam, in one piece of memory. In every process of `distributed` they are the
    same."""

    def __init__(self, parameters: list[nn.Parameter], learning_rate: float) -> None:
        self._each = parameters
        self.whole, self._gradient = in_one_piece(parameters)
        copy_first_(self.whole.detach())
        self.optimizer = torch.optim.Adam([self.whole], lr=learning_rate, fused=True)

    def descend(self, loss: Tensor) -> None:
        """A step along the loss's gradient by these parameters; that of no others is computed."""
        self._gradient.zero_()
        loss.backward(inputs=self._each)
        mean_(self._gradient)
        self.optimizer.step()


class Learner:
    """Improves a `SquashedActorCritic` from transitions, whoever took them (Haarnoja et al. 2018, "Soft Actor-Critic
    Algorithms and Applications")."""

    def __init__(
        self, policy: SquashedActorCritic, action_size: int, config: SACConfig, generator: torch.Generator
    ) -> None:
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
        self._target, _ = in_one_piece(list(self.target.parameters()))
        self._target.data.copy_(self.critics.whole.data)
        self._aim = config.target_entropy * action_size
        self._entropy = torch.zeros((), device=device)
        self.steps = 0

    @property
    def temperature(self) -> Tensor:
        """Worth of a nat of entropy, (1,)."""
        fixed = self.config.temperature
        learned = self._log_temperature.detach().exp()
        return learned if fixed is None else torch.full_like(learned, fixed)

    def step(self, batch: Transitions) -> Tensor:
        """A gradient step of the critics, and of actor and temperature when it is their turn. Returns `LOGGED`, (4,);
        the entropy is that of the actor's last step."""
        temperature = self.temperature
        loss, value = self._improve_critics(batch, temperature)
        if self.steps % self.config.actor_every == 0:
            self._improve_actor(batch, temperature)
        self.steps += 1
        return torch.stack((loss, value, self._entropy, temperature.squeeze()))

    def _improve_critics(self, batch: Transitions, temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Towards rewards and the target critics' value of what followed. Returns the loss and the mean value."""
        with torch.no_grad():
            action, log_prob = self.policy.sample(batch.next, self._noise(batch.action))
            future = self._least(self.target, batch.next, action) - temperature * log_prob
            aim = batch.reward + batch.discount * future
        values = self.policy.critics(self._read(batch.observations, batch.action))
        # Of each critic the mean over the batch, and the sum of these: each learns as if it were alone.
        loss = ((values - aim).square() * batch.known).sum() / len(aim)
        self.critics.descend(loss)
        self._target.data.lerp_(self.critics.whole.data, self.config.target_rate)
        return loss.detach(), values.detach().mean()

    def _improve_actor(self, batch: Transitions, temperature: Tensor) -> None:
        """Towards actions of more value, and of more entropy by what that is worth; the temperature up where there is
        less entropy than asked for."""
        action, log_prob = self.policy.sample(batch.observations, self._noise(batch.action))
        value = self._least(self.policy.critics, batch.observations, action)
        loss = (temperature * log_prob - value).mean()
        self._entropy = -log_prob.detach().mean()
        if self.config.temperature is None:
            loss = loss + self._log_temperature.squeeze() * (self._entropy - self._aim)
        self.actor.descend(loss)

    def _least(self, critics: Ensemble, observations: Tensors, action: Tensor) -> Tensor:
        """(n,): the least value among `minimum_of` critics."""
        values, few = critics(self._read(observations, action)), self.config.minimum_of
        if few < critics.members:
            drawn = torch.randperm(critics.members, generator=self._generator, device=values.device)
            values = values[drawn[:few]]
        return values.amin(0)

    def _read(self, observations: Tensors, action: Tensor) -> Tensor:
        return torch.cat((self.policy.critic_encoder(observations), action), dim=-1)

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
        parts = {"actor": self.actor, "critics": self.critics}
        optimizers = {name: optimizer_tensors(part.optimizer) for name, part in parts.items()}
        return own | {f"{name}.{key}": value for name, each in optimizers.items() for key, value in each.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Tensors) -> None:
        self._target.copy_(state["target"])
        self._log_temperature.copy_(state["log_temperature"])
        self._entropy.copy_(state["entropy"])
        self.steps = int(state["steps"])
        for name, part in (("actor.", self.actor), ("critics.", self.critics)):
            own = {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}
            load_optimizer(part.optimizer, own)
