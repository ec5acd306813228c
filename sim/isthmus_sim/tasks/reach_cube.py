"""Reach a cube that only the camera shows: a desktop arm brings its tip to a cube anywhere on its desk and stays there.

The robot has its joints and one camera; colors, light, table and camera differ from episode to episode. Done is: the
tip has been within 2 cm of the middle of the cube for half a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, State
from isthmus_sim.on_device import Constant
from isthmus_sim.robots.so101.description import NO_LOAD_SPEED, OFFSET
from isthmus_sim.scenes.desk import desk_scene
from isthmus_sim.scenes.desk_looks import VisualRandomization, draw
from isthmus_sim.sensors import SensorModel, SignalNoise, Signals
from isthmus_sim.specs import MemorySpec
from isthmus_sim.task import Goal, Group, Memory, Reward, Task, Transition
from isthmus_sim.terms.events import Redraw
from isthmus_sim.terms.randomization import Range, uniform
from isthmus_sim.terms.rewards import command_change
from isthmus_sim.terms.terminations import not_finite

COMMAND = "joint_position_target"
IMAGE = "camera_scene"
_FALLEN = -0.02  # m
_NO_ZONE = -1.0  # m: the zone of the desk is far below it


@dataclass(frozen=True, kw_only=True)
class ReachReward:
    """Weights per control step, and their constants."""

    near: float = 1.0
    """exp(-distance / width)."""
    width: float = 0.1
    """m."""
    close: float = 1.0
    """Whether the tip is within `ReachCubeConfig.within`."""
    done: float = 250.0
    """Once, when it has stayed there. The episode ends with it, so it must be worth more than to be near for ever: 2
    a control step, 200 with a discount of 0.99. Measured with 20: the tip learned to leave just in time."""
    smoothness: float = 0.5
    """Squared change of the targets from one step to the next, 1/rad²."""
    pushed: float = 10.0
    """Distance that the cube is from where it began, 1/m: it is to be reached, not pushed."""


def _noise() -> dict[str, SignalNoise]:
    # Encoders of 4096 steps, set to zero by hand; speeds are their differences.
    return {"joint_position": SignalNoise(noise=0.0005, bias=0.002), "joint_velocity": SignalNoise(noise=0.02)}


@dataclass(frozen=True, kw_only=True)
class ReachCubeConfig:
    """Lengths m, angles rad, times s. Ranges are uniform, per episode."""

    episode_steps: int = 150
    """Control steps of an episode, 5 s."""
    radius: Range = (0.14, 0.24)
    """Distance of the cube from the arm's pan axis."""
    angle: float = 0.7
    """Largest direction of the cube, to either side."""
    graded: bool = False
    """Whether radius and angle are what makes an episode hard, for a sampler of levels to choose."""
    cube_edge: Range = (0.026, 0.034)
    joint_noise: float = 0.2
    """Largest distance of the joints from home at the start."""
    within: float = 0.02
    """How near the tip must be to the middle of the cube."""
    hold_s: float = 0.5
    """How long it must stay there."""
    speed: float = 1.5
    """Speed of a joint's target at an action of 1, rad/s."""
    visuals: VisualRandomization | None = field(default_factory=VisualRandomization)
    """What differs in looks; None for the model's own."""
    reward: ReachReward = field(default_factory=ReachReward)
    sensors: dict[str, SensorModel] = field(default_factory=dict)
    noise: dict[str, SignalNoise] = field(default_factory=_noise)


