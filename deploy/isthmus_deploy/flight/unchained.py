"""Who drives, without the chain around it: for replaying what it wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.choice import driver_of
from isthmus_deploy.policy.chunk_inference import InLoop, Made
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.chain import SafetyChain, Values
from isthmus_deploy.safety.commands.filter import DriverFailed
from isthmus_deploy.safety.supervisor import State


class _NoChain(SafetyChain):
    """It can always be started, and a tick gives what the driver wants, or nothing where it has none."""

    started = False

    @property
    def state(self) -> State:
        return State.RUNNING if self.started else State.READY

    def start(self, now_ns: int) -> None:
        self.started = True

    def drive(
        self, signals: Values, ages_s: Mapping[str, float], now_ns: int, wanted: Callable[[], Values | None]
    ) -> Values:
        try:
            return wanted() or {}
        except DriverFailed:
            return {}


class _Unchained(PolicyController, _NoChain):
    pass


class _AsRecorded(InLoop):
    """Infers in the loop, and gives each chunk in the tick in which the one of the flight was taken."""

    def __init__(self, model: Runtime) -> None:
        super().__init__(model)
        self.left = 0
        """How many chunks are taken in the next tick."""

    def take(self) -> Made | None:
        if self.left == 0 or (made := super().take()) is None:
            return None
        self.left -= 1
        return made


class Replayed:
    """Policies that are stepped with recorded signals.

    Args:
        runtimes: The loaded policies by name, not stepped yet.
        ramp_s: Time in which one took over from another.

    Raises:
        ValueError: one cannot take the first one's place.
    """

    def __init__(self, runtimes: Mapping[str, Runtime], ramp_s: float) -> None:
        self._inferers = {
            name: _AsRecorded(runtime) for name, runtime in runtimes.items() if runtime.contract.chunk is not None
        }
        drivers = {
            name: driver_of(runtime, lambda _, name=name: self._inferers[name]) for name, runtime in runtimes.items()
        }
        self._controller = _Unchained(drivers, ramp_s=ramp_s)

    def start(self, name: str, now_ns: int) -> None:
        """A policy is started, as by its operator."""
        self._controller.started = False
        self._controller.select(name)
        self._controller.start(now_ns)

    def select(self, name: str) -> None:
        """A policy is to take over; nothing where it does or is already."""
        if self._controller.selected is not self._controller.drivers[name]:
            self._controller.select(name)

    def drives(self, name: str) -> bool:
        """Whether that policy drives."""
        return self._controller.driver is self._controller.drivers[name]

    def tick(self, signals: Values, now_ns: int, taken: Mapping[str, int]) -> Values:
        """What is wanted, by name; nothing where there is none.

        Args:
            signals: By name, as the chain was given them.
            now_ns: Monotonic time of the flight.
            taken: How many chunks were taken from the inference of each policy in this tick.
        """
        for name, inferer in self._inferers.items():
            inferer.left = taken[name]
        return self._controller.tick(signals, {}, now_ns)
