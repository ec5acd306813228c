"""The one safety chain, whoever drives: the same in simulation, in tests and on the robot."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from isthmus_deploy.conditions import Conditions
from isthmus_deploy.contract import Phase
from isthmus_deploy.elements import full
from isthmus_deploy.limits import Command, Limits
from isthmus_deploy.safety import DriverFailed, SafetyFilter, UnsafeCommand
from isthmus_deploy.safety_data import Safety
from isthmus_deploy.signal_guard import SignalGuard
from isthmus_deploy.supervisor import ACTIVE, State, Supervisor, TransitionError
from isthmus_deploy.transition import Transition

Values = Mapping[str, np.ndarray]


class SafetyChain:
    """Guard, ramp, transition, limits and supervisor around whoever drives. No threads, no clock, no ROS.

    Whatever trips leads to the fault state and to the safe command within the same tick; a command with a
    `transition_rate` heads for it from that tick on, whatever the sensors say. Every tick of the states that may move
    the robot checks the signals first, stand-by included.

    Args:
        limits: What readings and commands are held to.
        conditions: What must hold of the readings beside that, by default nothing.
        ramp_s: Time in which the driver takes over from the stand-by command.
        period_s: Time from tick to tick; the control period by default.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        conditions: Conditions | None = None,
        ramp_s: float = 0.3,
        period_s: float | None = None,
    ):
        period_s = period_s or limits.control_period_s
        self._limits, self._period_s = limits, period_s
        self._supervisor = Supervisor(ramp_s=ramp_s)
        self._guard = SignalGuard(limits)
        self._conditions = conditions or Conditions()
        self._filter = SafetyFilter(limits, period_s)
        self._transition = Transition(limits, period_s)
        self._departed = True
        self._ticked_ns: int | None = None
        self.starts = 0
        """How often the driver has been started."""
        self.wanted: Values | None = None
        """What the driver wanted in the last tick, by name; None where it was not asked, or had nothing."""
        self._safe = {command.name: _constant(command, command.safe) for command in limits.commands}
        self._standby = {command.name: _constant(command, command.standby) for command in limits.commands}

    @property
    def state(self) -> State:
        """State of the supervisor."""
        return self._supervisor.state

    @property
    def cause(self) -> str | None:
        """Why it stopped or is in fault; None otherwise."""
        return self._supervisor.cause

    @property
    def safe_commands(self) -> Mapping[str, np.ndarray]:
        """What is sent when stopped or in fault, by name (read-only arrays, float64): also to be sent last of all."""
        return self._safe

    @property
    def may_start(self) -> bool:
        """Whether stand-by has been reached, so that `start` is taken."""
        return self.state is State.STANDBY and self._departed and self._left_s(self._standby) == 0.0

    @property
    def may_end(self) -> bool:
        """Whether the safe commands may be sent at once: not while one with a transition rate has yet to get there."""
        return self._left_s(self._safe) == 0.0

    @property
    def clipped_steps(self) -> int:
        """Steps since the start of the process in which a command was outside its range."""
        return self._filter.clipped_steps

    @property
    def rate_limited_steps(self) -> int:
        """Steps since the start of the process in which a command changed faster than allowed."""
        return self._filter.rate_limited_steps

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell of the chain and of who drives it, by name."""
        limited = {"clipped_steps": self.clipped_steps, "rate_limited_steps": self.rate_limited_steps}
        return {**limited, **self._filter.counters, **self._conditions.counters}

    def hold_to(self, safety: Safety | None) -> None:
        """Hold commands to what the robot itself asks for beyond range and rate, in place of what the limits said;
        None for a robot that says nothing. In idle, before `arm`; counts begin anew where it is something else.

        Raises:
            InconsistentContract: it contradicts the limits, such as by a joint that no command has.
            TransitionError: it is something else than before, and the chain is not in idle.
        """
        if safety is None or safety == self._limits.safety:
            return
        if self.state is not State.IDLE:
            raise TransitionError(f"cannot hold the robot to other limits now: {self.state.value}, not idle")
        self._limits = dataclasses.replace(self._limits, safety=safety)
        self._filter = SafetyFilter(self._limits, self._period_s)

    def problem(self, signals: Values, ages_s: Mapping[str, float]) -> str | None:
        """Why these readings would trip the chain in its first tick; None where they would not. To be asked in idle,
        before `arm`."""
        self._guard.reset()  # what was read before the robot was put back says nothing of now
        return self._guard.check(signals, ages_s) or self._conditions.judge(signals, "standby")

    def arm(self, now_ns: int) -> None:
        """idle → stand-by: the stand-by command is approached, by default from the safe one at the rate limit.

        A command with a `transition_rate` starts from where the next tick's readings see the robot, and goes at that.

        Raises:
            TransitionError: not idle.
        """
        self._supervisor.arm(now_ns)
        self._guard.reset()
        self._conditions.begin()
        self._filter.reset(self._safe)
        self._ticked_ns = None
        self._departed = not self._transition.slow

    def start(self, now_ns: int) -> None:
        """stand-by → ramp-in: the driver takes over.

        Raises:
            TransitionError: not in stand-by, not yet at the end of the transition to it, or the last readings break a
                condition that holds when driven.
        """
        if self.state is State.STANDBY and not self._departed:
            raise TransitionError("cannot start yet: the transition to stand-by begins with the next control period")
        if self.state is State.STANDBY:
            self._require_reached("start", "stand-by", self._standby)
            if (broken := self._conditions.broken("driven")) is not None:
                raise TransitionError(f"cannot start: {broken}")
        self._supervisor.start(now_ns)
        self.starts += 1

    def stop(self, now_ns: int, cause: str = "stop requested") -> None:
        """stand-by, ramp-in or running → stopped: the next tick sends the safe command, or heads for it.

        Raises:
            TransitionError: nothing to stop.
        """
        self._supervisor.stop(now_ns, cause)

    def fault(self, now_ns: int, cause: str) -> None:
        """Any state → fault, for trips that are found outside, such as a lost operator."""
        self._supervisor.fault(now_ns, cause)

    def reset(self, now_ns: int) -> None:
        """stopped or fault → idle.

        Raises:
            TransitionError: in any other state, or before the end of the transition to the safe command.
        """
        if self.state in (State.STOPPED, State.FAULT):
            self._require_reached("reset", "the safe command", self._safe)
        self._supervisor.reset(now_ns)

    def close(self) -> bool:
        """End what the driver runs beside the loop: nothing here. Returns False for what hangs."""
        return True

    def drive(
        self, signals: Values, ages_s: Mapping[str, float], now_ns: int, wanted: Callable[[], Values | None]
    ) -> Values:
        """One control period: the newest readings in, the commands to send out.

        Args:
            signals: Readings by name, unbatched, as in the limits; needed only in states that may move the robot.
            ages_s: Age of each reading, in seconds.
            now_ns: Monotonic time.
            wanted: Gives what the driver wants, by name; asked in ramp-in and when running. None from one that has not
                begun: stand-by goes on, and the ramp begins with its first commands. It may raise `DriverFailed`.

        Returns:
            Commands by name, float64, unbatched: safe in idle, stopped and fault; stand-by; in ramp-in a blend from
            stand-by to what is wanted; that when running. All but the safe ones have passed the filter. A command
            with a transition rate goes to stand-by and to safe along its transition.
        """
        self.wanted = None
        if self.state is State.IDLE:
            return self._safe
        if self.state not in ACTIVE:
            return self._head_for_safe()
        if not self._departed:
            self._filter.reset(self._transition.start(signals))
            self._departed = True
        cause = self._guard.check(signals, ages_s, self._elapsed_s(now_ns))
        cause = cause or self._conditions.judge(signals, self._phase)
        if cause is not None:
            return self._trip(now_ns, cause)
        try:
            return self._filter.apply(self._driven(wanted, now_ns), signals)
        except (UnsafeCommand, DriverFailed) as error:
            return self._trip(now_ns, str(error))

    @property
    def _phase(self) -> Phase:
        return "standby" if self.state is State.STANDBY else "driven"

    def _elapsed_s(self, now_ns: int) -> float:
        before, self._ticked_ns = self._ticked_ns, now_ns
        return 0.0 if before is None else 1e-9 * (now_ns - before)

    def _driven(self, wanted: Callable[[], Values | None], now_ns: int) -> Values:
        if self.state is State.STANDBY:
            return self._transition.towards(self._standby, self._filter.last)
        commands = self.wanted = wanted()
        if commands is None:
            self._supervisor.hold(now_ns)
            return self._standby
        if self._supervisor.advance(now_ns) is State.RUNNING:
            return commands
        weight = self._supervisor.weight(now_ns)
        return {name: start + weight * (commands[name] - start) for name, start in self._standby.items()}

    def _trip(self, now_ns: int, cause: str) -> Values:
        self._supervisor.fault(now_ns, cause)
        return self._head_for_safe()

    def _head_for_safe(self) -> Values:
        sent = self._transition.towards(self._safe, self._filter.last)
        self._filter.reset(sent)
        return sent

    def _left_s(self, targets: Values) -> float:
        return self._transition.left_s(targets, self._filter.last)

    def _require_reached(self, request: str, name: str, targets: Values) -> None:
        left_s = self._left_s(targets)
        if left_s > 0.0:
            raise TransitionError(f"cannot {request} yet: {name} is reached in {left_s:.2f} s")


def _constant(command: Command, values: tuple[float, ...]) -> np.ndarray:
    array = full(command, values)
    array.flags.writeable = False
    return array
