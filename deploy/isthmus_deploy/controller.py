"""A policy in the safety chain, the same in simulation, in tests and on the robot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.chain import SafetyChain, Values
from isthmus_deploy.safety.commands.filter import GoalLimiter
from isthmus_deploy.safety.supervisor import TransitionError

FIRST = ""
"""What `PolicyController.select` calls the policy that drives first."""


class PolicyController(SafetyChain):
    """The chain that one runtime drives, out of those that were loaded. A goal that is plausible but was never asked in
    training is held to the trained range.

    Args:
        runtime: The loaded policy that drives first.
        others: Further ones for the same robot, by name, that may take its place.
        ramp_s: Time in which the policy takes over from the stand-by command, or from the policy before it.

    Raises:
        ValueError: one is a policy of chunks, or one of the others is not made for the same readings and commands.
    """

    def __init__(self, runtime: Runtime, *, others: Mapping[str, Runtime] | None = None, ramp_s: float = 0.3):
        others = others or {}
        for each in (runtime, *others.values()):
            if each.contract.chunk is not None:
                raise ValueError("a policy of chunks is not driven step by step: it reads windows and gives chunks")
        for name, other in others.items():
            _check_alike(name, runtime.contract, other.contract)
        super().__init__(runtime.contract, conditions=runtime.conditions(), ramp_s=ramp_s)
        self._ramp_ns = round(ramp_s * 1e9)
        self._drivers = {name: _Driver(each) for name, each in {FIRST: runtime, **others}.items()}
        self._driver = self._drivers[FIRST]
        self._leaving: _Driver | None = None
        self._selected_ns = 0

    @property
    def runtime(self) -> Runtime:
        """The policy that is run."""
        return self._driver.runtime

    @property
    def clamped_goals(self) -> int:
        """Steps since the start of the process in which a goal was outside what training asked, and was held to it."""
        return sum(driver.goals.clamped_steps for driver in self._drivers.values())

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell, by name."""
        return {**super().counters, "clamped_goals": self.clamped_goals}

    def start(self, now_ns: int) -> None:
        """ready → ramp-in: the policy starts with its memory reset. Raises TransitionError as the chain does."""
        super().start(now_ns)
        self._leaving = None
        self._driver.reset()

    def select(self, name: str, now_ns: int) -> None:
        """Let the policy of that name drive, or the `FIRST` one. While the robot is driven the commands pass from the
        one before to it in `ramp_s`, both being run, so that there is no bump. Its conditions hold at once.

        Raises:
            TransitionError: the one before is still being left.
        """
        if self._leaving is not None:
            raise TransitionError("cannot select a policy yet: the one before is still handing over")
        before, self._driver = self._driver, self._drivers[name]
        if self._driver is before:
            return
        self._driver.reset()
        self._conditions = self._driver.runtime.conditions()
        if self.state.driven:
            self._leaving, self._selected_ns = before, now_ns

    def tick(self, signals: Values, ages_s: Mapping[str, float], now_ns: int) -> Values:
        """One control period, driven by the policy: `drive` says what goes in and out."""
        return self.drive(signals, ages_s, now_ns, lambda: self._wanted(signals, now_ns))

    def _wanted(self, signals: Values, now_ns: int) -> Values:
        commands = self._driver.step(signals)
        if self._leaving is None:
            return commands
        past_ns = now_ns - self._selected_ns
        if past_ns >= self._ramp_ns:
            self._leaving = None
            return commands
        before, share = self._leaving.step(signals), past_ns / self._ramp_ns
        return {name: before[name] + share * (value - before[name]) for name, value in commands.items()}


class _Driver:
    """A policy, and the goals that it was trained for."""

    def __init__(self, runtime: Runtime):
        self.runtime, self.goals = runtime, GoalLimiter(runtime.contract)

    def reset(self) -> None:
        self.goals.reset()
        self.runtime.reset()

    def step(self, signals: Values) -> Values:
        return self.runtime.step(self.goals.apply(signals))


def _check_alike(name: str, first: Contract, other: Contract) -> None:
    """Raise ValueError where a policy needs what the first one does not: readings and limits are the first one's."""
    known = {signal.name: _untrained(signal) for signal in first.signals}
    differing = [item.name for item in other.signals if known.get(item.name) != _untrained(item)]
    for field in ("robot", "control_period_s", "commands"):
        differing += [field] if getattr(first, field) != getattr(other, field) else []
    if differing:
        raise ValueError(f"the policy {name} cannot take the first one's place: it differs in {', '.join(differing)}")


def _untrained(signal: Signal) -> Signal:
    """The signal without what training asked of it."""
    return dataclasses.replace(
        signal, trained_minimum=None, trained_maximum=None, trained_around=None, trained_latency_s=None, expires_s=None
    )
