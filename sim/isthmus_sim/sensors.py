"""What happens to a raw reading between the sensor and the policy: noise, rate, latency, jitter and lost messages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_sim.rotations import turn_by
from isthmus_sim.specs import SignalSpec
from isthmus_sim.state_dicts import joined

Signals = dict[str, Tensor]
"""Raw, robot-side readings of one control step: name -> (num_envs, *shape), units and frames as in the `SignalSpec`."""

AGE_FRAME = "age"
"""The frame of a signal that is the age (s) of its sensor's readings: a stamp, as a policy can use it."""

_QUATERNION = ("w", "x", "y", "z")
_JITTERS = 3.0  # standard deviations of jitter at which it is cut
_ROUNDING = 1e-3  # of a control step: what times are off by


@dataclass(frozen=True, kw_only=True)
class SensorModel:
    """How the messages of one sensor come; all its readings are late together."""

    rate_hz: float | None = None
    """Samples per second; None for a sensor that is read whenever the policy acts."""
    latency_s: tuple[float, float] = (0.0, 0.0)
    """Least and most time from sample to arrival, s, drawn evenly per episode."""
    jitter_s: float = 0.0
    """How much later than that a message is, s: the size of a normal deviation with this standard one, cut at three
    times it. A message never overtakes the one before it."""
    drop: float = 0.0
    """Chance that a message is lost and the one before it is seen again."""

    def __post_init__(self) -> None:
        low, high = self.latency_s
        if not 0.0 <= low <= high or self.jitter_s < 0.0:
            raise ValueError(f"a latency of {self.latency_s} s with a jitter of {self.jitter_s} s: no message is early")
        if not 0.0 <= self.drop < 1.0 or (self.rate_hz is not None and self.rate_hz <= 0.0):
            raise ValueError(f"drop must lie in [0, 1) and rate_hz be positive, got {self.drop} and {self.rate_hz}")

    @property
    def timed(self) -> bool:
        """Whether a reading may be of an earlier instant than now."""
        return self.rate_hz is not None or self.latency_s[1] > 0.0 or self.jitter_s > 0.0 or self.drop > 0.0

    @property
    def longest_s(self) -> float:
        """Time from an instant to the arrival of the first message that is not older, s, at most and if none is
        lost."""
        return self.latency_s[1] + _JITTERS * self.jitter_s + (1.0 / self.rate_hz if self.rate_hz else 0.0)


@dataclass(frozen=True, kw_only=True)
class SignalNoise:
    """How wrong one signal is."""

    noise: float = 0.0
    """Standard deviation per element, in the signal's unit; for an orientation of each axis of a small turn, rad."""
    bias: float = 0.0
    """The same, drawn once per episode, as of a calibration."""
    lag_s: tuple[float, float] = (0.0, 0.0)
    """Least and most time, s, by which an estimate lags behind its message's other readings, drawn per episode."""

    def __post_init__(self) -> None:
        low, high = self.lag_s
        if self.noise < 0.0 or self.bias < 0.0 or not 0.0 <= low <= high:
            raise ValueError(
                f"noise and bias must not be negative and lag_s rise from 0 on, got {self.noise}, {self.bias} and "
                f"{self.lag_s}"
            )


def longest_latency(
    specs: tuple[SignalSpec, ...], sensors: Mapping[str, SensorModel], noise: Mapping[str, SignalNoise]
) -> float:
    """Longest time from an instant until the policy reads it in every signal, s."""

    def late(spec: SignalSpec) -> float:
        return sensors.get(spec.sensor, SensorModel()).longest_s + noise.get(spec.name, SignalNoise()).lag_s[1]

    return max((late(spec) for spec in specs), default=0.0)


