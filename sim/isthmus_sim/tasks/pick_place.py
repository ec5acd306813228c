"""Pick and place: a six-joint desktop arm lifts a cube and puts it into a round zone, at 30 Hz, within 12 s.

The robot has only its joints and its cameras; where the cube and the zone are is in the pictures, and, as the
simulator knows it, in the observation groups "critic" and "environment". Done is: the cube rests on the table within
the zone, still, and no jaw touches it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_sim.description import MemorySpec
from isthmus_sim.engine import ArmState, Engine, State
from isthmus_sim.looks import Looks, draw
from isthmus_sim.on_device import Constant
from isthmus_sim.robots.so101.description import HOME, NO_LOAD_SPEED, OFFSET, SPEC
from isthmus_sim.robots.so101.mjcf import ZONE_RADIUS
from isthmus_sim.signals import SensorModel, Signals
from isthmus_sim.task import Goal, Group, Memory, Mirror, Transition, longest_delay
from isthmus_sim.terrain import Terrain

ENVIRONMENT = {
    **{f"cube.{axis}": "m" for axis in "xyz"},
    **{f"cube.q{axis}": "1" for axis in "wxyz"},
    "cube.edge": "m",
    "zone.x": "m",
    "zone.y": "m",
}
"""What only a simulator knows, element -> unit: pose (world, wxyz) and edge of the cube, middle of the zone."""

_COMMAND = SPEC.commands[0]
_HOME, _LOW, _HIGH = (Constant(torch.tensor(v)) for v in (HOME, _COMMAND.minimum, _COMMAND.maximum))
_STILL = (0.01, 0.2)  # m/s, rad/s
_RESTING = 0.003  # m that the cube's middle may be higher than when it lies flat
_FALLEN = -0.02  # m
_TRIES = 32


def _sensors() -> dict[str, SensorModel]:
    # Encoders of 4096 steps, set to zero by hand; speeds are their differences. Read over a bus, one servo after
    # another.
    return {
        "joint_position": SensorModel(noise=0.0005, bias=0.002, delay=(0, 1)),
        "joint_velocity": SensorModel(noise=0.02, delay=(0, 1)),
    }


@dataclass(frozen=True, kw_only=True)
class PickPlaceConfig:
    """Where episodes begin: cube and zone evenly in a ring sector around the arm's pan axis, radius m, angle ± rad,
    `apart` m from each other at least; the cube's edge m, and turned any way; joints at home ± `joint_noise` rad.
    looks: None for the model's own."""

    episode_steps: int = 360
    radius: tuple[float, float] = (0.14, 0.24)
    angle: float = 0.7
    apart: float = 0.1
    cube_edge: tuple[float, float] = (0.026, 0.034)
    joint_noise: float = 0.03
    sensors: dict[str, SensorModel] = field(default_factory=_sensors)
    looks: Looks | None = None


def randomized() -> PickPlaceConfig:
    """Other colors, light, table and cameras every episode."""
    return PickPlaceConfig(looks=Looks())


