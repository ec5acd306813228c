"""Operators that are programs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.operators.operator import Controller, Decision, Event
from isthmus_datasets.robot import Observation


class ScriptedOperator(ABC):
    """Starts at once and acts as `plan` says, until the robot reports success or `steps` steps are done.

    Args:
        steps: Longest episode.
        noise: Standard deviation of what is added to every element of an action, in its units.
        name: For the dataset.

    Raises:
        ValueError: no step at all, or negative noise.
    """

    def __init__(self, *, steps: int, noise: float = 0.0, name: str = "script") -> None:
        if steps < 1 or noise < 0.0:
            raise ValueError(f"steps must be positive and noise not negative, not {steps} and {noise}")
        self.name, self._steps, self._noise = name, steps, noise
        self.reset(0)

    @abstractmethod
    def plan(self, observation: Observation, step: int) -> NDArray[Any]:
        """The action for step 0, 1, 2 … of the episode."""

    def reset(self, seed: int) -> None:
        """Begin with step 0."""
        self._random, self._step = np.random.default_rng(seed), 0

    def decide(self, observation: Observation) -> Decision:
        """The plan, with noise."""
        action, event = self.plan(observation, self._step), self._event(observation)
        action = action + self._noise * self._random.standard_normal(action.shape).astype(action.dtype)
        self._step += 1
        return Decision(action=action, control=Controller.SCRIPT, event=event)

    def _event(self, observation: Observation) -> Event:
        if self._step == 0:
            return Event.START
        if observation.success:
            return Event.SUCCESS
        return Event.STOP if self._step >= self._steps else Event.NONE

    def close(self) -> None:  # noqa: B027 (for those that hold something)
        """Nothing is held."""
