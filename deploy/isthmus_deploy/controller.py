"""Policies in the safety chain, the same in simulation, in tests and on the robot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.drivers.driver import Driver
from isthmus_deploy.safety.chain import SafetyChain, Values
from isthmus_deploy.safety.commands.filter import DriverFailed
from isthmus_deploy.safety.monitor import OnAlarm, check_rule, heed
from isthmus_deploy.safety.supervisor import State, TransitionError


class PolicyController(SafetyChain):
    """The chain that one of several policies drives, each of any kind. `start` begins its episode; until it has
    something to command, as a policy of chunks before its first chunk, stand-by goes on.

    `select` lets another take its place. While the robot is driven, the one before drives on until the other has
    something to command; from then on that one drives, its conditions hold and its monitor judges, and the commands
    pass to it in `ramp_s`, both being run, so that there is no bump. **One that has nothing in its own time** (a first
    chunk that does not come within its horizon, an inference that raises) **does not take over**: the one before, of
    which nothing bad is known, drives on, and `alarm` says why. Once it drives, what it lacks is a fault, and so is
    what the one before lacks while it still has a share.

    Args:
        drivers: Who may drive, by name. The first one does at first, and its contract says what readings and commands
            are held to.
        ramp_s: Time in which a policy takes over from the stand-by command, or from the policy before it.
        on_alarm: What is done when the monitor of the policy that drives says that it is out of its depth.

    Raises:
        ValueError: one is not made for the same robot, readings and commands, or an alarm cannot do what it shall.
    """

    def __init__(self, drivers: Mapping[str, Driver], *, ramp_s: float = 0.3, on_alarm: OnAlarm = "tell"):
        first = next(iter(drivers.values()))
        for name, driver in drivers.items():
            _check_alike(name, first.contract, driver.contract)
            check_rule(on_alarm, name, driver.contract)
        super().__init__(first.contract, conditions=first.conditions(), ramp_s=ramp_s)
        self.contract = first.contract
        """Says what readings and commands are held to."""
        self.drivers = dict(drivers)
        """Who may drive, by name."""
        self.ramp_s = ramp_s
        """Time in which a policy takes over."""
        self._ramp_ns = round(ramp_s * 1e9)
        self._on_alarm: OnAlarm = on_alarm
        self._driver = first
        self._coming: Driver | None = None
        self._leaving: Driver | None = None
        self._taken_over_ns = 0
        self._not_taken_over = ""

    @property
    def driver(self) -> Driver:
        """Who drives, or does from the next start on."""
        return self._driver

    @property
    def selected(self) -> Driver:
        """Who is to drive: another one than who does while that has nothing to command yet."""
        return self._coming or self._driver

    @property
    def alarm(self) -> str | None:
        """Why whoever drives should not be relied on, while it drives on all the same: what its monitor says, or why
        the one that was selected last did not take its place."""
        monitor = self._driver.monitor
        return monitor.cause if monitor is not None and monitor.alarm else self._not_taken_over or None

    @property
    def clamped_goals(self) -> int:
        """Steps since the start of the process in which a goal was outside what training asked, and was held to it."""
        return sum(driver.clamped_goals for driver in self.drivers.values())

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell of the chain and of who drives, by name."""
        told = {"policy": self._name(self._driver), "clamped_goals": self.clamped_goals}
        return {**super().counters, **told, **self._driver.counters}

    def start(self, now_ns: int) -> None:
        """ready → ramp-in: an episode begins. Raises TransitionError as the chain does."""
        self._settle()
        super().start(now_ns)
        self._not_taken_over = ""
        self._driver.begin()

    def select(self, name: str) -> None:
        """Let the policy of that name drive: from the next start on, or while driven as soon as it can, unless the one
        that drives is selected before.

        Raises:
            TransitionError: the one before is still being left.
        """
        self._settle()
        if self._leaving is not None:
            raise TransitionError("cannot select a policy yet: the one before is still handing over")
        driver, self._not_taken_over = self.drivers[name], ""
        if driver is self.selected:
            return
        if not self.state.driven:
            self._hand_to(driver)
        elif driver is self._driver:
            self._coming = None
        else:
            self._coming = driver
            driver.begin()

    def tick(self, signals: Values, ages_s: Mapping[str, float], now_ns: int) -> Values:
        """One control period, driven by the policy: `drive` says what goes in and out."""
        self._settle()
        try:
            self._watch(now_ns)
        except DriverFailed as error:
            if self.state.driven:
                self.fault(now_ns, str(error))
        return self.drive(signals, ages_s, now_ns, lambda: self._wanted(signals, now_ns))

    def close(self) -> bool:
        """End what the drivers run beside the loop. Returns False where one hangs; it ends with the process."""
        ended = [driver.close() for driver in self.drivers.values()]
        return all(ended)

    def _settle(self) -> None:
        """Where the robot is not driven, nobody hands over: who was selected drives from the next start on."""
        if self.state.driven:
            return
        self._leaving = None
        if self._coming is not None:
            self._hand_to(self._coming)

    def _hand_to(self, driver: Driver) -> None:
        self._driver, self._coming = driver, None
        self._conditions = driver.conditions()

    def _watch(self, now_ns: int) -> None:
        """Heed what the monitor says of who drives. Raises DriverFailed where it cannot say anything."""
        driver = self._driver
        while (scores := driver.take_scores()) is not None:
            if driver.monitor is not None and self.state in (State.RAMP_IN, State.RUNNING):
                driver.monitor.see(scores)
                heed(self, driver.monitor, self._on_alarm, now_ns)

    def _wanted(self, signals: Values, now_ns: int) -> Values | None:
        commands = None if self._coming is None else self._come(self._coming, signals, now_ns)
        if commands is None:
            commands = self._driver.wanted(signals, now_ns)
        return None if commands is None else self._blended(commands, signals, now_ns)

    def _come(self, coming: Driver, signals: Values, now_ns: int) -> Values | None:
        """What the one that was selected wants, with which it takes over; None where it has nothing yet, or never will
        have."""
        try:
            commands = coming.wanted(signals, now_ns)
        except DriverFailed as error:
            self._not_taken_over = f"the policy {self._name(coming)} did not take over: {error}"
            self._coming = None
            return None
        if commands is not None:
            self._leaving, self._taken_over_ns = self._driver, now_ns
            self._hand_to(coming)
        return commands

    def _blended(self, commands: Values, signals: Values, now_ns: int) -> Values:
        """The commands, with the share that the policy before still has."""
        past_ns = now_ns - self._taken_over_ns
        if self._leaving is None or past_ns >= self._ramp_ns:
            self._leaving = None
            return commands
        before = self._leaving.wanted(signals, now_ns)
        if before is None:  # stand-by goes on, and the ramp from there begins only now
            self._leaving = None
            return commands
        share = past_ns / self._ramp_ns
        return {name: before[name] + share * (value - before[name]) for name, value in commands.items()}

    def _name(self, driver: Driver) -> str:
        return next(name for name, each in self.drivers.items() if each is driver)


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
