"""A policy that is run in every control period."""

from __future__ import annotations

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.drivers.driver import Values
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.commands.filter import GoalLimiter
from isthmus_deploy.safety.conditions import Conditions
from isthmus_deploy.safety.monitor import RuntimeMonitor


class StepDriver:
    """Drives by one step of the policy a tick. A goal that is plausible but was never asked in training is held to the
    trained range. A monitor's scores are computed after the step, in every n-th tick as the contract says.

    Args:
        runtime: The loaded policy.

    Raises:
        ValueError: it is a policy of chunks.
    """

    taken_chunks = 0

    def __init__(self, runtime: Runtime):
        if runtime.contract.chunk is not None:
            raise ValueError("a policy of chunks is not driven step by step: it reads windows and gives chunks")
        self._runtime = runtime
        self._goals = GoalLimiter(runtime.contract)
        watched = runtime.contract.monitor
        self.monitor = None if watched is None else RuntimeMonitor(watched)
        """Judges its scores; None for a policy that is not watched."""
        self._every = 1 if watched is None else watched.every or 1
        self._steps = 0
        self._scores: np.ndarray | None = None

    @property
    def contract(self) -> Contract:
        """The policy's."""
        return self._runtime.contract

    @property
    def digest(self) -> str:
        """The policy's, as 64 hexadecimal digits."""
        return self._runtime.digest

    @property
    def clamped_goals(self) -> int:
        """Steps since the start of the process in which a goal was outside what training asked, and was held to it."""
        return self._goals.clamped_steps

    @property
    def counters(self) -> dict[str, object]:
        """What diagnostics tell of its monitor, by name."""
        return {} if self.monitor is None else self.monitor.counters

    def conditions(self) -> Conditions:
        """Judges readings by the policy's conditions; a new one, which nothing was judged by yet."""
        return self._runtime.conditions()

    def begin(self) -> None:
        """An episode begins with the next tick: the memory is as at its start."""
        self._goals.reset()
        self._runtime.reset()
        self._steps, self._scores = 0, None
        if self.monitor is not None:
            self.monitor.begin()

    def wanted(self, signals: Values, now_ns: int) -> Values:
        """What the policy wants, by name; overwritten by the next call. Raises DriverFailed where ONNX Runtime cannot
        compute it, or its scores."""
        commands = self._runtime.step(self._goals.apply(signals))
        if self._runtime.scores is not None and self._steps % self._every == 0:
            self._scores = self._runtime.scores(self._runtime.scored()).copy()
        self._steps += 1
        return commands

    def take_scores(self) -> np.ndarray | None:
        """Scores (scores,) of a step of this episode that have come; None where there are no more."""
        scores, self._scores = self._scores, None
        return scores

    def close(self) -> bool:
        """Nothing runs beside the loop: True."""
        return True
