"""The commands of a robot that speaks ROS 2: all of them go through the safety chain."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from isthmus_datasets.recording.rate import Rate, WallClock
from isthmus_datasets.recording.robot import RobotError
from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.ros.command_publisher import CommandPublisher
from isthmus_deploy.safety.chain import SafetyChain, Values
from isthmus_deploy.safety.supervisor import ACTIVE

Readings = tuple[Mapping[str, NDArray[Any]], Mapping[str, float]]

_LAST_COMMAND_S = 0.5  # how long to wait until the robot has each last command


class Ros2Drive:
    """Leads the robot to stand-by, then sends what is wanted, and leads it to its safe command at the end and after a
    fault; within its limits all the while. Between `send` and the next `begin` nothing is sent but by `hold`.

    Args:
        limits: The robot's.
        publishers: One for each of its commands.
        readings: Gives the newest readings by name, and the age of each in s. Raises RobotError.
        rate_hz: How often `send` is called.
    """

    def __init__(
        self,
        limits: Limits,
        publishers: Sequence[CommandPublisher],
        readings: Callable[[], Readings],
        *,
        rate_hz: int,
    ) -> None:
        self._limits, self._readings = limits, readings
        self._publishers = dict(zip((command.name for command in limits.commands), publishers, strict=True))
        self._pace = Rate(rate_hz, WallClock())
        self._chain = self._new_chain()
        self._moving = self._held = False

    def _new_chain(self) -> SafetyChain:
        return SafetyChain(self._limits, period_s=1 / self._pace.rate_hz)

    @property
    def driven(self) -> bool:
        """Whether `send` may be called: from `begin` until a fault."""
        return self._chain.state in ACTIVE

    def begin(self) -> None:
        """Go to stand-by from where the robot is, however it came there. Raises RobotError when it trips."""
        self._chain, self._moving, self._held = self._new_chain(), False, False
        self._chain.arm(time.monotonic_ns())
        self._pace.start()
        while not self._chain.may_start:
            self._pace.wait()
            self._tick(dict)
        self._chain.start(time.monotonic_ns())

    def send(self, wanted: Values) -> Values:
        """Send commands by name; what was sent of them. Raises RobotError when it trips, once the robot is safe: what
        `readings` has raised, if that is why."""
        return self._tick(lambda: wanted)

    def hold(self) -> None:
        """One period on the way to stand-by, or in it; nothing where the robot is not driven. What trips has led it to
        its safe command."""
        if not self.driven:
            return
        if not self._held:
            self._chain, self._held = self._new_chain(), True
            self._chain.arm(time.monotonic_ns())
        with suppress(RobotError):  # the next `begin` tells what still is wrong
            self._tick(dict)

    def fault(self, cause: str) -> None:
        """Somebody else has found one: go to the safe command."""
        self._chain.fault(time.monotonic_ns(), cause)
        self._go_safe()

    def end(self) -> None:
        """Go to the safe command, and wait until the robot has it."""
        if self.driven:
            self._chain.stop(time.monotonic_ns())
            self._go_safe()
        for publisher in self._publishers.values() if self._moving else ():
            publisher.wait_until_taken(_LAST_COMMAND_S)

    def _tick(self, wanted: Callable[[], Values]) -> Values:
        now_ns, failure = time.monotonic_ns(), None
        try:
            signals, ages_s = self._readings()
        except RobotError as error:
            signals, ages_s, failure = {}, {}, error
            self._chain.fault(now_ns, str(error))
        commands = self._chain.drive(signals, ages_s, now_ns, wanted)
        if not self.driven:
            self._go_safe()
            raise failure or RobotError(self._chain.cause)
        self._moving = True
        self._publish(commands)
        return commands

    def _go_safe(self) -> None:
        """Lead it to its safe command at the rate of a transition, whatever the sensors say; a robot that was not moved
        yet is left where it is."""
        self._pace.start()
        while self._moving:
            self._publish(self._chain.drive({}, {}, time.monotonic_ns(), dict))
            if self._chain.may_end:
                return
            self._pace.wait()

    def _publish(self, commands: Values) -> None:
        for name, values in commands.items():
            self._publishers[name].send(values)
