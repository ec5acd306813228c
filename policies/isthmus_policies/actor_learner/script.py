"""A script in the place of a person who takes over: for experiments, and for teaching without anybody at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.operator import Decision, Driver
from isthmus_datasets.recording.robot import Observation


@dataclass(frozen=True, kw_only=True)
class ScriptConfig:
    """When the task's script takes over from the policy."""

    probability: float = 0.0
    """How likely it takes over at each step of the policy's; 0: it never does."""
    patience: int = 0
    """Control steps at the beginning of an episode in which it does not: who looks on waits and sees."""
    duration: int = 20
    """Control steps that it then drives, or fewer where the episode ends."""
    fades_after: int | None = None
    """Control steps over which the probability falls to 0, evenly; None: it stays."""
    noise: float | None = None
    """Standard deviation of what is added to its actions, in their unit; by default what suits the task."""
    skill: float = 1.0
    """From 0 to 1. With less of it, it strays and lapses."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0 or not 0.0 <= self.skill <= 1.0:
            raise ValueError(f"probability and skill must lie within [0, 1], got {self.probability}, {self.skill}")
        if self.patience < 0:
            raise ValueError(f"patience must not be negative, got {self.patience}")
        if self.duration < 1 or (self.fades_after is not None and self.fades_after < 1):
            raise ValueError(f"duration and fades_after must be at least 1, got {self.duration}, {self.fades_after}")
        if self.noise is not None and self.noise < 0.0:
            raise ValueError(f"noise must not be negative, got {self.noise}")


class ScriptedHuman:
    """A script that wants control now and then: a `teleop.operators.take_over.Human`.

    Args:
        script: Who drives then; it is asked at every step, as a person looks on all the time.
        config: When.
    """

    def __init__(self, script: Driver, config: ScriptConfig) -> None:
        self.name = script.name
        self._script, self._config = script, config
        self._done = 0  # control steps, of all episodes
        self.reset(0)

    @property
    def wants_control(self) -> bool | None:
        """What it said with its last decision."""
        return self._wish

    def reset(self, seed: int) -> None:
        """A new episode: it looks on."""
        self._random, self._left, self._wish = np.random.default_rng(seed), 0, None
        self._step = 0
        self._script.reset(seed)

    def decide(self, observation: Observation) -> Decision:
        """What the script would do, and whether it takes over or lets go with that."""
        self._wish = None
        if self._left > 0:
            self._left -= 1
            self._wish = False if self._left == 0 else None
        elif self._step >= self._config.patience and self._random.random() < self._config.probability * self._share:
            self._wish, self._left = True, self._config.duration
            self._script.resume()
        self._done += 1
        self._step += 1
        return self._script.decide(observation)

    @property
    def _share(self) -> float:
        fades = self._config.fades_after
        return 1.0 if fades is None else max(0.0, 1.0 - self._done / fades)

    def align(self, observation: Observation, *, recording: bool, sent: NDArray[Any] | None = None) -> None:
        """It begins from where the robot is anyway."""

    def close(self) -> None:
        """Close the script."""
        self._script.close()
