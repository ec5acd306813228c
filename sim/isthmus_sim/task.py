"""The task interface: a robot in a scene, what is observed, commanded, rewarded, randomised, and when it ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, Resets, State
from isthmus_sim.rotations import rotation_matrix, to_body
from isthmus_sim.scene import Scene
from isthmus_sim.sensors import SensorModel, SignalNoise, Signals, longest_latency
from isthmus_sim.specs import MemorySpec

Memory = dict[str, Tensor]
"""What the policy carries between control steps: name -> (num_envs, *shape)."""

Goal = dict[str, Tensor]
"""What the operator asks of the robot, as signals: name -> (num_envs, size)."""


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


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """The mirror image of rows (n, size): `rows[:, index] * sign`."""

    index: tuple[int, ...]
    sign: tuple[float, ...]


@dataclass(kw_only=True)
class BaseMotion:
    """A free base in its own axes.

    matrix (n, 9): world_from_body, row by row; velocity (n, 3) m/s and turning (n, 3) rad/s, body; down (n, 3): the
    direction of gravity, body.
    """

    matrix: Tensor
    velocity: Tensor
    turning: Tensor

    @property
    def down(self) -> Tensor:
        return -self.matrix[:, 6:]

    @classmethod
    def of(cls, state: State) -> BaseMotion:
        """That of the free body without a prefix."""
        matrix = rotation_matrix(state["orientation"])
        return cls(matrix=matrix, velocity=to_body(matrix, state["linear_velocity"]), turning=state["angular_velocity"])


@dataclass(kw_only=True)
class Transition:
    """One control step of n worlds, as rewards see it.

    state: what it led to; goal: what was asked then; commands: what was sent, by name, (n, k) each in its unit, and
    previous: the ones before; progress in [0, 1] drives a reward's curriculum.
    """

    state: State
    goal: Goal
    commands: Commands
    previous: Commands
    progress: float

    @cached_property
    def base(self) -> BaseMotion:
        """The motion of the base, worked out once for all terms."""
        return BaseMotion.of(self.state)


@dataclass(frozen=True, kw_only=True)
class Reward:
    """One term: `weight` times what `function` makes of a control step, (n,)."""

    weight: float
    function: Callable[[Transition], Tensor]


Phase = Literal["standby", "driven"]
"""When a condition holds: from arming until the policy starts, or while it drives."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What must hold of a robot, as training had it: that which ended an episode as a failure, or without which none
    began. The contract carries it, and the robot stops by it.

    margin: the true or read signals -> (n,), how far it is from being broken, in `unit`; below zero, or no number, it
    is. The export compiles it, so it is as pure as `observe`.
    description: what holds, with its limit, to follow its name, such as "leans by at most 1.05 rad".
    holds: on the robot; one that a resting robot breaks rightfully, such as a height, holds when it is driven only.
    """

    margin: Callable[[Signals], Tensor]
    unit: str
    description: str
    holds: tuple[Phase, ...] = ("standby", "driven")


class Event:
    """Something that happens to the robots while they work, such as a push. A subclass says when and what."""

    def reset(self, engine: Engine, ids: Tensor, params: Params, generator: torch.Generator) -> None:
        """Worlds `ids` (k,) start anew, with `params`, k rows of those that were drawn."""

    def step(self, engine: Engine, episode_step: Tensor, generator: torch.Generator) -> None:
        """A control step begins, the `episode_step` (num_envs,) of each world."""


Draw = Callable[[int, torch.Generator], Params]
"""`draw(n, generator)`: parameters of n worlds, name -> (n, size)."""


class Task:
    """One readable file each. A subclass lists what it has; what it lacks has a default here.

    `observe`, `act` and `remember` also run on the robot: the export compiles them. They are therefore pure functions
    of tensors, batched over the first axis, and see nothing but what the robot has.
    """

    name: str
    robot: RobotDescription
    scene: Scene
    config: Any
    """The dataclass it was made from."""
    groups: Mapping[str, Group]
    """Observation groups by name: those of `observe` and those of `privileged`."""
    action_size: int
    episode_steps: int
    rewards: Mapping[str, Reward]

    engines: tuple[str, ...] = ("mujoco",)
    """Engines that it is meant for; the first is the default."""
    memory: tuple[MemorySpec, ...] = ()
    sensors: Mapping[str, SensorModel] = {}
    """Sensor -> how its messages come."""
    noise: Mapping[str, SignalNoise] = {}
    """Signal -> how wrong it is."""
    command_delay_steps: tuple[int, int] = (0, 0)
    """Fewest and most control steps between a command and its effect."""
    actuation_delay_s: float = 0.0
    """Longest time, s, that actuators may wait beside that."""
    events: tuple[Event, ...] = ()
    training_events: tuple[Event, ...] = ()
    """What happens while a policy is trained and never to a robot or in an evaluation. They have no part in resets."""
    randomization: tuple[Draw, ...] = ()
    """What is drawn for each episode."""
    levels: int = 1
    """Levels of difficulty. Every world is at one, and `next_level` moves it."""
    graded: Mapping[str, tuple[float, float]] = {}
    """What makes an episode easy or hard, with its least and most: a level of the task is a point within. A physical
    parameter of one number, or a name of the task's own, which `start` finds among its `params`, (k, 1). Training may
    choose levels (`isthmus_sim.resets.levels`); elsewhere they are even draws."""
    cells: Mapping[str, float] = {}
    """Quantity of the scene -> how far apart states are in it, in its unit, that an explorer should tell apart
    (`isthmus_sim.resets.archive`)."""
    kinds: tuple[str, ...] = ()
    """Kinds of surroundings; world i stays in the (i mod n)-th."""
    mirror: Mapping[str, Mirror] = {}
    """The robot's left-right symmetry: mirror images of "action" and of observation groups; empty for none."""
    environment: Mapping[str, str] = {}
    """Element -> unit of the observation group "environment", what is around the robot; empty where there is none."""
    has_goal: bool = False
    """Whether there is something to achieve, which `succeeded` tells: then running out of time is no success. Without,
    the task is to last, and whoever reaches the end of time has."""
    failure_reward: float = 0.0
    """What the step that fails earns, and nothing else: its terms do not count."""
    goal_range: Mapping[str, tuple[tuple[float, ...], ...]] = {}
    """Goal signal -> least and most of each element that training asks for; a contract holds operators to it."""
    goal_around: Mapping[str, str] = {}
    """Goal signal -> the reading of the same quantity that its range is about, as it is when the policy starts."""
    conditions: Mapping[str, Condition] = {}
    """By name: what must hold of the robot, of that which its signals tell."""

    # --- on the robot and in simulation ---

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        """Raw signals and memory -> the observation groups that the robot has, "actor" among them."""
        raise NotImplementedError

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> Commands:
        """Action (n, action_size) in [-1, 1], decided on `signals` and `memory` -> robot commands by name, in their
        units."""
        raise NotImplementedError

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        """The memory of the next control step, after `action` in [-1, 1] was decided on `signals`."""
        return memory

    def action_of(self, commands: Commands, signals: Signals, memory: Memory) -> Tensor:
        """The inverse of `act`: the action (n, action_size) whose commands are nearest to these, not clipped. Needed
        where others act for a while, so that the memory is as if the policy had."""
        raise NotImplementedError(
            f"the task {self.name!r} has no action_of, the inverse of act: others cannot act for its policy"
        )

    # --- in simulation only ---

    def sense(self, state: State, goal: Goal) -> Signals:
        """The true value of every signal of the robot in `state`, but for ages of readings (frame "age")."""
        raise NotImplementedError

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        """Where worlds `ids` (k,) begin at `level` (k,), with `params`, k rows of what was drawn for them."""
        raise NotImplementedError

    def state_of(self, signals: Signals) -> State:
        """The inverse of `sense`: states (n rows, those that `start` sets) in which the robot would read `signals`, at
        rest. Needed where episodes shall begin as somebody has recorded them."""
        raise NotImplementedError(
            f"the task {self.name!r} has no state_of, the inverse of sense: episodes cannot begin as they were recorded"
        )

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        """What is asked at `episode_step` (n,), after `previous`; None where episodes begin."""
        return {}

    def track(self, goal: Goal, state: State) -> Goal:
        """The goal with what is kept beside it of how the episode has gone, such as for how long something was held;
        after every step, and where episodes begin."""
        return goal

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        """Observation groups that only simulation has (the critic's), true, for all worlds or for `ids`."""
        return {}

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        """What a person would judge the robot by, in physical units, each (n,)."""
        return {}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        """(n,) bool: the episode has failed. True also where the state is not a number."""
        raise NotImplementedError

    def succeeded(self, state: State, goal: Goal) -> Tensor | None:
        """(n,) bool: all is done, and the episode ends with its last reward; None where a task has no such end."""
        return None

    def next_level(self, level: Tensor, failed: Tensor, state: State, goal: Goal, ids: Tensor) -> Tensor:
        """The next level (k,) of worlds `ids` (k,), whose episodes at `level` ended in `state` with `goal`."""
        return level

    # --- what follows from the lists above ---

    def reward(self, step: Transition) -> dict[str, Tensor]:
        """Every term of a step, (n,) each."""
        return {name: term.weight * term.function(step) for name, term in self.rewards.items()}

    def reset(
        self, engine: Engine, ids: Tensor, level: Tensor, generator: torch.Generator, graded: Params | None = None
    ) -> Resets:
        """Draw parameters, events and start states of worlds `ids` at `level` (k,), with what is `graded` as given."""
        params: Params = {}
        for draw in self.randomization:
            params |= draw(len(ids), generator)
        params |= graded or {}
        for event in self.events:
            event.reset(engine, ids, params, generator)
        state = self.start(ids, level, params, generator)
        own = self.graded.keys() - {parameter.name for parameter in self.scene.parameters}
        return Resets(ids=ids, state=state, params={name: v for name, v in params.items() if name not in own})

    @property
    def trained_latency_s(self) -> float:
        """Longest time from a sensor's sample to its command's effect that training has seen, beyond one control step,
        s."""
        delay = self.command_delay_steps[1] * self.robot.control_period_s
        late = longest_latency(self.robot.signals, self.sensors, self.noise)
        return late + delay + self.actuation_delay_s