class PickPlace:
    """`Task`: joint targets at 30 Hz. The action is a share of the way from home to the joints' limits."""

    name = "pick_place"
    robot = SPEC
    memory: tuple[MemorySpec, ...] = ()
    groups = {  # noqa: RUF012 (never written to)
        "actor": Group(shape=(12,)),
        "critic": Group(shape=(30,)),
        "environment": Group(shape=(len(ENVIRONMENT),)),
    }
    environment = ENVIRONMENT
    action_size = 6
    reward_terms: tuple[str, ...] = ("reach", "lift", "place", "done")
    terrain: Terrain | None = None
    command_delay: tuple[int, int] = (0, 0)
    levels = 1
    mirror: dict[str, Mirror] = {}  # noqa: RUF012 (the gripper has none)

    def __init__(self, config: PickPlaceConfig | None = None) -> None:
        self.config = config or PickPlaceConfig()
        self.episode_steps = self.config.episode_steps
        self.sensors = self.config.sensors
        self.trained_latency_s = longest_delay(self.sensors, self.command_delay) * SPEC.control_period_s

    # --- on the robot and in simulation ---

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        position, velocity = signals["joint_position"], signals["joint_velocity"]
        return {"actor": torch.cat((position - _HOME.to(position), velocity / NO_LOAD_SPEED), dim=-1)}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        home = _HOME.to(action)
        up, down = action.clamp_min(0.0) * (_HIGH.to(action) - home), action.clamp_max(0.0) * (home - _LOW.to(action))
        return {_COMMAND.name: home + up + down}

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        return {}

    # --- in simulation only ---

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        return {}  # the zone is there to be seen

    def sense(self, state: State, goal: Goal) -> Signals:
        assert isinstance(state, ArmState)
        return {"joint_position": state.joint_position, "joint_velocity": state.joint_velocity}

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        assert isinstance(state, ArmState)
        pose = torch.cat((state.cube_position, state.cube_orientation, state.cube_edge), dim=-1)
        environment = torch.cat((pose, state.zone_position), dim=-1)
        to_cube = state.cube_position - state.tip_position
        joints = (state.joint_position, state.joint_velocity)
        critic = torch.cat((*joints, environment, state.cube_velocity[:, :3], to_cube, state.touching), dim=-1)
        return {"critic": critic, "environment": environment}

    def reward(self, step: Transition) -> dict[str, Tensor]:
        state = step.state
        assert isinstance(state, ArmState)
        away = (state.tip_position - state.cube_position).norm(dim=-1)
        lifted = (_height(state) / 0.03).clamp(0.0, 1.0)
        inside = torch.exp(-_off_zone(state) / 0.1)
        done = self.succeeded(state, step.goal)
        return {
            "reach": 0.2 * torch.exp(-away / 0.1),
            "lift": 0.3 * lifted,
            "place": 0.5 * torch.maximum(lifted, done.float()) * inside,
            "done": 20.0 * done,
        }

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"distance_m": _off_zone(state), "success": self.succeeded(state, goal).float()}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        assert isinstance(state, ArmState)
        return ~(state.cube_position[:, 2] > _FALLEN) | ~torch.isfinite(state.joint_position.sum(-1))

    def succeeded(self, state: State, goal: Goal) -> Tensor:
        assert isinstance(state, ArmState)
        inside = _off_zone(state) <= ZONE_RADIUS - 0.5 * state.cube_edge[:, 0]
        speed, rate = state.cube_velocity.split(3, dim=-1)
        still = (speed.norm(dim=-1) < _STILL[0]) & (rate.norm(dim=-1) < _STILL[1])
        return inside & still & (_height(state).abs() < _RESTING) & (state.touching.sum(-1) == 0)

    def disturb(self, engine: Engine, episode_step: Tensor, generator: torch.Generator) -> None:
        pass

    def regrade(self, level: Tensor, state: State, goal: Goal, engine: Engine, ids: Tensor) -> Tensor:
        return level

    def reset(self, engine: Engine, ids: Tensor, level: Tensor, generator: torch.Generator) -> State:
        n = len(ids)
        low, high = self.config.cube_edge
        edge = low + (high - low) * torch.rand(n, 1, generator=generator)
        looks = draw(self.config.looks, n, generator) if self.config.looks else {}
        engine.set_params(ids, cube_edge=edge, **looks)
        cube, zone = self._places(n, generator)
        half_turn = 0.5 * math.pi * (2 * torch.rand(n, 1, generator=generator) - 1)
        joints = torch.tensor(HOME) + self.config.joint_noise * (2 * torch.rand(n, 6, generator=generator) - 1)
        none = torch.zeros(n, 3)
        level_turn = torch.cat((torch.ones(n, 1), none), dim=-1)
        return ArmState(
            position=none, orientation=level_turn, linear_velocity=none, angular_velocity=none, actuator=joints,
            joint_position=joints, joint_velocity=torch.zeros(n, 6), tip_position=none,
            cube_position=torch.cat((cube, 0.5 * edge), dim=-1),
            cube_orientation=torch.cat((half_turn.cos(), none[:, :2], half_turn.sin()), dim=-1),
            cube_velocity=torch.zeros(n, 6), cube_edge=edge, zone_position=zone, touching=none[:, :2],
        )  # fmt: skip

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


def _off_zone(state: State) -> Tensor:
    """(n,) m: from the middle of the zone to below the cube's."""
    assert isinstance(state, ArmState)
    return (state.cube_position[:, :2] - state.zone_position).norm(dim=-1)


def _height(state: ArmState) -> Tensor:
    """(n,) m: of the cube's middle above where it is when it lies flat."""
    return state.cube_position[:, 2] - 0.5 * state.cube_edge[:, 0]
