"""The task interface: a robot in a scene, what is observed, commanded, rewarded, randomised and when it ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from isthmus_sim.description import MemorySpec, RobotSpec
from isthmus_sim.engine import Engine, State
from isthmus_sim.signals import SensorModel, Signals
from isthmus_sim.terrain import Terrain

Memory = dict[str, Tensor]
"""What the policy carries between control steps: name -> (num_envs, *shape)."""

Goal = dict[str, Tensor]
"""What the operator asks of the robot, as signals: name -> (num_envs, size)."""


@dataclass(kw_only=True)
class Transition:
    """One control step of n worlds, as rewards see it.

    state: what it led to; goal: what was asked then; command (n, k): the robot command that was sent, in its unit, and
    previous: the one before it; progress in [0, 1] drives a reward's curriculum.
    """

    state: State
    goal: Goal
    command: Tensor
    previous: Tensor
    progress: float


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """The mirror image of rows (n, size): `rows[:, index] * sign`."""

    index: tuple[int, ...]
    sign: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One observation group: its shape without the batch axis, and the type of its numbers.

    A vector is (k,), an image (height, width, 3) uint8 RGB; a window of either has one axis more, in front.
    """

    shape: tuple[int, ...]
    dtype: Literal["float32", "uint8"] = "float32"

    @property
    def size(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.shape)


class Task(Protocol):
    """One readable file each. `observe`, `act` and `remember` are also what runs on the robot: the export compiles
    them.

    They are therefore pure functions of tensors, batched over the first axis, and see nothing but what the robot has.
    """

    name: str
    robot: RobotSpec
    memory: tuple[MemorySpec, ...]
    groups: dict[str, Group]
    """Observation groups by name: those of `observe` and those of `privileged`."""
    action_size: int
    reward_terms: tuple[str, ...]
    episode_steps: int
    terrain: Terrain | None
    """The ground; None where it is flat or there is none."""
    sensors: dict[str, SensorModel]
    command_delay: tuple[int, int]
    """Fewest and most control steps between a command and its effect."""
    trained_latency_s: float
    """Longest time from a sensor's reading to its command's effect that training has seen, beyond one control step."""
    levels: int
    """Levels of difficulty, 1 for none. Every world is at one, and `regrade` moves it."""
    mirror: dict[str, Mirror]
    """The robot's left-right symmetry: mirror images of "action" and of each observation group; empty for none."""
    environment: dict[str, str]
    """Element -> unit of the observation group "environment", what is around the robot; empty where there is none."""

    # On the robot and in simulation
    # ------------------------------------------------------------------------------------
    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        """Raw signals and memory -> the observation groups that the robot has, "actor" among them."""
        ...

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        """Action (n, action_size) in [-1, 1], decided on `signals` and `memory` -> robot commands by name, in their
        units."""
        ...

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        """The memory of the next control step, after `action` in [-1, 1] was decided on `signals`."""
        ...

    # In simulation only
    # ------------------------------------------------------------------------------------------------
    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        """What is asked at `episode_step` (n,), after `previous`; None where episodes begin."""
        ...

    def sense(self, state: State, goal: Goal) -> Signals:
        """The true value of every signal of the robot in `state`."""
        ...

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        """Observation groups that only simulation has (the critic's), true, for all worlds or for `ids`."""
        ...

    def reward(self, step: Transition) -> dict[str, Tensor]:
        """Reward terms of a step, each (n,)."""
        ...

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        """What a person would judge the robot by, in physical units, each (n,)."""
        ...

    def terminated(self, state: State, goal: Goal) -> Tensor:
        """(n,) bool: the episode has failed. True also where the state is not a number."""
        ...

    def succeeded(self, state: State, goal: Goal) -> Tensor | None:
        """(n,) bool: all is done, and the episode ends with its last reward; None where a task has no such end."""
        ...

    def disturb(self, engine: Engine, episode_step: Tensor, generator: torch.Generator) -> None:
        """Change what acts on the robots during an episode, such as a push; before every step."""
        ...

    def regrade(self, level: Tensor, state: State, goal: Goal, engine: Engine, ids: Tensor) -> Tensor:
        """The next level (k,) of worlds `ids` (k,), whose episodes at `level` ended in `state` with `goal`."""
        ...

    def reset(self, engine: Engine, ids: Tensor, level: Tensor, generator: torch.Generator) -> State:
        """Draw parameters and disturbance of worlds `ids`, set them in the engine, and return their start states at
        `level` (k,)."""
        ...


def longest_delay(sensors: dict[str, SensorModel], command_delay: tuple[int, int]) -> int:
    """Control steps that the slowest sensor and the command line can be late together."""
    return max((sensor.delay[1] for sensor in sensors.values()), default=0) + command_delay[1]
