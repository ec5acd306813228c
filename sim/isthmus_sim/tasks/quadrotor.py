"""The quadrotor of "Learning to Fly in Seconds" (Eschmann, Albani, Loianno 2023): hold a position by direct motor
commands.

Everything in `QuadrotorConfig()` is the paper's public specification; `randomized()` is what a policy meant for a real
airframe trains on. The robot's reference may move: the policy sees only the errors to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_sim.description import MemorySpec
from isthmus_sim.engine import Engine, State
from isthmus_sim.robots.quadrotor.description import (
    GRAVITY,
    MAX_ROTOR_SPEED,
    PARAMETER_SIZES,
    RPM,
    SPEC,
    sample_parameters,
)
from isthmus_sim.rotations import random_orientation, rotation_matrix, to_body, to_world
from isthmus_sim.signals import SensorModel, Signals
from isthmus_sim.task import Goal, Group, Memory, Mirror, Transition, longest_delay
from isthmus_sim.terrain import Terrain

Reference = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Time since the episode's start (n,) s -> reference position (n, 3) m and velocity (n, 3) m/s, world."""

HOVER_ACTION = 0.334  # the specification's: 14,476 of 21,702 rpm


def hold_still(time: Tensor) -> tuple[Tensor, Tensor]:
    """The origin, at rest."""
    zero = torch.zeros(len(time), 3, device=time.device)
    return zero, zero


def figure_eight(period: float, half_length: float = 1.0, half_width: float = 0.5) -> Reference:
    """A horizontal figure eight (Lissajous 1:2) through the origin, once in `period` s; half extents in m."""

    def reference(time: Tensor) -> tuple[Tensor, Tensor]:
        rate = 2 * math.pi / period
        phase = rate * time
        zero = torch.zeros_like(phase)
        position = torch.stack((half_length * phase.sin(), half_width * (2 * phase).sin(), zero), dim=-1)
        velocity = torch.stack((half_length * phase.cos(), 2 * half_width * (2 * phase).cos(), zero), dim=-1)
        return position, rate * velocity

    return reference


@dataclass(frozen=True, kw_only=True)
class Weight:
    """Weight of a cost term: grows from `start` by `factor` a curriculum stage until it is `target`."""

    start: float
    factor: float
    target: float

    @property
    def stages(self) -> float:
        """Stages until the target is reached."""
        return math.log(self.target / self.start) / math.log(self.factor) if self.factor > 1 else 0.0

    def at(self, stage: float) -> float:
        return min(self.target, self.start * self.factor**stage)


@dataclass(frozen=True, kw_only=True)
class RewardWeights:
    """The reward's constants: survival per step, and weights of the squared errors in 1/m², 1, s²/m², 1."""

    position: Weight = Weight(start=5.0, factor=1.2, target=40.0)
    orientation: Weight = Weight(start=5.0, factor=1.0, target=5.0)
    velocity: Weight = Weight(start=0.01, factor=1.4, target=1.0)
    action: Weight = Weight(start=0.01, factor=1.4, target=1.0)
    smoothness: float = 0.0
    """Weight of the squared change of action; none in the paper. Without it a policy flickers between stop and full
    thrust, which motors follow only on average and pay for in heat."""
    survival: float = 2.0
    scale: float = 0.5

    @property
    def stages(self) -> float:
        """Stages of the whole curriculum, 13.7. The paper's 300,000-step training goes through 3 of them."""
        return max(weight.stages for weight in (self.position, self.orientation, self.velocity, self.action))


def _sensors() -> dict[str, SensorModel]:
    # The specification gives the noise of each entry of the rotation matrix, 0.001. A turn of σ rad about each axis
    # moves the nine entries by √(2/3)·σ in the root mean square.
    return {
        "position": SensorModel(noise=0.001),
        "orientation": SensorModel(noise=0.001 * math.sqrt(1.5)),
        "linear_velocity": SensorModel(noise=0.002),
        "angular_velocity": SensorModel(noise=0.002),
    }


