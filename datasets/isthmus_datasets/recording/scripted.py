"""Operators that are programs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.noisy_expert import NoisyExpert
from isthmus_datasets.recording.operator import Controller, Decision, Event
from isthmus_datasets.recording.robot import Observation


class ScriptedOperator(ABC):
    """Starts at once and acts as `plan` says, until the robot reports success or `steps` steps are done.

    Args:
        steps: Longest episode.
        noise: Standard deviation of what is added to every element of an action, in its units: a tremor, that of a step
            independent of that of the next.
        skill, stray: How well the plan is followed, see `NoisyExpert`.
        name: For the dataset.

    Raises:
        ValueError: no step at all, negative noise or stray, or skill not within 0..1.
    """

    def __init__(
        self, *, steps: int, noise: float = 0.0, skill: float = 1.0, stray: float = 0.0, name: str = "script"
    ) -> None:
        self._hand = NoisyExpert(skill=skill, stray=stray)
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
        self._hand.reset(seed)

    def decide(self, observation: Observation) -> Decision:
        """The plan, as well as the hand follows it, with noise."""
        action, event = self._hand.act(self.plan(observation, self._step)), self._event(observation)
        action = action + self._noise * self._random.standard_normal(action.shape).astype(action.dtype)
        self._step += 1
        return Decision(action=action, control=Controller.SCRIPT, event=event)

    def _event(self, observation: Observation) -> Event:
        if self._step == 0:
            return Event.START
        if observation.success:
            return Event.SUCCESS
        return Event.TIME if self._step >= self._steps else Event.NONE

    def resume(self) -> None:  # noqa: B027 (for those that plan ahead)
        """The plan is made anew at every step."""

    def close(self) -> None:  # noqa: B027 (for those that hold something)
        """Nothing is held."""
