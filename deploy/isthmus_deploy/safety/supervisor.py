"""The state machine of a robot that a policy drives. `python -m isthmus_deploy.safety.supervisor` draws its chart."""

from __future__ import annotations

import enum


class State(str, enum.Enum):
    """State of a driven robot. Only the `ACTIVE` ones head for anything but rest."""

    PASSIVE = "passive"
    """Nobody commands it here."""
    STAND_UP = "stand_up"
    """It goes to its stand-by command, from where it was measured, or from the last command where it is held."""
    READY = "ready"
    """It holds its stand-by command."""
    RAMP_IN = "ramp_in"
    """The driver takes over from stand-by."""
    RUNNING = "running"
    RAMP_OUT = "ramp_out"
    """The driver hands over to stand-by."""
    STOPPED = "stopped"
    """It goes to its safe command, slowly where it has legs to fold, and rests there."""
    DAMPING = "damping"
    """Its targets follow where it is, so that only the joints' damping acts: after an emergency stop."""
    FAULT = "fault"
    """As stopped; as damping where the robot has fallen. Latched until the reset."""

    @property
    def driven(self) -> bool:
        """Whether the driver is asked for what it wants."""
        return self in (State.RAMP_IN, State.RUNNING, State.RAMP_OUT)


ACTIVE = (State.STAND_UP, State.READY, State.RAMP_IN, State.RUNNING, State.RAMP_OUT)

# What is asked for, or has come about, in each state, and where that leads. A fault leads from anywhere to FAULT.
CHART: dict[State, dict[str, State]] = {
    State.PASSIVE: {"arm": State.STAND_UP},
    State.STAND_UP: {"risen": State.READY, "stop": State.STOPPED, "damp": State.DAMPING},
    State.READY: {"start": State.RAMP_IN, "stop": State.STOPPED, "damp": State.DAMPING},
    State.RAMP_IN: {
        "ramped in": State.RUNNING,
        "hold": State.STAND_UP,
        "stop": State.RAMP_OUT,
        "damp": State.DAMPING,
    },
    State.RUNNING: {"hold": State.STAND_UP, "stop": State.RAMP_OUT, "damp": State.DAMPING},
    State.RAMP_OUT: {"ramped out": State.STOPPED, "damp": State.DAMPING},
    State.STOPPED: {"reset": State.PASSIVE, "damp": State.DAMPING},
    State.DAMPING: {"reset": State.PASSIVE},
    State.FAULT: {"reset": State.PASSIVE},
}
_REQUESTS = ("arm", "start", "hold", "stop", "damp", "reset")


class TransitionError(ValueError):
    """A request does not fit the state; the message names the state and what it allows."""


