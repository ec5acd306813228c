"""A policy node's side of its watchdog: starts it, tells it of every tick, and knows whether it is there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from socket import AF_UNIX, SOCK_SEQPACKET, socketpair

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.watchdog.heartbeat import READY, TOOK_OVER, Heartbeat, Orders, receive, send

_SILENT_S = 1.0  # it says something ten times a second
_END_S = 2.0
_FEWEST_PERIODS, _LEAST_PERIODS = 2, 3
_PATIENCE_S = 0.1  # for a contract whose readings never age


def watchdog_name(node: str) -> str:
    """Name of a policy node's watchdog, where `node` is the node's, with or without its namespace."""
    return f"{node}_watchdog"


def patience_s(contract: Contract, wanted_s: float | None = None) -> float:
    """How long the node may not tick while it drives the robot, s: what is wanted, or as long as its least patient
    reading may stay out, but three control periods at least. A sensor that is silent for so long stops the robot, and
    so does a node.

    Raises:
        Refusal: what is wanted is so short that a node that is well would be taken over from.
    """
    if wanted_s is not None:
        if not wanted_s >= _FEWEST_PERIODS * contract.control_period_s:
            raise Refusal(f"--hang-s {wanted_s:g}: at least {_FEWEST_PERIODS} control periods of {contract.robot}")
        return wanted_s
    ages_s = [signal.max_age_s for signal in contract.signals if signal.max_age_s is not None]
    return max(min(ages_s, default=_PATIENCE_S), _LEAST_PERIODS * contract.control_period_s)


class WatchdogClient:
    """The watchdog as its node sees it. Nothing here waits, but for `close`.

    Args:
        contract: The policy's.
        output: Descriptor of where it prints.
        inherited: Descriptors that stay open as long as it lives, such as that of the robot's lock.
    """

    def __init__(self, contract: Contract, *, output: int, inherited: Sequence[int]) -> None:
        self._output, self._inherited = output, inherited
        self._orders: Orders | None = None
        self._beat = Heartbeat(contract.commands)
        self._word = bytearray(64)
        self._start()

    def _start(self) -> None:
        self._channel, other = socketpair(AF_UNIX, SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "isthmus_deploy.ros.watchdog.process"],
                stdin=other.fileno(),
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,  # a signal to the node's terminal does not reach it
                pass_fds=self._inherited,
            )
        self._heard_ns = time.monotonic_ns()
        self._ready = False
        self.took_over = False
        """Whether it commands, or commanded, the robot in place of the node."""
        self.ended = False
        """Whether it is not there any more."""

    def give_orders(self, orders: Orders) -> None:
        """Let it join the network and watch."""
        self._orders = orders
        send(self._channel, orders.packet())

    def restart(self) -> None:
        """Let another one watch, after the one before has ended."""
        self._channel.close()
        self._start()
        if self._orders is not None:
            self.give_orders(self._orders)

    def exchange(self, drives: bool, commands: Mapping[str, np.ndarray], *, damped: bool = False) -> None:
        """Tell it that the node ticks, whether it drives the robot, whether that is damped, and what it is about to
        command; then `listen`."""
        self._beat.fill(drives, commands, damped=damped)
        send(self._channel, self._beat.packet)
        self.listen()

    def listen(self) -> None:
        """Hear what it has said since the last time."""
        while size := receive(self._channel, self._word):
            word = self._word[:size]
            self._heard_ns = time.monotonic_ns()
            self._ready = self._ready or word == READY
            self.took_over = self.took_over or word == TOOK_OVER
        self.ended = size == 0

    def problem(self) -> str | None:
        """Why the node must not drive the robot, by what is heard until now; None where it may."""
        self.listen()
        if self.took_over:
            return "the watchdog took over: this node was held up"
        if self.ended:
            return "the watchdog has ended"
        if not self._ready:
            return "the watchdog does not watch yet"
        silence_s = (time.monotonic_ns() - self._heard_ns) * 1e-9
        return f"the watchdog has been silent for {silence_s:.1f} s" if silence_s > _SILENT_S else None

    def close(self) -> None:
        """Let it go, and wait until it has left the network."""
        self._channel.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
