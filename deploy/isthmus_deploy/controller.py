"""The whole safety chain in one object, the same in simulation, in tests and on the robot."""

from collections.abc import Mapping

import numpy as np

from isthmus_deploy.contract import Command
from isthmus_deploy.runtime import Runtime
from isthmus_deploy.safety import GoalLimiter, SafetyFilter, SignalGuard, UnsafeCommand, full
from isthmus_deploy.supervisor import ACTIVE, State, Supervisor, TransitionError
from isthmus_deploy.transition import Transition


class PolicyController:
    """Guard, policy, ramp, transition, limits and supervisor around one runtime. No threads, no clock, no ROS.

    Whatever trips leads to the fault state and to the safe command within the same tick; a command with a
    `transition_rate` heads for it from that tick on, whatever the sensors say. Every tick of the states that may move
    the robot checks the signals first, stand-by included. A goal that is plausible but was never asked in training is
    held to the trained range.

    Args:
        runtime: The loaded policy.
        ramp_s: Time in which the policy takes over from the stand-by command.
    """

    def __init__(self, runtime: Runtime, *, ramp_s: float = 0.3):
        self._runtime = runtime
        commands = runtime.contract.commands
        self._supervisor = Supervisor(ramp_s=ramp_s)
        self._guard = SignalGuard(runtime.contract)
        self._goals = GoalLimiter(runtime.contract)
        self._filter = SafetyFilter(runtime.contract)
        self._transition = Transition(runtime.contract)
        self._departed = True
        self._safe = {command.name: _constant(command, command.safe) for command in commands}
        self._standby = {command.name: _constant(command, command.standby) for command in commands}

    @property
    def runtime(self) -> Runtime:
        """The policy that is run."""
        return self._runtime

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
    def clamped_goals(self) -> int:
        """Steps since the start of the process in which a goal was outside what training asked, and was held to it."""
        return self._goals.clamped_steps

    @property
    def rate_limited_steps(self) -> int:
        """Steps since the start of the process in which a command changed faster than allowed."""
        return self._filter.rate_limited_steps

    def arm(self, now_ns: int) -> None:
        """idle → stand-by: the stand-by command is approached, by default from the safe one at the rate limit.

        A command with a `transition_rate` starts from where the next tick's readings see the robot, and goes at that.

        Raises:
            TransitionError: not idle.
        """
        self._supervisor.arm(now_ns)
        self._guard.reset()
        self._filter.reset(self._safe)
        self._departed = not self._transition.slow

    def start(self, now_ns: int) -> None:
        """stand-by → ramp-in: the policy starts with its memory reset.

        Raises:
            TransitionError: not in stand-by, or not yet at the end of the transition to it.
        """
        if self.state is State.STANDBY and not self._departed:
            raise TransitionError("cannot start yet: the transition to stand-by begins with the next control period")
        if self.state is State.STANDBY:
            self._require_reached("start", "stand-by", self._standby)
        self._supervisor.start(now_ns)
        self._runtime.reset()

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

    def tick(
        self, signals: Mapping[str, np.ndarray], ages_s: Mapping[str, float], now_ns: int
    ) -> Mapping[str, np.ndarray]:
        """One control period: the newest readings in, the commands to send out.

        Args:
            signals: Readings by name, unbatched, as in the contract; needed only in states that may move the robot.
            ages_s: Age of each reading, in seconds.
            now_ns: Monotonic time.

        Returns:
            Commands by name, float64, unbatched: safe in idle, stopped and fault; stand-by; in ramp-in a blend from
            stand-by to the policy; the policy when running. All but the safe ones have passed the filter. A command
            with a transition rate goes to stand-by and to safe along its transition.
        """
        state = self._supervisor.advance(now_ns)
        if state is State.IDLE:
            return self._safe
        if state not in ACTIVE:
            return self._head_for_safe()
        if not self._departed:
            self._filter.reset(self._transition.start(signals))
            self._departed = True
        cause = self._guard.check(signals, ages_s)
        if cause is not None:
            return self._trip(now_ns, cause)
        try:
            return self._filter.apply(self._wanted(signals, now_ns))
        except UnsafeCommand as error:
            return self._trip(now_ns, str(error))

    def _wanted(self, signals: Mapping[str, np.ndarray], now_ns: int) -> Mapping[str, np.ndarray]:
        if self._supervisor.state is State.STANDBY:
            return self._transition.towards(self._standby, self._filter.last)
        commands = self._runtime.step(self._goals.apply(signals))
        if self._supervisor.state is State.RUNNING:
            return commands
        weight = self._supervisor.weight(now_ns)
        return {name: start + weight * (commands[name] - start) for name, start in self._standby.items()}

    def _trip(self, now_ns: int, cause: str) -> Mapping[str, np.ndarray]:
        self._supervisor.fault(now_ns, cause)
        return self._head_for_safe()

    def _head_for_safe(self) -> Mapping[str, np.ndarray]:
        sent = self._transition.towards(self._safe, self._filter.last)
        self._filter.reset(sent)
        return sent

    def _left_s(self, targets: Mapping[str, np.ndarray]) -> float:
        return self._transition.left_s(targets, self._filter.last)

    def _require_reached(self, request: str, name: str, targets: Mapping[str, np.ndarray]) -> None:
        left_s = self._left_s(targets)
        if left_s > 0.0:
            raise TransitionError(f"cannot {request} yet: {name} is reached in {left_s:.2f} s")


def _constant(command: Command, values: tuple[float, ...]) -> np.ndarray:
    array = full(command, values)
    array.flags.writeable = False
    return array
