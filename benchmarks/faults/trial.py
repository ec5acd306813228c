"""One run of one kind of fault: bring the robot to where it happens, let it happen, judge what follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from faults.judge import Outcome, beyond_limits, judge
from faults.system import System

Phase = Literal["working", "idle", "starting"]
_STAYS_S = 0.3  # how long a robot must stay safe to count as safe
_PATIENCE_S = 4.0  # how long after its bound a robot is still watched, so that lateness has a number


@dataclass(frozen=True, kw_only=True)
class Stops:
    """The robot is told to stop, or begins its slow way to the ground, within 2 control periods of the fault, or of the
    time-out that notices it."""

    time_out_s: float = 0.0
    stray: int = 0
    """Commands that may still move it after the first safe one: a node that is held up while it sends one sends that
    when it goes on."""

    def bound_s(self, period_s: float) -> float:
        """From the fault to the first safe command, s."""
        return self.time_out_s + 2.0 * period_s


@dataclass(frozen=True, kw_only=True)
class Refuses:
    """The robot is not armed, or the node does not start, and nothing is commanded."""

    words: str = ""
    """What it must say."""


@dataclass(frozen=True, kw_only=True)
class Holds:
    """The robot works on within its limits, or is stopped before it leaves them."""

    distance_m: float = 0.6
    """From where it was at the fault, and from what lies between there and its goal."""
    seconds: float = 1.2


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of fault. `row` is that of the trials of November 2026 in which it failed, None where it held then or was
    not tried."""

    name: str
    inject: Callable[[Trial], object]
    expect: Stops | Refuses | Holds
    robot: str = "quadrotor"
    phase: Phase = "working"
    row: int | None = None
    options: tuple[object, ...] = ()
    """What the node is told."""
    unread: bool = False
    """Whether nobody reads what the node prints."""
    prefix: tuple[str, ...] = ()
    """What stands before the node's command."""
    ends_node: bool = False
    """Whether the node has ended afterwards."""


class Trial:
    """One run. Faults reach what they need through it.

    Args:
        kind: What happens.
        system: To whom.
        random: For whatever a fault draws.
    """

    def __init__(self, kind: Kind, system: System, random: np.random.Generator) -> None:
        self.kind, self.system, self.random = kind, system, random
        self.relay, self.operator = system.relay, system.operator
        self.period_s = system.robot_under_test.contract.control_period_s
        (self._limits,) = system.robot_under_test.contract.commands
        self.at_end: list[Callable[[], object]] = []
        """What a fault wants undone."""
        self._begun_ns = 0

    def run(self) -> Outcome:
        """Raises AssertionError where the robot could not be brought to where the fault happens."""
        self._prepare()
        try:
            outcome = self._happen()
        finally:
            for undo in self.at_end:
                undo()
        self.system.relay.clear()
        if self.kind.ends_node:
            self._wait_for_end()
        self.system.to_idle()
        node = self.system.node
        return Outcome(safe=False, what="a traceback") if node and "Traceback" in node.output else outcome

    def _wait_for_end(self) -> None:
        node = self.system.node
        assert node is not None
        self.operator.wait("end of the node", lambda: node.ended)

    def wait(self, seconds: float, done: Callable[[], object] = lambda: False) -> bool:
        """Let things happen for a while."""
        return self.operator.link.wait(seconds, done)

    def mark(self, begun_ns: int | None = None) -> None:
        """Now the fault begins, or it did at `begun_ns`, monotonic; else it does when `inject` is called, or the relay
        changes the first message."""
        self._begun_ns = time.monotonic_ns() if begun_ns is None else begun_ns

    def mark_in_tick(self) -> None:
        """Wait until the robot is told to stop: the fault began in the tick after the last command that moved it. This
        is for a fault inside the node, which nobody outside sees begin, and a robot whose safe command is sent at
        once."""
        self.wait(_PATIENCE_S, self._is_safe)
        safe = self._limits.safe
        self.mark(max(came_ns for came_ns, command in self.relay.commands if not np.array_equal(command, safe)) + 1)

    def _prepare(self) -> None:
        kind = self.kind
        if kind.phase == "starting":
            self.system.relay.clear()
            self.system.end_node()
            return
        self.system.ready(*kind.options, unread=kind.unread, prefix=kind.prefix)
        if kind.phase == "idle":
            self.system.robot_under_test.ask(self.operator)
        else:
            self.system.work()
            self.wait(self.random.uniform(0.0, 4.0 * self.period_s))  # anywhere in a control period

    def _happen(self) -> Outcome:
        self.mark()
        self.kind.inject(self)
        expect = self.kind.expect
        if isinstance(expect, Stops):
            return self._stops(expect)
        if isinstance(expect, Holds):
            return self._holds(expect)
        return self._refuses_start(expect) if self.kind.phase == "starting" else self._refuses(expect)

    def _stops(self, expect: Stops) -> Outcome:
        bound_s = expect.bound_s(self.period_s)
        self.wait(bound_s + _PATIENCE_S, self._is_safe)
        self.wait(_STAYS_S)
        return self._judge(bound_s, expect.stray)

    def _judge(self, bound_s: float | None = None, stray: int = 0) -> Outcome:
        begun_ns = self.relay.changed_ns or self._begun_ns
        return judge(self.relay.commands, self._limits, begun_ns, bound_s=bound_s, stray=stray)

    def _holds(self, expect: Holds) -> Outcome:
        home = self.operator.position.copy()
        ends = home, home if self.system.robot_under_test.goal_m is None else self.system.robot_under_test.goal_m
        low, high = np.minimum(*ends) - expect.distance_m, np.maximum(*ends) + expect.distance_m

        def astray() -> bool:
            position = self.operator.position
            return bool(((position < low) | (position > high)).any() or self.operator.up < 0.3)

        self.wait(expect.seconds, lambda: astray() or self._is_safe())
        if self._is_safe():
            self.wait(_STAYS_S)
            return self._judge()
        if astray():
            return Outcome(safe=False, what="it left its limits")
        problem = beyond_limits(self.relay.commands, self._limits)
        return Outcome(safe=problem is None, what=problem or "worked on")

    def _refuses(self, expect: Refuses) -> Outcome:
        answer = self.operator.ask("arm")
        if answer.success or expect.words not in answer.message or "never received" in answer.message:
            return Outcome(safe=False, what="it was armed" if answer.success else f"it said: {answer.message}")
        return Outcome(safe=not self.relay.commands, what=answer.message)

    def _refuses_start(self, expect: Refuses) -> Outcome:
        node = self.system.node
        assert node is not None, "the fault starts it"
        self.wait(40.0, lambda: node.ended)
        said = node.output.strip().splitlines()[-1:] or ["nothing"]
        if not node.ended or node.exit_status() != 2 or expect.words not in node.output:
            return Outcome(safe=False, what=f"it said: {said[0]}")
        return Outcome(safe=not self.relay.commands, what=said[0])

    def _is_safe(self) -> bool:
        came_ns, command = self.relay.commands[-1] if self.relay.commands else (0, np.zeros(0))
        return came_ns > self._begun_ns and np.array_equal(command, self._limits.safe)
