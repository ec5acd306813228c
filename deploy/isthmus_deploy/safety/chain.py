"""The one safety chain, whoever drives: the same in simulation, in tests and on the robot."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from isthmus_deploy.contracts.contract import Phase
from isthmus_deploy.contracts.limits import Command, Limits
from isthmus_deploy.contracts.safety_data import Safety
from isthmus_deploy.safety.commands.elements import full
from isthmus_deploy.safety.commands.filter import DriverFailed, SafetyFilter, UnsafeCommand
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.damping import Damping
from isthmus_deploy.safety.descent import Descent
from isthmus_deploy.safety.readings.signal_guard import SignalGuard
from isthmus_deploy.safety.supervisor import ACTIVE, State, Supervisor, TransitionError
from isthmus_deploy.safety.transition import Transition

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
        self._guard = SignalGuard(limits)
        self._conditions = conditions or Conditions()
        self._filter = SafetyFilter(limits, period_s)
        self._transition = Transition(limits, period_s)
        self._descent = Descent(limits, period_s)
        self._damping = Damping(limits)
        self._supervisor = Supervisor(ramp_s=ramp_s, slow=self._transition.slow)
        self._departed = True
        self._fallen = self._disarmed = False
        self._rests = True  # the last tick sent what the robot rests at
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
        """Why it is stopped, damped, in fault or held in stand-by; None otherwise."""
        return self._supervisor.cause

    @property
    def alarm(self) -> str | None:
        """Why whoever drives should not be relied on, while it drives on all the same; None as far as is known."""
        return None

    @property
    def safe_commands(self) -> Mapping[str, np.ndarray]:
        """What is sent when stopped or in fault, by name (read-only arrays, float64)."""
        return self._safe

    @property
    def last_commands(self) -> Mapping[str, np.ndarray]:
        """What is to be sent last of all, by name: the safe commands, or those of a robot that is damped, which must
        not be driven to a pose."""
        return self._filter.last if self.damped else self._safe

    @property
    def damped(self) -> bool:
        """Whether the robot is left to its joints' damping: a fallen one is not driven to a pose."""
        resting = self.state is State.DAMPING or (self.state is State.FAULT and self._fallen)
        return resting and self._transition.slow

    @property
    def may_start(self) -> bool:
        """Whether stand-by has been reached, so that `start` is taken."""
        return self.state is State.READY

    @property
    def may_end(self) -> bool:
        """Whether the last commands may be sent at once: not while one with a transition rate has yet to get there."""
        return self.damped or self._left_s(self._safe) == 0.0

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
        None for a robot that says nothing. When passive, before `arm`; counts begin anew where it is something else.

        Raises:
            InconsistentContract: it contradicts the limits, such as by a joint that no command has.
            TransitionError: it is something else than before, and the robot is not passive.
        """
        if safety is None or safety == self._limits.safety:
            return
        if self.state is not State.PASSIVE:
            raise TransitionError(f"cannot hold the robot to other limits now: {self.state.value}, not passive")
        self._limits = dataclasses.replace(self._limits, safety=safety)
        self._filter = SafetyFilter(self._limits, self._period_s)
        self._descent = Descent(self._limits, self._period_s)

    def problem(self, signals: Values, ages_s: Mapping[str, float]) -> str | None:
        """Why these readings would trip the chain in its first tick; None where they would not. To be asked when
        passive, before `arm`."""
        self._guard.reset()  # what was read before the robot was put back says nothing of now
        return self._guard.check(signals, ages_s) or self._conditions.judge(signals, "standby")

    def arm(self, now_ns: int) -> None:
        """passive → stand-up: the stand-by command is approached, by default from the safe one at the rate limit.

        A command with a `transition_rate` starts from where the next tick's readings see the robot, and goes at that.

        Raises:
            TransitionError: not passive.
        """
        self._supervisor.arm(now_ns)
        self._fallen = self._disarmed = self._rests = False
        self._guard.reset()
        self._conditions.begin()
        self._filter.reset(self._safe)
        self._ticked_ns = None
        self._departed = not self._transition.slow

    def start(self, now_ns: int) -> None:
        """ready → ramp-in: the driver takes over.

        Raises:
            TransitionError: not ready, or the last readings break a condition that holds when driven.
        """
        if self.state is State.STAND_UP and not self._departed:
            raise TransitionError("cannot start yet: the transition to stand-by begins with the next control period")
        if self.state is State.STAND_UP:
            self._require_reached("start", "stand-by", self._standby)
        if self.state is State.READY and (broken := self._conditions.broken("driven")) is not None:
            raise TransitionError(f"cannot start: {broken}")
        self._supervisor.start(now_ns)
        self.starts += 1

    def hold(self, now_ns: int, cause: str) -> None:
        """ramp-in or running → stand-up: the driver lets go, and the robot goes to stand-by from its last command, at
        its transition rate. There it waits to be started again.

        Raises:
            TransitionError: in any other state, or the robot has no stand-by to rest in.
        """
        if not self._transition.slow:
            raise TransitionError("cannot hold a robot without a transition rate: its stand-by is no rest")
        self._supervisor.hold(now_ns, cause)

    def stop(self, now_ns: int, cause: str = "stop requested", *, at_once: bool = False) -> None:
        """Any active state → stopped: the next tick sends the safe command, or heads for it. A robot that lies down
        slowly is ramped out first when it was driven, unless it is to lie down `at_once`: that needs no readings.

        Raises:
            TransitionError: nothing to stop.
        """
        self._supervisor.stop(now_ns, cause, at_once=at_once)

    def damp(self, now_ns: int, cause: str = "emergency stop") -> None:
        """Any state that commands the robot, but for a fault → damping.

        Raises:
            TransitionError: in any other state.
        """
        self._supervisor.damp(now_ns, cause)

    def disarm(self, now_ns: int) -> None:
        """Stop what is active; passive as soon as the robot rests.

        Raises:
            TransitionError: when passive.
        """
        if self.state in ACTIVE and self.state is not State.RAMP_OUT:
            self.stop(now_ns, "disarmed")
        self._disarmed = True
        if self._rests:
            self.reset(now_ns)

    def fault(self, now_ns: int, cause: str) -> None:
        """Any state → fault, for trips that are found outside, such as a lost operator."""
        self._supervisor.fault(now_ns, cause)

    def reset(self, now_ns: int) -> None:
        """stopped, damping or fault → passive.

        Raises:
            TransitionError: in any other state, or before the robot has been sent what it rests at: who is passive
                sends nothing more.
        """
        if self.state in (State.STOPPED, State.FAULT) and not self.damped:
            self._require_reached("reset", "the safe command", self._safe)
        if self.state in (State.STOPPED, State.DAMPING, State.FAULT) and not self._rests:
            raise TransitionError("cannot reset yet: the robot is stopped with the next control period")
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
            wanted: Gives what the driver wants, by name; asked in the ramps and when running. None from one that has
                not begun: stand-by goes on, and the ramp begins with its first commands. It may raise `DriverFailed`.

        Returns:
            Commands by name, float64, unbatched: safe when passive, stopped and in fault; stand-by; in the ramps a
            blend of stand-by and what is wanted; that when running. All but the safe ones have passed the filter. A
            command with a transition rate goes to stand-by along its transition and to safe by its `Descent`; that of a
            robot that is damped, in a fault that is a broken condition too, follows where the robot is.
        """
        self.wanted = None
        if self.state is State.PASSIVE:
            return self._safe
        if self.state not in ACTIVE:
            return self._come_to_rest(signals, now_ns)
        self._descent.begin()
        if not self._departed:
            self._filter.reset(self._transition.start(signals))
            self._departed = True
        cause = self._guard.check(signals, ages_s, self._elapsed_s(now_ns))
        if cause is None:
            cause = self._conditions.judge(signals, self._phase)
            self._fallen = cause is not None
        if cause is not None:
            return self._trip(now_ns, cause, signals)
        try:
            return self._filter.apply(self._driven(wanted, now_ns), signals)
        except (UnsafeCommand, DriverFailed) as error:
            return self._trip(now_ns, str(error), signals)

    @property
    def _phase(self) -> Phase:
        return "standby" if self.state in (State.STAND_UP, State.READY) else "driven"

    def _elapsed_s(self, now_ns: int) -> float:
        before, self._ticked_ns = self._ticked_ns, now_ns
        return 0.0 if before is None else 1e-9 * (now_ns - before)

    def _driven(self, wanted: Callable[[], Values | None], now_ns: int) -> Values:
        if self.state in (State.STAND_UP, State.READY):
            return self._stood_by(now_ns)
        commands = self.wanted = wanted()
        if commands is None and self.state is State.RAMP_IN:
            self._supervisor.wait(now_ns)
        if commands is None:
            return self._standby
        if self._supervisor.advance(now_ns) is State.RUNNING:
            return commands
        weight = self._supervisor.weight(now_ns)
        return {name: start + weight * (commands[name] - start) for name, start in self._standby.items()}

    def _stood_by(self, now_ns: int) -> Values:
        commands = self._transition.towards(self._standby, self._filter.last)
        if self.state is State.STAND_UP and self._transition.left_s(self._standby, commands) == 0.0:
            self._supervisor.rise(now_ns)
        return commands

    def _trip(self, now_ns: int, cause: str, signals: Values) -> Values:
        self._supervisor.fault(now_ns, cause)
        return self._come_to_rest(signals, now_ns)

    def _come_to_rest(self, signals: Values, now_ns: int) -> Values:
        if self._disarmed and self._rests and self.state is not State.FAULT:
            self._supervisor.reset(now_ns)
            return self._safe
        last = self._filter.last
        sent = self._damping.follow(signals, last) if self.damped else self._descent.towards(self._safe, last)
        self._filter.reset(sent)
        self._rests = self.may_end
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
