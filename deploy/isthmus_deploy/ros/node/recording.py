"""The flight recorder as the node keeps it: what goes wrong with it is said once, and changes nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.flight.recorder import FlightRecorder
from isthmus_deploy.ros.node.policy_node import Config
from isthmus_deploy.safety.chain import Values
from isthmus_deploy.timing.loop import ControlLoop


class Recording:
    """A node's bag, where it is wanted and can be written.

    Args:
        config: Whether and where it is written.
        log: The node's logger.
    """

    def __init__(self, config: Config, log: Any) -> None:
        self._config, self._log = config, log
        self._recorder: FlightRecorder | None = None
        self._told = "off"

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell: where the bag is or why there is none, and how many cycles are not in it."""
        lost = 0 if self._recorder is None else self._recorder.lost
        return {"recording": self._told, "unrecorded_cycles": lost}

    def start(self, chain: PolicyController, loop: ControlLoop) -> None:
        """Record the ticks of the loop from now on."""
        if not self._config.record:
            return
        try:
            self._recorder = FlightRecorder(
                chain, loop, files=(self._config.chosen, *self._config.also), root=self._config.record_in,
                limit=round(self._config.record_gb * 1e9),
            )  # fmt: skip
        except OSError as error:
            self._end(f"no process can be started: {error.strerror}")
            return
        self._told = str(self._recorder.folder)
        self._log.info(f"recording to {self._told}")
        if self._recorder.without_images:
            self._log.warning("the policy's images are too large to be recorded: the bag has all but them")

    def tick(
        self, now_ns: int, signals: Values, ages_s: Mapping[str, float], sent: Values | None, latency_ns: int = 0
    ) -> None:
        """Record a tick; `FlightRecorder.record` says of what."""
        if self._recorder is not None:
            self._recorder.record(now_ns, signals, ages_s, sent, latency_ns)

    def look(self) -> None:
        """See whether it still records. It asks the system: not in every tick."""
        problem = None if self._recorder is None else self._recorder.problem()
        if problem:
            self._end(problem)

    def close(self) -> None:
        """Let the bag be finished."""
        if self._recorder is not None and not self._recorder.close():
            self._log.warning("the flight recorder takes long; it finishes its bag by itself")

    def _end(self, why: str) -> None:
        self._recorder, self._told = None, f"ended: {why}"
        self._log.warning(f"the flight recorder has ended: {why}")
