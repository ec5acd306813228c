"""The quadrotor of "Learning to Fly in Seconds" (Eschmann, Albani, Loianno 2023): hold a position by direct motor
commands.

Everything in `HoverConfig()` is the paper's public specification; `randomized()` is what a policy meant for a real
airframe trains on. The robot's reference may move: the policy sees only the errors to it.

What ends an episode, the distance to the reference, does not stop the robot: an operator may ask for a place further
away than that, and one who asks for another place in flight moves the reference, not the robot. There the errors are
held to the limit (`observe`), and the reference to `REFERENCE_BOX`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, State
from isthmus_sim.robots.quadrotor.description import GRAVITY, ROBOT, RPM, sample_parameters
from isthmus_sim.rotations import random_orientation, rotation_matrix, to_body, to_world
from isthmus_sim.scene import Scene, free_body, remembered
from isthmus_sim.sensors import SensorModel, SignalNoise, Signals
from isthmus_sim.specs import MemorySpec
from isthmus_sim.task import Goal, Group, Memory, Reward, Task, Transition
from isthmus_sim.terms.events import ConstantWrench
from isthmus_sim.terms.randomization import bounded
from isthmus_sim.terms.rewards import command_change
from isthmus_sim.terms.terminations import upright

Reference = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Time since the episode's start (n,) s -> reference position (n, 3) m and velocity (n, 3) m/s, world."""

COMMAND = "rotor_speed"
REFERENCE_BOX = ((-2.0, -2.0, -0.1), (2.0, 2.0, 2.0))
"""Least and most of the reference position around where the robot starts, m: twice what the figure eight and its
take-off need. The policy sees errors alone and flies alike everywhere, so this is no border of its skill; but its
ground is where it starts (a landing aims a little below), and who asks for more has most likely mistaken a frame."""
REFERENCE_SPEED = 2.0  # m/s along each axis: to what `observe` holds the error
UPSIDE_DOWN = math.pi / 2
"""Tilt at which no episode begins, rad: from there on thrust pulls down."""
_NEEDED = ("mass", "thrust_coefficient", "battery")


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


def _noise() -> dict[str, SignalNoise]:
    # The specification gives the noise of each entry of the rotation matrix, 0.001. A turn of σ rad about each axis
    # moves the nine entries by √(2/3)·σ in the root mean square.
    return {
        "position": SignalNoise(noise=0.001),
        "orientation": SignalNoise(noise=0.001 * math.sqrt(1.5)),
        "linear_velocity": SignalNoise(noise=0.002),
        "angular_velocity": SignalNoise(noise=0.002),
    }


@dataclass(frozen=True, kw_only=True)
class HoverConfig:
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
    sensors: dict[str, SensorModel] = field(default_factory=dict)
    noise: dict[str, SignalNoise] = field(default_factory=_noise)
    command_delay_steps: tuple[int, int] = (0, 0)
    randomize: bool = False
    """Whether every episode has another airframe."""
    figure_eight_s: float | None = None
    """Period of a figure eight that the reference flies, s; None for a reference that stays at the origin."""


def randomized() -> HoverConfig:
    """The configuration for transfer: another airframe every episode, a late state estimate (velocity 10-30 ms), lost
    readings."""
    return HoverConfig(
        randomize=True,
        sensors={
            "odom": SensorModel(latency_s=(0.0, 0.01), drop=0.01),
            "imu": SensorModel(drop=0.01),
        },
        noise={
            "position": SignalNoise(noise=0.002),
            "orientation": SignalNoise(noise=0.004),
            "linear_velocity": SignalNoise(noise=0.02, lag_s=(0.01, 0.02)),
            "angular_velocity": SignalNoise(noise=0.02),
        },
        command_delay_steps=(0, 1),
        reward=RewardWeights(smoothness=0.3),
    )


def following_figure_eight(period: float) -> HoverConfig:
    """The specification's airframe, noise and disturbance, on two laps of a figure eight that starts where the robot
    is."""
    return HoverConfig(
        figure_eight_s=period,
        episode_steps=round(2 * period / 0.01),
        start_position=0.0,
        start_angle=0.0,
        start_velocity=0.0,
        start_rate=0.0,
    )


