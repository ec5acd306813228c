"""What happens to a raw reading between the sensor and the policy: noise, delay and dropped readings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_sim.description import SignalSpec
from isthmus_sim.rotations import turn_by

Signals = dict[str, Tensor]
"""Raw, robot-side readings of one control step: name -> (num_envs, size) float32, units and frames as in the
`SignalSpec`."""


class DelayLine:
    """Delays rows by a whole number of control steps, a different number for each world.

    Until a world has seen `delay` steps since its reset, it repeats the first row it saw.
    """

    def __init__(self, num_envs: int, size: int, max_delay: int, device: torch.device | str = "cpu") -> None:
        self.history = torch.zeros(max_delay + 1, num_envs, size, device=device)
        self.delay = torch.zeros(num_envs, dtype=torch.long, device=device)
        self._rows = torch.arange(num_envs, device=device)
        self._newest = 0

    @property
    def max_delay(self) -> int:
        return self.history.shape[0] - 1

    def reset(self, ids: Tensor, first: Tensor, delay: Tensor) -> None:
        """Start worlds `ids` (n,) anew: `first` (n, size) fills the line; `delay` (n,) steps in [0, max_delay]."""
        self.history[:, ids] = first
        self.delay[ids] = delay

    def push(self, row: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Take the newest (num_envs, size) and return the delayed one; a `dropped` (num_envs,) row repeats its
        predecessor."""
        if dropped is not None:
            row = torch.where(dropped[:, None], self.history[self._newest], row)
        if self.max_delay == 0:
            self.history[0] = row
            return row
        self._newest = (self._newest + 1) % self.history.shape[0]
        self.history[self._newest] = row
        return self.history[(self._newest - self.delay) % self.history.shape[0], self._rows]

    def state_dict(self) -> dict[str, Tensor]:
        return {"history": self.history, "delay": self.delay, "newest": torch.tensor(self._newest)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.history.copy_(state["history"])
        self.delay.copy_(state["delay"])
        self._newest = int(state["newest"])


@dataclass(frozen=True, kw_only=True)
class SensorModel:
    """How one signal is measured in simulation.

    noise: standard deviation per element, in the signal's unit (for an orientation: of each axis of a small turn, rad);
    bias: the same, drawn once per episode, as of a calibration; delay: fewest and most control steps that a reading is
    late, drawn per episode; drop: chance that a reading is lost and the one before it is seen again.
    """

    noise: float = 0.0
    bias: float = 0.0
    delay: tuple[int, int] = (0, 0)
    drop: float = 0.0


class Sensors:
    """Turns true readings into measured ones: bias and noise at the sensor, then dropped readings, then delay."""

    def __init__(
        self,
        specs: tuple[SignalSpec, ...],
        models: dict[str, SensorModel],
        num_envs: int,
        generator: torch.Generator,
    ) -> None:
        self.models = {spec.name: models.get(spec.name, SensorModel()) for spec in specs}
        self._turns = {spec.name for spec in specs if spec.order == ("w", "x", "y", "z")}
        self._generator = generator
        self._bias = {
            spec.name: torch.zeros(num_envs, 3 if spec.name in self._turns else spec.size, device=generator.device)
            for spec in specs
            if self.models[spec.name].bias > 0
        }
        self._lines = {
            spec.name: DelayLine(num_envs, spec.size, self.models[spec.name].delay[1], generator.device)
            for spec in specs
            if self.models[spec.name].delay[1] > 0 or self.models[spec.name].drop > 0
        }

    def measure(self, true: Signals) -> Signals:
        """Readings of this control step, every world: name -> (num_envs, size)."""
        noisy = {name: self._noisy(name, value, self._bias.get(name)) for name, value in true.items()}
        return {name: self._delayed(name, value) for name, value in noisy.items()}

    def reset(self, ids: Tensor, true: Signals) -> Signals:
        """Start worlds `ids` anew; their first readings, name -> (len(ids), size)."""
        for name, bias in self._bias.items():
            drawn = torch.empty(len(ids), bias.shape[1], device=ids.device)
            bias[ids] = drawn.normal_(0, self.models[name].bias, generator=self._generator)
        biases = {name: bias[ids] for name, bias in self._bias.items()}
        first = {name: self._noisy(name, value, biases.get(name)) for name, value in true.items()}
        for name, line in self._lines.items():
            low, high = self.models[name].delay
            delay = torch.randint(low, high + 1, (len(ids),), generator=self._generator, device=ids.device)
            line.reset(ids, first[name], delay)
        return first

    def _noisy(self, name: str, value: Tensor, bias: Tensor | None) -> Tensor:
        sigma, turns = self.models[name].noise, name in self._turns
        error = bias
        if sigma > 0:
            drawn = torch.empty(len(value), 3 if turns else value.shape[1], device=value.device)
            drawn.normal_(0, sigma, generator=self._generator)
            error = drawn if bias is None else drawn + bias
        if error is None:
            return value
        return turn_by(value, error) if turns else value + error

    def _delayed(self, name: str, value: Tensor) -> Tensor:
        if name not in self._lines:
            return value
        drop = self.models[name].drop
        lost = torch.rand(len(value), generator=self._generator, device=value.device) < drop if drop > 0 else None
        return self._lines[name].push(value, lost)

    def state_dict(self) -> dict[str, Tensor]:
        lines = {f"{name}.{k}": v for name, line in self._lines.items() for k, v in line.state_dict().items()}
        return lines | {f"{name}.bias": bias for name, bias in self._bias.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, line in self._lines.items():
            line.load_state_dict({k: state[f"{name}.{k}"] for k in ("history", "delay", "newest")})
        for name, bias in self._bias.items():
            bias.copy_(state[f"{name}.bias"])