@dataclass(frozen=True, kw_only=True)
class QuadrotorConfig:
    """The specification. Lengths m, speeds m/s, rates rad/s, angles rad; disturbances as shares of weight (and weight
    × 1 m)."""

    episode_steps: int = 500
    history: int = 32
    position_limit: float = 0.6
    start_position: float = 0.2
    start_angle: float = math.pi / 2
    start_velocity: float = 1.0
    start_rate: float = 1.0
    start_rotor_speed: float = 10_851 * RPM
    start_at_rest_share: float = 0.1
    force_share: float = 1 / 20
    torque_share: float = 1 / 10_000
    reward: RewardWeights = field(default_factory=RewardWeights)
    sensors: dict[str, SensorModel] = field(default_factory=_sensors)
    command_delay: tuple[int, int] = (0, 0)
    randomize: bool = False
    reference: Reference = hold_still


def randomized() -> QuadrotorConfig:
    """For transfer: another airframe every episode, a late state estimate (velocity 10-30 ms), lost readings."""
    sensors = {
        "position": SensorModel(noise=0.002, delay=(0, 1), drop=0.01),
        "orientation": SensorModel(noise=0.004, delay=(0, 1), drop=0.01),
        "linear_velocity": SensorModel(noise=0.02, delay=(1, 3), drop=0.01),
        "angular_velocity": SensorModel(noise=0.02, drop=0.01),
    }
    return QuadrotorConfig(randomize=True, sensors=sensors, command_delay=(0, 1), reward=RewardWeights(smoothness=0.3))


def following_figure_eight(period: float) -> QuadrotorConfig:
    """The specification's airframe, noise and disturbance, on two laps of a figure eight that starts where the robot
    is."""
    return QuadrotorConfig(
        reference=figure_eight(period),
        episode_steps=round(2 * period / SPEC.control_period_s),
        start_position=0.0,
        start_angle=0.0,
        start_velocity=0.0,
        start_rate=0.0,
    )