class Supervisor:
    """Decides what the robot may be sent. Pure: time is passed in, as monotonic nanoseconds.

    Args:
        ramp_s: Time in which the driver takes over from the stand-by command, and hands over to it.
        slow: Whether the robot stands up and lies down slowly. One that does not is ready at once, and stopped at once:
            the stand-by of a body in the air is no rest.
    """

    def __init__(self, *, ramp_s: float = 0.3, slow: bool = False):
        if not 0.0 <= ramp_s < float("inf"):
            raise ValueError(f"ramp_s must be a time of at least 0 s, not {ramp_s}")
        self._ramp_ns, self._slow = round(ramp_s * 1e9), slow
        self._state = State.PASSIVE
        self._cause: str | None = None
        self._since_ns = 0

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    @property
    def cause(self) -> str | None:
        """Why it is ramped out, stopped, damped, in fault, or held in stand-by; None in every other state."""
        return self._cause

    @property
    def since_ns(self) -> int:
        """When the present state began."""
        return self._since_ns

    def arm(self, now_ns: int) -> None:
        """passive → stand-up. Raises TransitionError in any other state."""
        self._follow("arm", now_ns)
        if not self._slow:
            self._follow("risen", now_ns)

    def rise(self, now_ns: int) -> None:
        """stand-up → ready: stand-by is reached. Raises TransitionError in any other state."""
        self._follow("risen", now_ns, self._cause)

    def start(self, now_ns: int) -> None:
        """ready → ramp-in. Raises TransitionError in any other state."""
        self._follow("start", now_ns)

    def wait(self, now_ns: int) -> None:
        """ramp-in begins only now. Raises TransitionError in any other state."""
        if self._state is not State.RAMP_IN:
            raise TransitionError(f"the ramp cannot begin in state {self._state.value}, only in ramp_in")
        self._since_ns = now_ns

    def advance(self, now_ns: int) -> State:
        """ramp-in → running, and ramp-out → stopped, once the ramp is over; otherwise nothing. Returns the state."""
        if self._state is State.RAMP_IN and self.weight(now_ns) >= 1.0:
            self._follow("ramped in", now_ns)
        elif self._state is State.RAMP_OUT and self.weight(now_ns) <= 0.0:
            self._follow("ramped out", now_ns, self._cause)
        return self._state

    def hold(self, now_ns: int, cause: str) -> None:
        """ramp-in or running → stand-up: the robot goes back to stand-by and waits there to be started again. Raises
        TransitionError in any other state."""
        self._follow("hold", now_ns, cause)

    def stop(self, now_ns: int, cause: str, *, at_once: bool = False) -> None:
        """ramp-in or running → ramp-out; stand-up and ready → stopped, and all of them where the robot is not slow, or
        `at_once`. Raises TransitionError in any other state."""
        share = self.weight(now_ns)
        self._follow("stop", now_ns, cause)
        if self._state is not State.RAMP_OUT:
            return
        # A ramp that was broken off begins where it was.
        self._since_ns = now_ns - round((1.0 - share) * self._ramp_ns)
        if at_once or not self._slow or self._ramp_ns == 0:
            self._follow("ramped out", now_ns, cause)

    def damp(self, now_ns: int, cause: str) -> None:
        """Any state that commands the robot, but for a fault → damping. Raises TransitionError in the others."""
        self._follow("damp", now_ns, cause)

    def fault(self, now_ns: int, cause: str) -> None:
        """Any state → fault. The first cause is kept until the reset; later ones are consequences."""
        if self._state is not State.FAULT:
            self._enter(State.FAULT, now_ns, cause)

    def reset(self, now_ns: int) -> None:
        """stopped, damping or fault → passive. Raises TransitionError in any other state."""
        self._follow("reset", now_ns)

    def weight(self, now_ns: int) -> float:
        """Share of the driver in what is sent, in [0, 1]: rising in ramp-in, falling in ramp-out, 1 when running,
        otherwise 0."""
        if self._state is State.RUNNING:
            return 1.0
        if self._state not in (State.RAMP_IN, State.RAMP_OUT):
            return 0.0
        past = 1.0 if self._ramp_ns == 0 else min(1.0, max(0.0, (now_ns - self._since_ns) / self._ramp_ns))
        return past if self._state is State.RAMP_IN else 1.0 - past

    def _follow(self, event: str, now_ns: int, cause: str | None = None) -> None:
        follows = CHART[self._state]
        if event not in follows:
            allowed = ", ".join(name for name in follows if name in _REQUESTS) or "nothing"
            raise TransitionError(f"cannot {event} in state {self._state.value}; allowed here: {allowed}")
        self._enter(follows[event], now_ns, cause)

    def _enter(self, state: State, now_ns: int, cause: str | None = None) -> None:
        self._state, self._since_ns, self._cause = state, now_ns, cause


def chart() -> str:
    """The state machine as a Mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PASSIVE.value}"]
    for state, follows in CHART.items():
        lines += [f"    {state.value} --> {target.value}: {event}" for event, target in follows.items()]
    lines += [f"    {state.value} --> {State.FAULT.value}: fault" for state in ACTIVE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(chart(), end="")
