"""Pick and place: a six-joint desktop arm lifts a cube and puts it into a round zone, at 30 Hz, within 12 s.

The robot has only its joints and its cameras; where the cube and the zone are is in the images, and, as the
simulator knows it, in the observation groups "critic" and "environment". Done is: the cube rests on the table within
the zone, still, and no jaw touches it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, State
from isthmus_sim.on_device import Constant
from isthmus_sim.robots.so101.description import NO_LOAD_SPEED, OFFSET
from isthmus_sim.scenes.desk import ZONE_RADIUS, desk_scene
from isthmus_sim.scenes.desk_looks import VisualRandomization, draw
from isthmus_sim.sensors import SensorModel, SignalNoise, Signals
from isthmus_sim.task import Goal, Group, Memory, Reward, Task, Transition
from isthmus_sim.terms.randomization import Range, uniform
from isthmus_sim.terms.terminations import not_finite

ENVIRONMENT = {
    **{f"cube.{axis}": "m" for axis in "xyz"},
    **{f"cube.q{axis}": "1" for axis in "wxyz"},
    "cube.edge": "m",
    "zone.x": "m",
    "zone.y": "m",
}
"""What only a simulator knows, element -> unit: pose (world, wxyz) and edge of the cube, middle of the zone."""

COMMAND = "joint_position_target"
_STILL = (0.01, 0.2)  # m/s, rad/s
_RESTING = 0.003  # m that the cube's middle may be higher than when it lies flat
_FALLEN = -0.02  # m
_TRIES = 32


def _sensors() -> dict[str, SensorModel]:
    # Read over a bus, one servo after another, while the policy waits for nobody.
    return {"joint_states": SensorModel(latency_s=(0.0, 0.033))}


def _noise() -> dict[str, SignalNoise]:
    # Encoders of 4096 steps, set to zero by hand; speeds are their differences.
    return {"joint_position": SignalNoise(noise=0.0005, bias=0.002), "joint_velocity": SignalNoise(noise=0.02)}


@dataclass(frozen=True, kw_only=True)
class PickPlaceConfig:
    """Where episodes begin: cube and zone evenly in a ring sector around the arm's pan axis, radius m, angle ± rad,
    `apart` m from each other at least; the cube's edge m, and turned any way; joints at home ± `joint_noise` rad.
    visuals: None for the model's own."""

    episode_steps: int = 360
    radius: Range = (0.14, 0.24)
    angle: float = 0.7
    apart: float = 0.1
    cube_edge: Range = (0.026, 0.034)
    joint_noise: float = 0.03
    sensors: dict[str, SensorModel] = field(default_factory=_sensors)
    noise: dict[str, SignalNoise] = field(default_factory=_noise)
    visuals: VisualRandomization | None = None


def randomized() -> PickPlaceConfig:
    """Other colors, light, table and cameras every episode."""
    return PickPlaceConfig(visuals=VisualRandomization())


