"""What happens to a command between the policy and the actuators: limits, as the robot side has them, and delay."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.engine import Commands
from isthmus_sim.specs import CommandSpec
from isthmus_sim.state_dicts import joined


class DelayLine:
    """Delays rows by a whole number of control steps, a different number for each world.

    Until a world has seen `delay` steps since its reset, it repeats the first row it saw.
    """

    def __init__(self, num_envs: int, size: int, max_delay: int, device: torch.device | str = "cpu") -> None:
        self.history = torch.zeros(max_delay + 1, num_envs, size, device=device)
        self.delay = torch.zeros(num_envs, dtype=torch.long, device=device)
        self._rows = torch.arange(num_envs, device=device)
        self._newest = 0

    def reset(self, ids: Tensor, first: Tensor, delay: Tensor) -> None:
        """Start worlds `ids` (n,) anew: `first` (n, size) fills the line; `delay` (n,) steps, at most the most."""
        self.history[:, ids] = first
        self.delay[ids] = delay

    def push(self, row: Tensor) -> Tensor:
        """Take the newest (num_envs, size) and return the delayed one."""
        if len(self.history) == 1:
            self.history[0] = row
            return row
        self._newest = (self._newest + 1) % len(self.history)
        self.history[self._newest] = row
        return self.history[(self._newest - self.delay) % len(self.history), self._rows]

    def state_dict(self) -> dict[str, Tensor]:
        return {"history": self.history, "delay": self.delay, "newest": torch.tensor(self._newest)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.history.copy_(state["history"])
        self.delay.copy_(state["delay"])
        self._newest = int(state["newest"])


class CommandLine:
    """All commands of a robot on their way to its actuators.

    Range and rate are limited here as the safety chain limits them on the robot, so that training sees the limits. All
    commands of a world have the same delay, drawn per episode between `delay_steps` (fewest, most).
    """

    def __init__(
        self,
        specs: tuple[CommandSpec, ...],
        delay_steps: tuple[int, int],
        num_envs: int,
        period_s: float,
        generator: torch.Generator,
    ) -> None:
        device = generator.device
        self._generator, self._delay_steps = generator, delay_steps
        self._bounds = {s.name: torch.tensor((s.minimum, s.maximum), device=device) for s in specs}
        self._change = {s.name: _largest_change(s, period_s, device) for s in specs}
        self._lines = {s.name: DelayLine(num_envs, s.size, delay_steps[1], device) for s in specs}
        self.sent: Commands = {s.name: torch.zeros(num_envs, s.size, device=device) for s in specs}
        """What was sent last, (num_envs, size) each."""

    def send(self, commands: Commands) -> tuple[Commands, Commands]:
        """What is sent of the wanted commands, and what acts now."""
        self.sent = {name: self._limited(name, value) for name, value in commands.items()}
        return self.sent, {name: self._lines[name].push(value) for name, value in self.sent.items()}

    def _limited(self, name: str, wanted: Tensor) -> Tensor:
        low, high = self._bounds[name]
        change, before = self._change[name], self.sent[name]
        limited = wanted.clamp(low, high)
        if change is not None:
            limited = limited.clamp(before - change, before + change)
        return limited

    def reset(self, ids: Tensor, standing: Commands) -> None:
        """Start worlds `ids` (n,) anew, as if `standing` (n, size) had been sent for long."""
        fewest, most = self._delay_steps
        delay = torch.randint(fewest, most + 1, (len(ids),), generator=self._generator, device=ids.device)
        standing = {name: value.clamp(*self._bounds[name]) for name, value in standing.items()}
        # What was sent stays with whoever was given it: the step that ended these worlds says what they were sent.
        self.sent = {name: self.sent[name].index_copy(0, ids, value) for name, value in standing.items()}
        for name, value in standing.items():
            self._lines[name].reset(ids, value, delay)

    def state_dict(self) -> dict[str, Tensor]:
        lines = {name: line.state_dict() for name, line in self._lines.items()}
        return joined(**lines) | {f"{name}.sent": value for name, value in self.sent.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, line in self._lines.items():
            line.load_state_dict({key: state[f"{name}.{key}"] for key in ("history", "delay", "newest")})
            self.sent[name] = state[f"{name}.sent"].clone()


def _largest_change(spec: CommandSpec, period_s: float, device: torch.device) -> Tensor | None:
    """Largest change (size,) in a control period; None where it covers the whole range and limits nothing."""
    change = torch.tensor(spec.max_rate, device=device) * period_s
    span = torch.tensor(spec.maximum, device=device) - torch.tensor(spec.minimum, device=device)
    return None if bool((change >= span).all()) else change