class Sensors:
    """Turns the true values of all signals into measured ones.

    Between two control steps the true value is taken to move linearly; an image is that of the step before. A reading
    keeps its noise until the next one arrives.

    Raises:
        ValueError: a sensor or a signal that the robot does not have, or noise on an image.
    """

    def __init__(
        self,
        specs: tuple[SignalSpec, ...],
        models: Mapping[str, SensorModel],
        noise: Mapping[str, SignalNoise],
        num_envs: int,
        period_s: float,
        generator: torch.Generator,
    ) -> None:
        _refuse_unknown("sensors", models, {spec.sensor for spec in specs})
        _refuse_unknown("noise", noise, {spec.name for spec in specs if spec.dtype == "float32"})
        device = generator.device
        self._generator, self._no_age = generator, torch.zeros(num_envs, 1, device=device)
        self.noise = {spec.name: noise.get(spec.name, SignalNoise()) for spec in specs}
        self._turns = {spec.name for spec in specs if spec.order == _QUATERNION}
        self._bias = {
            spec.name: torch.zeros(num_envs, *((3,) if spec.name in self._turns else spec.shape), device=device)
            for spec in specs
            if self.noise[spec.name].bias > 0.0
        }
        self._lines: dict[str, MessageLine] = {}
        self._sensor = {spec.name: spec.sensor for spec in specs}
        self._ages = {spec.name for spec in specs if spec.frame == AGE_FRAME}
        for sensor in dict.fromkeys(spec.sensor for spec in specs):
            mine = [spec for spec in specs if spec.sensor == sensor and spec.name not in self._ages]
            model, lags = models.get(sensor, SensorModel()), [self.noise[spec.name].lag_s[1] for spec in mine]
            if model.timed or any(lags):
                self._lines[sensor] = MessageLine(model, mine, self.noise, num_envs, period_s, generator)

    def measure(self, true: Signals) -> Signals:
        """Readings of this control step, every world: of the true values, and ages (s) beside them."""
        measured = {
            name: self._noisy(name, value, self._bias.get(name))
            for name, value in true.items()
            if self._sensor[name] not in self._lines
        }
        for line in self._lines.values():
            arrived = line.advance(true)
            sampled = {name: self._noisy(name, line.sample(name, true), self._bias.get(name)) for name in line.names}
            measured |= line.hold(arrived, sampled)
        return {name: measured[name] for name in true} | self._read_ages()

    def reset(self, ids: Tensor, true: Signals) -> Signals:
        """Start worlds `ids` anew; their first readings, name -> (len(ids), *shape)."""
        for name, bias in self._bias.items():
            drawn = torch.empty(len(ids), *bias.shape[1:], device=ids.device)
            bias[ids] = drawn.normal_(0, self.noise[name].bias, generator=self._generator)
        biases = {name: bias[ids] for name, bias in self._bias.items()}
        first = {name: self._noisy(name, value, biases.get(name)) for name, value in true.items()}
        for line in self._lines.values():
            line.reset(ids, true, first)
        return first | {name: torch.zeros(len(ids), 1, device=ids.device) for name in self._ages}

    def _read_ages(self) -> Signals:
        lines = {name: self._lines.get(self._sensor[name]) for name in self._ages}
        return {name: line.age().unsqueeze(-1) if line else self._no_age for name, line in lines.items()}

    def _noisy(self, name: str, value: Tensor, bias: Tensor | None) -> Tensor:
        sigma, turns = self.noise[name].noise, name in self._turns
        error = bias
        if sigma > 0:
            drawn = torch.empty(len(value), *((3,) if turns else value.shape[1:]), device=value.device)
            drawn.normal_(0, sigma, generator=self._generator)
            error = drawn if bias is None else drawn + bias
        if error is None:
            return value
        return turn_by(value, error) if turns else value + error

    def state_dict(self) -> dict[str, Tensor]:
        """Messages on their way and biases: what the next readings depend on beside the generator."""
        lines = {name: line.state_dict() for name, line in self._lines.items()}
        return joined(**lines) | {f"{name}.bias": bias for name, bias in self._bias.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` gave."""
        for name, line in self._lines.items():
            for key, live in line.state_dict().items():
                live.copy_(state[f"{name}.{key}"])
        for name, bias in self._bias.items():
            bias.copy_(state[f"{name}.bias"])


@dataclass(kw_only=True)
class _Instant:
    """An instant of each world between two control steps: their rows in a history, and the share of the way from the
    later to the earlier one."""

    later: Tensor
    earlier: Tensor
    share: Tensor


class MessageLine:
    """The messages of one sensor on their way, and the true values of the last control steps that they are of.

    Times are s since a world's reset, (num_envs,). `history` per signal that is read late: (steps, num_envs, *shape),
    in a ring.
    """

    def __init__(
        self,
        model: SensorModel,
        specs: list[SignalSpec],
        noise: Mapping[str, SignalNoise],
        num_envs: int,
        period_s: float,
        generator: torch.Generator,
    ) -> None:
        self.model, self.names = model, [spec.name for spec in specs]
        self._noise, self._period_s, self._generator = noise, period_s, generator
        self._turns = {spec.name for spec in specs if spec.order == _QUATERNION}
        lag = max((noise[spec.name].lag_s[1] for spec in specs), default=0.0)
        self._steps = math.ceil((model.longest_s + lag) / period_s) + 2
        device = generator.device

        def zeros() -> Tensor:
            return torch.zeros(num_envs, device=device)

        def rows(spec: SignalSpec, *steps: int) -> Tensor:
            return torch.zeros(*steps, num_envs, *spec.shape, dtype=getattr(torch, spec.dtype), device=device)

        self.held = {spec.name: rows(spec) for spec in specs}
        self.lag = {spec.name: zeros() for spec in specs if noise[spec.name].lag_s[1] > 0.0}
        self._late = model.longest_s > 0.0
        self.history = {spec.name: rows(spec, self._steps) for spec in specs if self._late or spec.name in self.lag}
        self.time, self.latency, self.jitter, self.phase = zeros(), zeros(), zeros(), zeros()
        self.sampled, self.newest_sample = zeros(), zeros()  # of what is read; of what arrived or was lost
        self.newest = torch.zeros((), dtype=torch.long)
        self._worlds = torch.arange(num_envs, device=device)

    def reset(self, ids: Tensor, true: Signals, first: Signals) -> None:
        """Start worlds `ids` anew: nothing is on its way, and the first reading is of now."""
        for time in (self.time, self.sampled, self.newest_sample):
            time[ids] = 0.0
        if self._late:
            self.latency[ids] = self._even(self.model.latency_s, len(ids))
            self.jitter[ids] = self._lateness(len(ids))
        if self.model.rate_hz:
            self.phase[ids] = -self._even((0.0, 1.0 / self.model.rate_hz), len(ids))
        for name, lag in self.lag.items():
            lag[ids] = self._even(self._noise[name].lag_s, len(ids))
        for name, history in self.history.items():
            history[:, ids] = true[name]
        for name in self.names:
            self.held[name] = self.held[name].index_copy(0, ids, first[name])

    def advance(self, true: Signals) -> Tensor:
        """A control step has passed: (num_envs,) bool, in which worlds a newer message than before has arrived."""
        self.time += self._period_s
        self.newest.copy_((self.newest + 1) % self._steps)
        newest = int(self.newest)
        for name, history in self.history.items():
            history[newest] = true[name]
        if self._late:
            sample, due = self._next_message()
            arrived = due & ~self._lost(len(due))
        else:  # a message a step, of now
            sample, arrived = self.time, ~self._lost(len(self.time))
        self.sampled = torch.where(arrived, sample, self.sampled)
        if self.history:
            self._past = self._instant(self.time - self.sampled)
        return arrived

    def _next_message(self) -> tuple[Tensor, Tensor]:
        """When the newest message was sampled, and whether it is newer than that of the step before, (num_envs,)."""
        sample = self.time - self.latency - self.jitter
        if self.model.rate_hz:
            sample = self.phase + ((sample - self.phase) * self.model.rate_hz).floor() / self.model.rate_hz
        due = sample > self.newest_sample
        self.newest_sample = torch.where(due, sample, self.newest_sample)
        self.jitter = torch.where(due, self._lateness(len(due)), self.jitter)  # the next message has its own
        return sample, due

    def _lateness(self, n: int) -> Tensor:
        if self.model.jitter_s == 0.0:
            return torch.zeros(n, device=self.time.device)
        deviation = torch.empty(n, device=self.time.device).normal_(0, self.model.jitter_s, generator=self._generator)
        return deviation.abs().clamp_max(_JITTERS * self.model.jitter_s)

    def _lost(self, n: int) -> Tensor:
        if self.model.drop == 0.0:
            return torch.zeros(n, dtype=torch.bool, device=self.time.device)
        return torch.rand(n, generator=self._generator, device=self.time.device) < self.model.drop

    def _instant(self, past: Tensor) -> _Instant:
        """That of `past` s ago, (num_envs,)."""
        back = (past / self._period_s).clamp(0.0, self._steps - 1.001)
        whole = back.long()
        later = int(self.newest) - whole
        return _Instant(later=later % self._steps, earlier=(later - 1) % self._steps, share=back - whole)

    def sample(self, name: str, true: Signals) -> Tensor:
        """True values (num_envs, *shape) at the instants of the newest messages; they count where one has arrived.
        `true`: those of now."""
        if name not in self.history:
            return true[name]
        past = self._instant(self.time - self.sampled + self.lag[name]) if name in self.lag else self._past
        later, earlier = (self.history[name][step, self._worlds] for step in (past.later, past.earlier))
        if later.dtype == torch.uint8:
            return torch.where(_rows(past.share > _ROUNDING, later), earlier, later)
        share = _rows(past.share, later)
        if name in self._turns:  # a quaternion and its negative are the same: the nearer one is meant
            earlier = torch.where((later * earlier).sum(-1, keepdim=True) >= 0.0, earlier, -earlier)
            return torch.nn.functional.normalize(torch.lerp(later, earlier, share), dim=-1)
        return torch.lerp(later, earlier, share)

    def hold(self, arrived: Tensor, sampled: Signals) -> Signals:
        """What is read now: the sampled values where they have arrived, else what was read before."""
        for name, value in sampled.items():
            self.held[name] = torch.where(_rows(arrived, value), value, self.held[name])
        return dict(self.held)

    def age(self) -> Tensor:
        """(num_envs,) s: how old the readings are."""
        return self.time - self.sampled

    def _even(self, bounds: tuple[float, float], n: int) -> Tensor:
        low, high = bounds
        return low + (high - low) * torch.rand(n, generator=self._generator, device=self._generator.device)

    def state_dict(self) -> dict[str, Tensor]:
        times = ("time", "sampled", "newest_sample", "latency", "jitter", "phase", "newest")
        return {
            **{name: getattr(self, name) for name in times},
            **joined(history=self.history, held=self.held, lag=self.lag),
        }


def _rows(per_world: Tensor, like: Tensor) -> Tensor:
    """(n,) with axes of length 1 behind, to go with rows (n, *shape)."""
    return per_world.reshape(-1, *(1,) * (like.ndim - 1))


def _refuse_unknown(what: str, given: Mapping[str, object], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"{what}: the robot has no {', '.join(unknown)}; it has: {', '.join(sorted(known))}")