class PickPlace(Task):
    """Joint targets at 30 Hz. The action is a share of the way from home to the joints' limits."""

    name = "pick_place"
    environment = ENVIRONMENT
    has_goal = True
    groups = {
        "actor": Group(shape=(12,)),
        "critic": Group(shape=(30,)),
        "environment": Group(shape=(len(ENVIRONMENT),)),
    }
    action_size = 6

    def __init__(self, robot: RobotDescription, config: PickPlaceConfig) -> None:
        self.robot, self.config = robot, config
        self._cameras = {signal.name: signal.shape for signal in robot.signals if signal.dtype == "uint8"}
        self.scene = desk_scene(robot, self._cameras)
        self.episode_steps = config.episode_steps
        self.sensors, self.noise = config.sensors, config.noise
        command = robot.command(COMMAND)
        self._home = Constant(torch.tensor(robot.default_pose))
        self._low, self._high = (Constant(torch.tensor(v)) for v in (command.minimum, command.maximum))
        self.rewards = {
            "reach": Reward(weight=0.2, function=lambda step: torch.exp(-_reach(step.state).norm(dim=-1) / 0.1)),
            "lift": Reward(weight=0.3, function=lambda step: _lifted(step.state)),
            "place": Reward(weight=0.5, function=self._placed),
            "done": Reward(weight=20.0, function=lambda step: self.succeeded(step.state, step.goal).float()),
        }
        visuals = config.visuals
        self.randomization = (
            uniform(self.scene, "cube_edge", config.cube_edge),
            *((lambda n, generator: draw(visuals, n, generator),) if visuals else ()),
        )

    # --- on the robot and in simulation ---

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        position, velocity = signals["joint_position"], signals["joint_velocity"]
        return {"actor": torch.cat((position - self._home.to(position), velocity / NO_LOAD_SPEED), dim=-1)}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> Commands:
        home, low, high = (limit.to(action) for limit in (self._home, self._low, self._high))
        up, down = action.clamp_min(0.0) * (high - home), action.clamp_max(0.0) * (home - low)
        return {COMMAND: home + up + down}

    def action_of(self, commands: Commands, signals: Signals, memory: Memory) -> Tensor:
        away = commands[COMMAND] - self._home.to(commands[COMMAND])
        home, low, high = (limit.to(away) for limit in (self._home, self._low, self._high))
        return away.clamp_min(0.0) / (high - home) + away.clamp_max(0.0) / (home - low)

    # --- in simulation only ---

    def sense(self, state: State, goal: Goal) -> Signals:
        seen = ("joint_position", "joint_velocity", *self._cameras)
        return {name: state[name] for name in seen}

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        pose = torch.cat((state["cube_position"], state["cube_orientation"], state["cube_edge"]), dim=-1)
        environment = torch.cat((pose, state["zone_position"]), dim=-1)
        seen = (
            state["joint_position"],
            state["joint_velocity"],
            environment,
            state["cube_linear_velocity"],
            -_reach(state),
            (state["contact_count"] > 0).float(),
        )
        return {"critic": torch.cat(seen, dim=-1), "environment": environment}

    def _placed(self, step: Transition) -> Tensor:
        done = self.succeeded(step.state, step.goal).float()
        return torch.maximum(_lifted(step.state), done) * torch.exp(-_off_zone(step.state) / 0.1)

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"distance_m": _off_zone(state)}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        return ~(state["cube_position"][:, 2] > _FALLEN) | not_finite(state["joint_position"])

    def succeeded(self, state: State, goal: Goal) -> Tensor:
        inside = _off_zone(state) <= ZONE_RADIUS - 0.5 * state["cube_edge"][:, 0]
        speed, rate = state["cube_linear_velocity"], state["cube_angular_velocity"]
        still = (speed.norm(dim=-1) < _STILL[0]) & (rate.norm(dim=-1) < _STILL[1])
        released = (state["contact_count"] > 0).sum(-1) == 0
        return inside & still & (_height(state).abs() < _RESTING) & released

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        n = len(ids)
        cube, zone = self._places(n, generator)
        half_turn = 0.5 * math.pi * (2 * torch.rand(n, 1, generator=generator) - 1)
        zero = torch.zeros(n, 1)
        noise = 2 * torch.rand(n, self.action_size, generator=generator) - 1
        return {
            "joint_position": self._home.to(zero) + self.config.joint_noise * noise,
            "cube_position": torch.cat((cube, 0.5 * params["cube_edge"]), dim=-1),
            "cube_orientation": torch.cat((half_turn.cos(), zero, zero, half_turn.sin()), dim=-1),
            "zone_position": zone,
        }

    def _places(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(n, 2) m, world: of cubes and zones, those of the first of some draws that are far enough apart."""
        drawn = torch.rand(n, _TRIES, 2, 2, generator=generator)
        (low, high), widest = self.config.radius, self.config.angle
        radius = (low**2 + (high**2 - low**2) * drawn[..., 0]).sqrt()
        angle = widest * (2 * drawn[..., 1] - 1)
        places = torch.stack((OFFSET["shoulder_pan"][0] + radius * angle.cos(), radius * angle.sin()), dim=-1)
        apart = (places[:, :, 0] - places[:, :, 1]).norm(dim=-1) >= self.config.apart
        first = apart.float().argmax(dim=1)
        chosen = places[torch.arange(n), first]
        return chosen[:, 0], chosen[:, 1]


def _reach(state: State) -> Tensor:
    """(n, 3) m: from the cube to the tip."""
    return state["tip_position"] - state["cube_position"]


def _off_zone(state: State) -> Tensor:
    """(n,) m: from the middle of the zone to below the cube's."""
    return (state["cube_position"][:, :2] - state["zone_position"]).norm(dim=-1)


def _height(state: State) -> Tensor:
    """(n,) m: of the cube's middle above where it is when it lies flat."""
    return state["cube_position"][:, 2] - 0.5 * state["cube_edge"][:, 0]


def _lifted(state: State) -> Tensor:
    """(n,) from 0 on the table to 1 at 3 cm above it."""
    return (_height(state) / 0.03).clamp(0.0, 1.0)
