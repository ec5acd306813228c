"""A policy that is run in every control period."""

from __future__ import annotations

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.drivers.driver import Values
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.commands.filter import GoalLimiter
from isthmus_deploy.safety.conditions import Conditions


class StepDriver:
    """Drives by one step of the policy a tick. A goal that is plausible but was never asked in training is held to the
    trained range.

    Args:
        runtime: The loaded policy.

    Raises:
        ValueError: it is a policy of chunks.
    """

    monitor = None
    taken_chunks = 0

    def __init__(self, runtime: Runtime):
        if runtime.contract.chunk is not None:
            raise ValueError("a policy of chunks is not driven step by step: it reads windows and gives chunks")
        self._runtime = runtime
        self._goals = GoalLimiter(runtime.contract)

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
        """Nothing."""
        return {}

    def conditions(self) -> Conditions:
        """Judges readings by the policy's conditions; a new one, which nothing was judged by yet."""
        return self._runtime.conditions()

    def begin(self) -> None:
        """An episode begins with the next tick: the memory is as at its start."""
        self._goals.reset()
        self._runtime.reset()

    def wanted(self, signals: Values, now_ns: int) -> Values:
        """What the policy wants, by name; overwritten by the next call. Raises DriverFailed where ONNX Runtime cannot
        compute it."""
        return self._runtime.step(self._goals.apply(signals))

    def take_scores(self) -> np.ndarray | None:
        """None: it is not watched."""
        return None

    def close(self) -> bool:
        """Nothing runs beside the loop: True."""
        return True
