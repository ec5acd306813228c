"""The state machine of a deployed policy: idle → stand-by → ramp-in → running → stopped, and fault from anywhere."""

import enum


class State(str, enum.Enum):
    """State of a deployed policy. Only the `ACTIVE` ones head for anything but the safe command."""

    IDLE = "idle"
    STANDBY = "standby"
    RAMP_IN = "ramp_in"
    RUNNING = "running"
    STOPPED = "stopped"
    FAULT = "fault"


ACTIVE = (State.STANDBY, State.RAMP_IN, State.RUNNING)

_ALLOWED = {
    State.IDLE: ("arm", "fault"),
    State.STANDBY: ("start", "stop", "fault"),
    State.RAMP_IN: ("stop", "fault"),
    State.RUNNING: ("stop", "fault"),
    State.STOPPED: ("reset", "fault"),
    State.FAULT: ("reset",),
}


class TransitionError(ValueError):
    """A request does not fit the state; the message names the state and what it allows."""


class Supervisor:
    """Decides what the robot may be sent. Pure: time is passed in, as monotonic nanoseconds.

    Args:
        ramp_s: Time in which the policy takes over from the stand-by command.
    """

    def __init__(self, *, ramp_s: float = 0.3):
        if not 0.0 <= ramp_s < float("inf"):
            raise ValueError(f"ramp_s must be a time of at least 0 s, not {ramp_s}")
        self._ramp_ns = round(ramp_s * 1e9)
        self._state = State.IDLE
        self._cause: str | None = None
        self._since_ns = 0

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    @property
    def cause(self) -> str | None:
        """Why it stopped or is in fault; None in every other state."""
        return self._cause

    @property
    def since_ns(self) -> int:
        """When the present state began."""
        return self._since_ns

    def arm(self, now_ns: int) -> None:
        """idle → stand-by. Raises TransitionError in any other state."""
        self._require("arm")
        self._enter(State.STANDBY, now_ns)

    def start(self, now_ns: int) -> None:
        """stand-by → ramp-in. Raises TransitionError in any other state."""
        self._require("start")
        self._enter(State.RAMP_IN, now_ns)

    def hold(self, now_ns: int) -> None:
        """ramp-in begins only now. Raises TransitionError in any other state."""
        if self._state is not State.RAMP_IN:
            raise TransitionError(f"the ramp cannot begin in state {self._state.value}, only in ramp_in")
        self._since_ns = now_ns

    def advance(self, now_ns: int) -> State:
        """ramp-in → running once the ramp is over; otherwise nothing. Returns the state."""
        if self._state is State.RAMP_IN and self.weight(now_ns) >= 1.0:
            self._enter(State.RUNNING, now_ns)
        return self._state

    def stop(self, now_ns: int, cause: str) -> None:
        """stand-by, ramp-in or running → stopped. Raises TransitionError in any other state."""
        self._require("stop")
        self._enter(State.STOPPED, now_ns, cause)

    def fault(self, now_ns: int, cause: str) -> None:
        """Any state → fault. The first cause is kept until the reset; later ones are consequences."""
        if self._state is not State.FAULT:
            self._enter(State.FAULT, now_ns, cause)

    def reset(self, now_ns: int) -> None:
        """stopped or fault → idle. Raises TransitionError in any other state."""
        self._require("reset")
        self._enter(State.IDLE, now_ns)

    def weight(self, now_ns: int) -> float:
        """Share of the policy in what is sent, in [0, 1]: rising in ramp-in, 1 when running, otherwise 0."""
        if self._state is State.RUNNING:
            return 1.0
        if self._state is not State.RAMP_IN:
            return 0.0
        if self._ramp_ns == 0:
            return 1.0
        return min(1.0, max(0.0, (now_ns - self._since_ns) / self._ramp_ns))

    def _require(self, request: str) -> None:
        if request not in _ALLOWED[self._state]:
            allowed = ", ".join(name for name in _ALLOWED[self._state] if name != "fault")
            raise TransitionError(f"cannot {request} in state {self._state.value}; allowed here: {allowed}")

    def _enter(self, state: State, now_ns: int, cause: str | None = None) -> None:
        self._state, self._since_ns, self._cause = state, now_ns, cause
