"""The system under test: a stand-in robot, the policy node that drives it, an operator; two processes and a relay."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ros_processes import Operator, Process, watchdog_of

from faults.relay import Relay
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.ros.bindings.table import bindings

READY_S = 40.0
NORMAL = ("chrt", "--other", "0")
"""What stands before the command of a process that must not inherit the campaign's real-time scheduling: one that never
rests would take the machine from everybody else."""
_REST_M = 0.01  # how far a robot at rest moves meanwhile
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class RobotUnderTest:
    """A robot, the contract of what drives it, and how it is set going."""

    name: str
    stand_in: tuple[object, ...]
    contract: Contract
    height_m: tuple[float, float]
    """Between what heights it is at work."""
    goal_m: tuple[float, float, float] | None
    """Where it is asked to be, in the world; None for a robot that stays where it is."""
    ask: Callable[[Operator], object]
    """Asks for what it needs to be asked before it can be armed."""
    go: Callable[[Operator], object]
    """Asks for that, arms and starts it."""


class System:
    """All processes of one robot; whatever a run has broken is started again by `ready`.

    Args:
        robot: Which robot.
        policy: The policy file of the node.
        folder: For whatever a run writes.
        scheduling: What stands before the processes' commands: for real-time scheduling, or nothing.
    """

    def __init__(self, robot: RobotUnderTest, policy: Path, folder: Path, scheduling: list[str]) -> None:
        self.robot_under_test, self.policy, self.folder, self._scheduling = robot, policy, folder, scheduling
        self.commands_topic = bindings().command(robot.contract.commands[0]).topic
        self.operator = Operator(self.commands_topic, patience_s=10.0)
        self.relay = Relay(self.operator.link, robot.contract.interface())
        self.robot = self._start_robot()
        self.node: Process | None = None
        self._told: object = None

    def ready(self, *options: object, unread: bool = False, prefix: tuple[str, ...] = ()) -> None:
        """Wait until the robot is at rest and the node idle; start what is not there, or was told otherwise."""
        self.relay.clear()
        told = (options, unread, prefix)
        if self.node and (self.node.ended or told != self._told):
            self.end_node()
        self._bring_robot_to_rest()
        if self.node is None:
            self._told = told
            self.node = self.start_node(*options, unread=unread, prefix=prefix)
        self._wait_for_idle(self.node)

    def _wait_for_idle(self, node: Process) -> None:
        self.operator.diagnostics.clear()
        self.operator.wait("idle node", lambda: self.operator.state == "passive" or node.ended, READY_S)
        assert not node.ended, f"the node ended: {node.output}"

    def start_node(self, *options: object, prefix: tuple[str, ...] = (), **how: Any) -> Process:
        """Start a policy node; a policy file among the options takes the place of the usual one."""
        policy = () if any(isinstance(option, Path) for option in options) else (self.policy,)
        arguments = (*policy, *options)
        return Process("isthmus_deploy.ros.node.policy_node", *arguments, prefix=[*prefix, *self._scheduling], **how)

    @property
    def last_words(self) -> str:
        """What the node printed last."""
        lines = self.node.output.strip().splitlines() if self.node else []
        return lines[-1] if lines else "none"

    def watchdog(self) -> int:
        """Process of the node's watchdog."""
        assert self.node is not None
        return watchdog_of(self.node.pid)

    def work(self) -> None:
        """Let the robot work, as it does before most faults."""
        under_test, operator = self.robot_under_test, self.operator
        under_test.go(operator)
        low, high = under_test.height_m
        at_work = lambda: operator.state == "running" and low < operator.position[2] < high  # noqa: E731
        operator.wait("robot at work", lambda: at_work() or operator.state == "fault", 10.0)
        assert at_work(), f"fault before the fault: {operator.diagnostics[-1]['cause']}"

    def to_idle(self) -> None:
        """Stop the node, and reset it."""
        if self.node is None or self.node.ended:
            return
        operator = self.operator
        operator.ask("stop")
        operator.wait("reset", lambda: operator.ask("reset").success or operator.state == "passive", 10.0)

    def end_node(self) -> None:
        """End the node and its watchdog."""
        node, self.node = self.node, None
        if node is None:
            return
        try:
            node.end()
        except AssertionError:  # it does not end; that is judged where it is the fault
            node.kill()

    def close(self) -> None:
        """End everything."""
        self.relay.clear()
        self.end_node()
        self.robot.kill()
        self.operator.close()

    def _start_robot(self) -> Process:
        arguments = (*self.robot_under_test.stand_in, "--namespace", Relay.namespace)
        return Process("isthmus_deploy.ros.stand_in_robot", *arguments, prefix=self._scheduling)

    def _bring_robot_to_rest(self) -> None:
        for _ in range(_TRIES):
            if self.robot.ended:
                self.operator.position[:] = np.nan
                self.robot = self._start_robot()
            self.operator.wait("sight of the robot", lambda: not np.isnan(self.operator.position).any(), READY_S)
            if self._rests():
                return
            self.robot.kill()
        raise AssertionError("the robot does not come to rest")

    def _rests(self) -> bool:
        """Whether it lies still, and the right way up, within a few seconds."""
        operator, last = self.operator, np.full(3, np.inf)
        deadline = time.monotonic() + 4.0
        while time.monotonic() < deadline:
            last = operator.position.copy()
            operator.link.wait(0.15)
            moved = np.abs(operator.position - last).max()
            if moved < _REST_M and operator.position[2] < self.robot_under_test.height_m[0]:
                return operator.up > 0.9 and np.abs(operator.position[:2]).max() < 3.0
        return False
