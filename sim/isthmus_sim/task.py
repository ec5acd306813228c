"""The task interface: a robot in a scene, what is observed, commanded, rewarded, randomised and when it ends."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from isthmus_sim.engine import Engine, State
from isthmus_sim.signals import SensorModel, Signals
from isthmus_sim.spec import MemorySpec, RobotSpec

Memory = dict[str, Tensor]
"""What the policy carries between control steps: name -> (num_envs, *shape)."""

Goal = dict[str, Tensor]
"""What the operator asks of the robot, as signals: name -> (num_envs, size)."""


class Task(Protocol):
    """One readable file each. `observe`, `act` and `remember` are also what runs on the robot: the export compiles
    them.

    They are therefore pure functions of tensors, batched over the first axis, and see nothing but what the robot has.
    """

    name: str
    robot: RobotSpec
    memory: tuple[MemorySpec, ...]
    groups: dict[str, int]
    """Observation groups and their sizes; "actor" is what `observe` returns."""
    action_size: int
    reward_terms: tuple[str, ...]
    episode_steps: int
    sensors: dict[str, SensorModel]
    command_delay: tuple[int, int]
    """Fewest and most control steps between a command and its effect."""

    # On the robot and in simulation
    # ------------------------------------------------------------------------------------
    def observe(self, signals: Signals, memory: Memory) -> Tensor:
        """Raw signals and memory -> the actor's observation (n, groups["actor"])."""
        ...

    def act(self, action: Tensor) -> dict[str, Tensor]:
        """Action (n, action_size) in [-1, 1] -> robot commands by name, in their units."""
        ...

    def remember(self, memory: Memory, action: Tensor) -> Memory:
        """The memory of the next control step, after `action` in [-1, 1]."""
        ...

    # In simulation only
    # ------------------------------------------------------------------------------------------------
    def goal(self, episode_step: Tensor) -> Goal:
        """What is asked at `episode_step` (n,)."""
        ...

    def sense(self, state: State, goal: Goal) -> Signals:
        """The true value of every signal of the robot in `state`."""
        ...

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        """Observation groups that only simulation has (the critic's), true, for all worlds or for `ids`."""
        ...

    def reward(self, state: State, goal: Goal, command: Tensor, previous: Tensor, progress: float) -> dict[str, Tensor]:
        """Reward terms of the step in which `command`, after `previous`, led to `state`, each (n,); `progress` in [0,
        1] drives the curriculum."""
        ...

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        """What a person would judge the robot by, in physical units, each (n,)."""
        ...

    def terminated(self, state: State, goal: Goal) -> Tensor:
        """(n,) bool: the episode has failed. True also where the state is not a number."""
        ...

    def reset(self, engine: Engine, ids: Tensor, generator: torch.Generator) -> State:
        """Draw parameters and disturbance of worlds `ids`, set them in the engine, and return their start states."""
        ...