class Hover(Task):
    """Four motors, 146 numbers to act on (18 of state, 32 past actions), 28 more for the critic."""

    name = "hover"
    action_size = 4
    engines = ("analytic", "mujoco")
    goal_range = {
        "reference_position": REFERENCE_BOX,
        "reference_velocity": ((-REFERENCE_SPEED,) * 3, (REFERENCE_SPEED,) * 3),
    }
    goal_around = {"reference_position": "position"}
    conditions = {"tilt": upright("orientation", UPSIDE_DOWN)}

    def __init__(self, robot: RobotDescription, config: HoverConfig) -> None:
        self.robot, self.config = robot, config
        self._top, self.hover_action = _rotors(robot)
        history = config.history
        self.scene = Scene(
            robot=robot, timestep_s=0.002, quantities=(*free_body("base"), remembered(self.action_size, "rad/s"))
        )
        self.reference = figure_eight(config.figure_eight_s) if config.figure_eight_s else hold_still
        self.memory = (MemorySpec(name="actions", shape=(history, 4), order="oldest first", initial=0.0),)
        extra = sum(parameter.size for parameter in robot.parameters) if config.randomize else 0
        self.groups = {"actor": Group(shape=(18 + 4 * history,)), "critic": Group(shape=(28 + extra,))}
        self.sensors, self.noise, self.command_delay_steps = config.sensors, config.noise, config.command_delay_steps
        self.episode_steps = config.episode_steps
        self.rewards = self._rewards()
        published = robot.parameters == ROBOT.parameters
        self.randomization = (sample_parameters if published else bounded(robot),) if config.randomize else ()
        self.events = (ConstantWrench(force=config.force_share, torque=config.torque_share, mass=robot.mass),)

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        # Errors are kept to what training has seen: an operator may ask for a place far away.
        limit = self.config.position_limit
        matrix = rotation_matrix(signals["orientation"])
        error = (signals["position"] - signals["reference_position"]).clamp(-limit, limit)
        velocity = (to_world(matrix, signals["linear_velocity"]) - signals["reference_velocity"]).clamp(
            -REFERENCE_SPEED, REFERENCE_SPEED
        )
        past = memory["actions"].flatten(1)
        return {"actor": torch.cat((error, matrix, velocity, signals["angular_velocity"], past), dim=-1)}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> Commands:
        return {COMMAND: (0.5 * self._top) * (action + 1)}

    def action_of(self, commands: Commands, signals: Signals, memory: Memory) -> Tensor:
        return commands[COMMAND] / (0.5 * self._top) - 1

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        return {"actions": torch.cat((memory["actions"][:, 1:], action.unsqueeze(1)), dim=1)}

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        position, velocity = self.reference(episode_step * self.robot.control_period_s)
        return {"reference_position": position, "reference_velocity": velocity}

    def sense(self, state: State, goal: Goal) -> Signals:
        matrix = rotation_matrix(state["orientation"])
        return {
            "position": state["position"],
            "orientation": state["orientation"],
            "linear_velocity": to_body(matrix, state["linear_velocity"]),
            "angular_velocity": state["angular_velocity"],
            **goal,
        }

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        rows = slice(None) if ids is None else ids
        seen = [
            _position_error(state, goal),
            rotation_matrix(state["orientation"]),
            _velocity_error(state, goal),
            state["angular_velocity"],
            engine.force[rows],
            engine.torque[rows],
            state["actuator"] / self._top,
        ]
        if self.config.randomize:
            seen += [engine.params[parameter.name][rows] for parameter in self.robot.parameters]
        return {"critic": torch.cat(seen, dim=-1)}

    def _rewards(self) -> dict[str, Reward]:
        weights = self.config.reward

        def cost(name: str, error: Callable[[Transition], Tensor]) -> Reward:
            """A term whose weight grows with the curriculum."""
            weight: Weight = getattr(weights, name)
            return Reward(
                weight=-weights.scale, function=lambda step: weight.at(step.progress * weights.stages) * error(step)
            )

        terms = {
            "survival": Reward(weight=weights.survival, function=_alive),
            "position": cost("position", lambda step: _position_error(step.state, step.goal).square().sum(-1)),
            "orientation": cost("orientation", lambda step: 1 - step.state["orientation"][:, 0].square()),
            "velocity": cost("velocity", lambda step: _velocity_error(step.state, step.goal).square().sum(-1)),
            "action": cost("action", lambda step: (self._action(step) - self.hover_action).square().sum(-1)),
        }
        if weights.smoothness > 0:
            scale = weights.scale * weights.smoothness / (0.5 * self._top) ** 2
            terms["smoothness"] = Reward(weight=-scale, function=command_change)
        return terms

    def _action(self, step: Transition) -> Tensor:
        return step.commands[COMMAND] / (0.5 * self._top) - 1

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"position_error_m": _position_error(state, goal).norm(dim=-1)}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        return ~(_position_error(state, goal).abs().amax(-1) <= self.config.position_limit)

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        c, n, device = self.config, len(ids), ids.device
        bounds = torch.tensor((c.start_position, c.start_velocity, c.start_rate), device=device).unsqueeze(-1)
        drawn = 2 * torch.rand(n, 3, 3, generator=generator, device=device) - 1
        place, velocity, rate = (bounds * drawn).unbind(1)
        moved = (torch.rand(n, 1, generator=generator, device=device) >= c.start_at_rest_share).float()
        level_turn = torch.tensor((1.0, 0.0, 0.0, 0.0), device=device)
        reference, reference_velocity = self.reference(torch.zeros(n, device=device))
        return {
            "position": reference + moved * place,
            "orientation": torch.where(moved > 0, random_orientation(n, c.start_angle, generator), level_turn),
            "linear_velocity": reference_velocity + moved * velocity,
            "angular_velocity": moved * rate,
            "actuator": torch.full((n, 4), c.start_rotor_speed, device=device),
        }


def _rotors(robot: RobotDescription) -> tuple[float, float]:
    """The fastest that all rotors turn, rad/s, and the action at which they carry the robot's weight.

    Raises ValueError for a robot that does not fly by the speed of four rotors, or does not say what they lift.
    """
    command = robot.command(COMMAND)
    nominal = {parameter.name: parameter.nominal[0] for parameter in robot.parameters}
    lacking = [name for name in _NEEDED if name not in nominal]
    if lacking or command.size != 4 or any(command.minimum):
        raise ValueError(
            f"{robot.name} cannot be trained to hover: it needs four rotor speeds from 0 (it has {command.size} from "
            f"{min(command.minimum):g}) and lacks the parameters: {', '.join(lacking) or 'none'}"
        )
    top = min(command.maximum)
    speed = math.sqrt(nominal["mass"] * GRAVITY / (4 * nominal["thrust_coefficient"])) / nominal["battery"]
    return top, 2 * speed / top - 1


def _position_error(state: State, goal: Goal) -> Tensor:
    return state["position"] - goal["reference_position"]


def _velocity_error(state: State, goal: Goal) -> Tensor:
    return state["linear_velocity"] - goal["reference_velocity"]


def _alive(step: Transition) -> Tensor:
    return torch.ones_like(step.state["position"][:, 0])