class Quadrotor:
    """`Task`: four motors, 146 numbers to act on (18 of state, 32 past actions), 28 more for the critic."""

    name = "quadrotor"
    robot = SPEC
    action_size = 4
    terrain: Terrain | None = None
    levels = 1
    mirror: dict[str, Mirror] = {}  # noqa: RUF012 (never written to)
    environment: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, config: QuadrotorConfig | None = None) -> None:
        self.config = config or QuadrotorConfig()
        history = self.config.history
        self.memory = (MemorySpec(name="actions", shape=(history, 4), order="oldest first", initial=0.0),)
        extra = sum(PARAMETER_SIZES.values()) if self.config.randomize else 0
        self.groups = {"actor": Group(shape=(18 + 4 * history,)), "critic": Group(shape=(28 + extra,))}
        smoothness: tuple[str, ...] = ("smoothness",) if self.config.reward.smoothness > 0 else ()
        self.reward_terms: tuple[str, ...] = ("survival", "position", "orientation", "velocity", "action", *smoothness)
        self.sensors = self.config.sensors
        self.command_delay = self.config.command_delay
        self.episode_steps = self.config.episode_steps
        self.trained_latency_s = longest_delay(self.sensors, self.command_delay) * SPEC.control_period_s

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        # Errors are kept to what training has seen: an operator may ask for a place far away.
        limit = self.config.position_limit
        matrix = rotation_matrix(signals["orientation"])
        error = (signals["position"] - signals["reference_position"]).clamp(-limit, limit)
        velocity = (to_world(matrix, signals["linear_velocity"]) - signals["reference_velocity"]).clamp(-2.0, 2.0)
        past = memory["actions"].flatten(1)
        return {"actor": torch.cat((error, matrix, velocity, signals["angular_velocity"], past), dim=-1)}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        return {"rotor_speed": (0.5 * MAX_ROTOR_SPEED) * (action + 1)}

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        return {"actions": torch.cat((memory["actions"][:, 1:], action.unsqueeze(1)), dim=1)}

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        position, velocity = self.config.reference(episode_step * self.robot.control_period_s)
        return {"reference_position": position, "reference_velocity": velocity}

    def sense(self, state: State, goal: Goal) -> Signals:
        matrix = rotation_matrix(state.orientation)
        return {
            "position": state.position,
            "orientation": state.orientation,
            "linear_velocity": to_body(matrix, state.linear_velocity),
            "angular_velocity": state.angular_velocity,
            **goal,
        }

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        rows = slice(None) if ids is None else ids
        seen = [
            state.position - goal["reference_position"],
            rotation_matrix(state.orientation),
            state.linear_velocity - goal["reference_velocity"],
            state.angular_velocity,
            engine.force[rows],
            engine.torque[rows],
            state.actuator / MAX_ROTOR_SPEED,
        ]
        if self.config.randomize:
            seen += [engine.params[name][rows] for name in PARAMETER_SIZES]
        return {"critic": torch.cat(seen, dim=-1)}

    def reward(self, step: Transition) -> dict[str, Tensor]:
        state, goal = step.state, step.goal
        action = step.command / (0.5 * MAX_ROTOR_SPEED) - 1
        cost = {
            "position": (state.position - goal["reference_position"]).square().sum(-1),
            "orientation": 1 - state.orientation[:, 0].square(),
            "velocity": (state.linear_velocity - goal["reference_velocity"]).square().sum(-1),
            "action": (action - HOVER_ACTION).square().sum(-1),
        }
        weights = self.config.reward
        stage = step.progress * weights.stages
        terms = {name: (-weights.scale * getattr(weights, name).at(stage)) * value for name, value in cost.items()}
        if weights.smoothness > 0:
            change = (step.command - step.previous) / (0.5 * MAX_ROTOR_SPEED)
            terms["smoothness"] = (-weights.scale * weights.smoothness) * change.square().sum(-1)
        return {"survival": torch.full_like(cost["position"], weights.survival), **terms}

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"position_error_m": (state.position - goal["reference_position"]).norm(dim=-1)}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        error = (state.position - goal["reference_position"]).abs().amax(-1)
        return ~(error <= self.config.position_limit)

    def succeeded(self, state: State, goal: Goal) -> None:
        return None  # it goes on until its time is out

    def disturb(self, engine: Engine, episode_step: Tensor, generator: torch.Generator) -> None:
        pass  # the wrench drawn at the reset stays

    def regrade(self, level: Tensor, state: State, goal: Goal, engine: Engine, ids: Tensor) -> Tensor:
        return level

    def reset(self, engine: Engine, ids: Tensor, level: Tensor, generator: torch.Generator) -> State:
        n = len(ids)
        if self.config.randomize:
            engine.set_params(ids, **sample_parameters(n, generator))
        weight = engine.params["mass"][ids] * GRAVITY
        draws = torch.randn(n, 6, generator=generator)
        force, torque = engine.force.clone(), engine.torque.clone()
        force[ids] = weight * self.config.force_share * draws[:, :3]
        torque[ids] = weight * self.config.torque_share * draws[:, 3:]
        engine.apply_wrench(force, torque)
        return self._start(n, generator)

    def _start(self, n: int, generator: torch.Generator) -> State:
        c = self.config
        bounds = torch.tensor((c.start_position, c.start_velocity, c.start_rate)).unsqueeze(-1)
        place, velocity, rate = (bounds * (2 * torch.rand(n, 3, 3, generator=generator) - 1)).unbind(1)
        moved = (torch.rand(n, 1, generator=generator) >= c.start_at_rest_share).float()
        level = torch.tensor((1.0, 0.0, 0.0, 0.0))
        reference, reference_velocity = c.reference(torch.zeros(n))
        return State(
            position=reference + moved * place,
            orientation=torch.where(moved > 0, random_orientation(n, c.start_angle, generator), level),
            linear_velocity=reference_velocity + moved * velocity,
            angular_velocity=moved * rate,
            actuator=torch.full((n, 4), c.start_rotor_speed),
        )