class ReachCube(Task):
    """The action is the speed of the joints' targets; the gripper stays open.

    Groups: "actor" joints and their targets; "image" what the camera sees; "cube" where the cube is, m, for the critic
    and for policies that may cheat; "critic" what the simulator knows.
    """

    name = "reach_cube"
    action_size = 5
    has_goal = True
    cells = {"tip_position": 0.03}

    def __init__(self, robot: RobotDescription, config: ReachCubeConfig) -> None:
        self.robot, self.config = robot, config
        sees = any(spec.name == IMAGE for spec in robot.signals)
        shape = robot.signal(IMAGE).shape if sees else ()
        self.scene = desk_scene(robot, {IMAGE: shape} if sees else {})
        self.sees = sees
        image = {"image": Group(shape=shape, dtype="uint8")} if sees else {}
        self.groups = {
            "actor": Group(shape=(18,)),
            **image,
            "cube": Group(shape=(3,)),
            "critic": Group(shape=(18 + 3 + 3 + 3 + 1,)),
        }
        self.memory = (MemorySpec(name="target", shape=(6,), order="joints, from home", initial=0.0),)
        self.episode_steps = config.episode_steps
        if config.graded:
            self.graded = {"radius": config.radius, "angle": (-config.angle, config.angle)}
        self.sensors, self.noise = config.sensors, config.noise
        command, period_s = robot.command(COMMAND), robot.control_period_s
        self._home = Constant(torch.tensor(robot.default_pose))
        self._low, self._high = (Constant(torch.tensor(v)) for v in (command.minimum, command.maximum))
        self._step = config.speed * period_s
        self._hold_steps = round(config.hold_s / period_s)
        self.rewards = self._rewards()
        looks = partial(draw, config.visuals) if config.visuals else None
        self.randomization = (uniform(self.scene, "cube_edge", config.cube_edge), *([looks] if looks else []))
        self.training_events = (Redraw(looks),) if looks and self.sees else ()

    # --- on the robot and in simulation ---

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        position, velocity = signals["joint_position"], signals["joint_velocity"]
        felt = (position - self._home.to(position), velocity / NO_LOAD_SPEED, memory["target"])
        image = {"image": signals[IMAGE]} if self.sees else {}
        return {"actor": torch.cat(felt, dim=-1), **image}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> Commands:
        return {COMMAND: self._home.to(action) + self._target(action, memory)}

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        return {"target": self._target(action, memory)}

    def action_of(self, commands: Commands, signals: Signals, memory: Memory) -> Tensor:
        target = commands[COMMAND]
        return ((target - self._home.to(target) - memory["target"]) / self._step)[:, : self.action_size]

    def _target(self, action: Tensor, memory: Memory) -> Tensor:
        """(n, 6) rad from home: where the joints' targets go; the gripper's stays."""
        home, low, high = (limit.to(action) for limit in (self._home, self._low, self._high))
        moved = memory["target"] + self._step * torch.cat((action, torch.zeros_like(action[:, :1])), dim=-1)
        return torch.minimum(torch.maximum(moved, low - home), high - home)

    # --- in simulation only ---

    def sense(self, state: State, goal: Goal) -> Signals:
        image = {IMAGE: state[IMAGE]} if self.sees else {}
        return {"joint_position": state["joint_position"], "joint_velocity": state["joint_velocity"], **image}

    def track(self, goal: Goal, state: State) -> Goal:
        """held (n, 1): control steps for which the tip has been near; start (n, 3) m: where the cube began."""
        near = (_distance(state) <= self.config.within).unsqueeze(-1)
        held = goal.get("held", torch.zeros_like(near, dtype=torch.float32))
        start = goal.get("start", state["cube_position"])
        return {"held": torch.where(near, held + 1, 0.0), "start": start}

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        return previous or {}

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        joints, command = state["joint_position"], state["joint_velocity"]
        to_cube = state["cube_position"] - state["tip_position"]
        target = joints - self._home.to(joints)
        held = goal["held"] / self._hold_steps
        critic = (target, command / NO_LOAD_SPEED, target, state["cube_position"], to_cube, state["tip_position"], held)
        return {"critic": torch.cat(critic, dim=-1), "cube": state["cube_position"]}

    def _rewards(self) -> dict[str, Reward]:
        w, within = self.config.reward, self.config.within

        def near(step: Transition) -> Tensor:
            return torch.exp(-_distance(step.state) / w.width)

        def close(step: Transition) -> Tensor:
            return (_distance(step.state) <= within).float()

        def pushed(step: Transition) -> Tensor:
            return (step.state["cube_position"] - step.goal["start"]).norm(dim=-1)

        return {
            "near": Reward(weight=w.near, function=near),
            "close": Reward(weight=w.close, function=close),
            "done": Reward(weight=w.done, function=lambda step: self.succeeded(step.state, step.goal).float()),
            "smoothness": Reward(weight=-w.smoothness, function=command_change),
            "pushed": Reward(weight=-w.pushed, function=pushed),
        }

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"distance_m": _distance(state)}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        return ~(state["cube_position"][:, 2] > _FALLEN) | not_finite(state["joint_position"])

    def succeeded(self, state: State, goal: Goal) -> Tensor:
        return goal["held"][:, 0] >= self._hold_steps

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        n, c = len(ids), self.config

        def around_zero(bound: float, size: int) -> Tensor:
            return bound * (2 * torch.rand(n, size, generator=generator) - 1)

        low, high = c.radius
        radius = (low**2 + (high**2 - low**2) * torch.rand(n, 1, generator=generator)).sqrt()
        angle, half_turn = around_zero(c.angle, 1), around_zero(0.5 * math.pi, 1)
        if c.graded:
            radius, angle = params["radius"], params["angle"]
        zero = torch.zeros(n, 1)
        place = (OFFSET["shoulder_pan"][0] + radius * angle.cos(), radius * angle.sin(), 0.5 * params["cube_edge"])
        return {
            "joint_position": self._home.to(zero) + around_zero(c.joint_noise, 6),
            "cube_position": torch.cat(place, dim=-1),
            "cube_orientation": torch.cat((half_turn.cos(), zero, zero, half_turn.sin()), dim=-1),
            "zone_position": torch.full((n, 2), _NO_ZONE),
        }


def _distance(state: State) -> Tensor:
    """(n,) m: from the tip to the middle of the cube."""
    return (state["tip_position"] - state["cube_position"]).norm(dim=-1)
