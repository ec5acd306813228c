"""What a policy node says of itself: diagnostics, a line when its state changes, and a summary at the end."""

from __future__ import annotations

from typing import Protocol

from diagnostic_msgs.msg import DiagnosticArray

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.node.status import diagnostics
from isthmus_deploy.ros.ros2 import Link
from isthmus_deploy.safety.supervisor import State
from isthmus_deploy.timing.histogram import LatencyHistogram
from isthmus_deploy.timing.loop import ControlLoop, SectionTimer


class Counted(Protocol):
    """Whatever has something to tell in diagnostics, by name."""

    @property
    def counters(self) -> dict[str, object]: ...


class Reports:
    """The node's reports.

    Args:
        link: The node.
        chain: Its state and the policy that drives are told.
        loop: Its timing is told.
        told: What else has counters.
    """

    def __init__(
        self, link: Link, chain: PolicyController, loop: ControlLoop, told: tuple[Counted, ...]
    ) -> None:
        self._link, self._contract = link, chain.contract
        self._chain, self._loop, self._told = chain, loop, (chain, *told)
        self._log = link.node.get_logger()
        self._publisher = link.node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        self.sections = SectionTimer(("read", "policy", "publish", "record", "report"))
        """Where a tick's time goes."""
        self.latency = LatencyHistogram()
        """From a reading to the command that answers it."""

    def publish(self) -> None:
        """Send the diagnostics."""
        values: dict[str, object] = {
            "node": self._link.node.get_fully_qualified_name(),
            "policy_sha256": self._chain.driver.digest,
            "cycles": self._loop.cycles,
            "missed_readings": self._loop.missed_readings,
            "overruns": self._loop.overruns,
            "held_up_ms": round(self._loop.held_up_s * 1e3, 1),
            "latency_p50_us": round(self.latency.percentile_ns(50) / 1e3),
            "latency_p99_us": round(self.latency.percentile_ns(99) / 1e3),
        }
        for told in self._told:
            values |= told.counters
        state, cause = self._chain.state, self._chain.cause or self._chain.alarm
        message = diagnostics(self._link.now(), robot=self._contract.robot, state=state, cause=cause, values=values)
        self._publisher.publish(message)

    def log_state(self) -> None:
        """Say which state has begun, and why."""
        state, cause = self._chain.state, self._chain.cause
        text = f"{state.value}: {cause}" if cause else state.value
        if state is State.FAULT:  # rclpy ties a severity to the line of the call
            self._log.error(f"{text}{self._held_up()}")
        else:
            self._log.info(text)

    def timing_line(self) -> str:
        """The loop's timing in a line."""
        latency = self.latency.summary()
        return (
            f"{self._loop.cycles} cycles, {self._loop.missed_readings} late readings, {self._loop.overruns} overruns, "
            f"reading to command p50 {latency['p50_us']:.0f} us, p99 {latency['p99_us']:.0f} us"
        )

    def summary(self) -> dict[str, object]:
        """All of it, ready for JSON."""
        counters: dict[str, object] = {}
        for told in self._told:
            counters |= told.counters
        return {
            "robot": self._contract.robot,
            "policy_sha256": self._chain.driver.digest,
            "state": self._chain.state.value,
            "cause": self._chain.cause,
            **counters,
            "loop": self._loop.summary(),
            "sections": self.sections.summary(),
            "reading_to_command": self.latency.summary(),
        }

    def _held_up(self) -> str:
        """Whether readings may have been late because this machine was."""
        held_up_s = self._loop.held_up_s
        if held_up_s < self._contract.control_period_s:
            return ""
        return f" (this machine was busy and woke the node up to {held_up_s:.2g} s late)"
