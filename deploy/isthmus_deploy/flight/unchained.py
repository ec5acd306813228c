"""Who drives, without the chain around it: for replaying what it wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from isthmus_deploy.chunk_controller import ChunkController
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.policy.chunk_inference import InLoop, Made
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.chain import SafetyChain, Values
from isthmus_deploy.safety.commands.filter import DriverFailed


class _Unchained(SafetyChain):
    """No chain: it can always be started, and a tick gives what the driver wants, or nothing where it has none."""

    def start(self, now_ns: int) -> None:
        pass

    def drive(
        self, signals: Values, ages_s: Mapping[str, float], now_ns: int, wanted: Callable[[], Values | None]
    ) -> Values:
        try:
            return wanted() or {}
        except DriverFailed:
            return {}


class _Policy(PolicyController, _Unchained):
    pass


class _Chunks(ChunkController, _Unchained):
    pass


class _AsRecorded(InLoop):
    """Infers in the loop, and gives each chunk in the tick in which the one of the flight was taken."""

    def __init__(self, model: Runtime) -> None:
        super().__init__(model)
        self._left = 0

    def allow(self, taken: int) -> None:
        """As many chunks are taken in the next tick."""
        self._left = taken

    def take(self) -> Made | None:
        if self._left == 0 or (made := super().take()) is None:
            return None
        self._left -= 1
        return made


class Driver:
    """A policy that is stepped with recorded signals.

    Args:
        runtime: The loaded policy, not stepped yet.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._inferer = None if runtime.contract.chunk is None else _AsRecorded(runtime)
        self._driver = _Policy(runtime) if self._inferer is None else _Chunks(self._inferer)

    def start(self, now_ns: int) -> None:
        """The policy is started, as by its operator."""
        self._driver.start(now_ns)

    def tick(self, signals: Values, now_ns: int, taken: int) -> Values:
        """What the policy wants, by name; nothing where it has none.

        Args:
            signals: By name, as the chain was given them.
            now_ns: Monotonic time of the flight.
            taken: How many chunks were taken from the inference in this tick.
        """
        if self._inferer is not None:
            self._inferer.allow(taken)
        return self._driver.tick(signals, {}, now_ns)
