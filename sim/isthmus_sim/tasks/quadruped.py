"""The quadruped walks as it is told: forward, sideways and turning, on flat or rough ground, pushed and loaded.

The actor sees what the robot's own sensors give: joints, gyro, the direction of gravity from the IMU, the operator's
command, a clock for the gait, and three control steps of history. The critic also sees what only simulation knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_sim.description import MemorySpec
from isthmus_sim.engine import ArticulatedState, Engine, State
from isthmus_sim.on_device import Constant
from isthmus_sim.robots.quadruped.description import GRAVITY, LEGS, MASS, SPEC, STAND_HEIGHT
from isthmus_sim.rotations import rotation_matrix, to_body, yaw_rotation
from isthmus_sim.signals import SensorModel, Signals
from isthmus_sim.task import Goal, Group, Memory, Transition, longest_delay
from isthmus_sim.tasks.quadruped_mirror import ACTION, FRAME_SIZE, actor_mirror, critic_mirror
from isthmus_sim.terrain import KINDS, Terrain, TerrainConfig

_LOW = Constant(torch.tensor([joint.position_min for joint in SPEC.joints.values()]))
_HIGH = Constant(torch.tensor([joint.position_max for joint in SPEC.joints.values()]))
_DEFAULT = Constant(torch.tensor([joint.default_position for joint in SPEC.joints.values()]))
_TROT = Constant(torch.tensor([0.0, 0.5, 0.5, 0.0]))  # cycles, by LEGS: diagonal legs step together
_LIFT = Constant(torch.tensor([0.0, 1.0, -2.0] * 4))  # by JOINTS: the foot goes straight up
_SCAN = (11, 7)  # places forward and left at which the critic knows rough ground

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class QuadrupedReward:
    """Weights of the terms, per control step, and the constants in them."""

    velocity: float = 3.0
    """exp(-‖v_xy - command‖ / width), in the body frame: felt from afar, and sharp at the command."""
    turning: float = 2.0
    """exp(-|ω_z - command| / width)."""
    width: float = 0.4
    """m/s and rad/s."""
    gait: float = 1.0
    """Share of feet that stand when the clock says so and swing when it says so; standing still, share that stand."""
    clearance: float = 20.0
    """Squared lack of height of the feet in swing, 1/m², below `swing_height`."""
    swing_height: float = 0.07
    """m, of a foot's middle above the ground at the top of its swing."""
    level: float = 2.0
    """Squared tilt (horizontal part of the gravity direction), where the ground is flat."""
    height: float = 20.0
    """Squared error of the base's height over the ground, 1/m²."""
    base_height: float = 0.3
    """m."""
    bounce: float = 0.5
    """Squared vertical velocity, s²/m², and a tenth of the squared roll and pitch rates."""
    slip: float = 0.1
    """Squared horizontal velocity of feet that stand, s²/m²."""
    effort: float = 1e-4
    """Squared torque, 1/(N·m)²."""
    power: float = 1e-3
    """Mechanical power that the motors give, 1/W."""
    smoothness: float = 0.02
    """Squared change of the targets from one step to the next, 1/rad²."""
    posture: float = 0.1
    """Squared distance of the joints from the default pose, 1/rad²; hips count five times."""


def _sensors() -> dict[str, SensorModel]:
    # Encoders: 0.01 rad of noise, 0.02 rad of calibration error per episode; velocities are differences of them. The
    # IMU's gyro 0.05 rad/s with vibration, its attitude estimate 0.02 rad off and 0.02 rad biased.
    return {
        "joint_position": SensorModel(noise=0.01, bias=0.02),
        "joint_velocity": SensorModel(noise=0.5),
        "angular_velocity": SensorModel(noise=0.05, bias=0.02),
        "imu_orientation": SensorModel(noise=0.01, bias=0.02),
    }


@dataclass(frozen=True, kw_only=True)
class QuadrupedConfig:
    """Velocities m/s and rad/s, times s, angles rad. Ranges are uniform, per episode, unless said otherwise."""

    episode_steps: int = 1000
    history: int = 3
    forward: Range = (-0.8, 1.0)
    sideways: Range = (-0.4, 0.4)
    turning: Range = (-1.0, 1.0)
    standing_share: float = 0.1
    command_s: float = 5.0
    """A new command is drawn this often."""
    gait_hz: float = 2.5
    lift: float = 0.35
    press: float = 0.3
    """By how much the clock alone bends the thighs in swing and stretches them in stance, rad, and the knees by twice
    as much: 10 cm of foot height, and what the soft gains give way by when two legs carry the robot."""
    action_scale: float = 0.7
    """Joint target per unit of action, rad, around the default pose."""
    push_s: float = 5.0
    """Time between pushes; 0 for none."""
    push_length_s: float = 0.1
    push_speed: float = 0.6
    """Change of velocity that a push makes at most, m/s, in any horizontal direction."""
    friction: Range = (0.4, 1.25)
    payload: Range = (-1.0, 3.0)
    com_offset: float = 0.04
    """Shift of the trunk's centre of mass, each axis, ±m."""
    strength: Range = (0.85, 1.1)
    """Share of the torque that arrives, per joint."""
    gains: Range = (0.9, 1.1)
    """Factors of stiffness and damping, per joint."""
    actuation_delay: Range = (0.0, 0.015)
    """Time until a target acts, s, on top of `command_delay` control steps."""
    command_delay: tuple[int, int] = (0, 1)
    tilt_limit: float = math.radians(60)
    height_limit: float = 0.12
    """An episode has failed when the base is lower over the ground than this, m, or tilts further than that."""
    terrain: TerrainConfig | None = None
    reward: QuadrupedReward = field(default_factory=QuadrupedReward)
    sensors: dict[str, SensorModel] = field(default_factory=_sensors)

    def __post_init__(self) -> None:
        bounds = {s.name: (s.minimum, s.maximum) for s in SPEC.signals}
        low, high = bounds["linear_velocity_command"]
        (turn_low,), (turn_high,) = bounds["yaw_rate_command"]
        limits = {
            "forward": (low[0], high[0]), "sideways": (low[1], high[1]), "turning": (turn_low, turn_high),
            "friction": (0.01, 5.0), "payload": (-6.0, 10.0), "strength": (0.1, 2.0), "gains": (0.1, 5.0),
            "actuation_delay": (0.0, SPEC.control_period_s),
        }  # fmt: skip
        for name, (least, most) in limits.items():
            first, last = getattr(self, name)
            if not least <= first <= last <= most:
                raise ValueError(
                    f"{name}: ({first}, {last}) is not a range; it must rise and lie within [{least}, {most}]"
                )
        if self.history < 1:
            raise ValueError(f"history must be at least 1 control step, got {self.history}")
        if self.command_s < SPEC.control_period_s:
            raise ValueError(f"command_s must be at least a control period, {SPEC.control_period_s} s")
        if self.push_s != 0 and not SPEC.control_period_s <= self.push_length_s < self.push_s:
            raise ValueError(
                f"a push of {self.push_length_s} s every {self.push_s} s: it must be shorter than that, "
                f"and last a control period at least; push_s 0 is for none"
            )


def rough() -> QuadrupedConfig:
    """Bumps, slopes, steps and waves, harder as a world does better."""
    reward = QuadrupedReward(level=0.5, height=5.0, clearance=30.0, swing_height=0.1)
    return QuadrupedConfig(terrain=TerrainConfig(), reward=reward, height_limit=0.1)


class Quadruped:
    """`Task`: 12 joint targets at 50 Hz."""

    name = "quadruped"
    robot = SPEC
    environment: dict[str, str] = {}  # noqa: RUF012 (never written to)
    action_size = 12
    reward_terms: tuple[str, ...] = (
        "velocity", "turning", "gait", "clearance", "body", "slip", "effort", "smoothness", "posture",
    )  # fmt: skip

    def __init__(self, config: QuadrupedConfig | None = None) -> None:
        self.config = c = config or QuadrupedConfig()
        self.terrain = Terrain(c.terrain) if c.terrain else None
        self.levels = c.terrain.levels if c.terrain else 1
        self.memory = (
            MemorySpec(name="past", shape=(c.history, FRAME_SIZE), order="oldest first", initial=0.0),
            MemorySpec(name="phase", shape=(1,), order="cycles", initial=0.0),
        )
        self._scan = Constant(_scan_points())
        scan = _SCAN if self.terrain else (0, 0)
        self.mirror = {"action": ACTION, "actor": actor_mirror(c.history), "critic": critic_mirror(scan)}
        self.groups = {group: Group(shape=(len(self.mirror[group].index),)) for group in ("actor", "critic")}
        self.sensors = c.sensors
        self.command_delay = c.command_delay
        self.episode_steps = c.episode_steps
        late = longest_delay(self.sensors, self.command_delay) * SPEC.control_period_s
        self.trained_latency_s = late + c.actuation_delay[1]

    # --- on the robot and in simulation ---

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        now, command = _proprioception(signals), self._command(signals, memory["phase"])
        return {"actor": torch.cat((now, command, memory["past"].flatten(1)), dim=-1)}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        # The clock steps in place (as in Iscen et al. 2018, "Policies Modulating Trajectory Generators"); the action
        # makes a walk of it.
        command = torch.cat((signals["linear_velocity_command"], signals["yaw_rate_command"]), dim=-1)
        swing, stance = _swing(memory["phase"], command), _swing(memory["phase"] + 0.5, command)
        step = (self.config.lift * swing - self.config.press * stance).repeat_interleave(3, dim=-1)
        target = _DEFAULT.to(action) + self.config.action_scale * action + step * _LIFT.to(action)
        return {"joint_position_target": torch.minimum(torch.maximum(target, _LOW.to(action)), _HIGH.to(action))}

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        frame = torch.cat((_proprioception(signals), action), dim=-1)
        past = torch.cat((memory["past"][:, 1:], frame.unsqueeze(1)), dim=1)
        return {"past": past, "phase": self._next_phase(memory["phase"])}

    def _next_phase(self, phase: Tensor) -> Tensor:
        return torch.remainder(phase + self.config.gait_hz * SPEC.control_period_s, 1.0)

    def _command(self, signals: Signals, phase: Tensor) -> Tensor:
        """(n, 5): the operator's command and the clock."""
        turn = 2 * math.pi * phase
        return torch.cat(
            (signals["linear_velocity_command"], signals["yaw_rate_command"], turn.sin(), turn.cos()), dim=-1
        )

    # --- in simulation only ---

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        drawn = self._draw_command(len(episode_step), generator)
        if previous is None:
            return drawn
        every = round(self.config.command_s / SPEC.control_period_s)
        due = (episode_step % every == 0).unsqueeze(-1)
        goal = {name: torch.where(due, value, previous[name]) for name, value in drawn.items()}
        return goal | {"phase": self._next_phase(previous["phase"])}

    def _draw_command(self, n: int, generator: torch.Generator) -> Goal:
        c = self.config
        bounds = torch.tensor((c.forward, c.sideways, c.turning), device=generator.device)
        share = torch.rand(n, 4, generator=generator, device=generator.device)
        command = bounds[:, 0] + share[:, :3] * (bounds[:, 1] - bounds[:, 0])
        command = torch.where(share[:, 3:] < c.standing_share, 0.0, command)
        return {
            "linear_velocity_command": command[:, :2],
            "yaw_rate_command": command[:, 2:],
            "phase": torch.zeros(n, 1, device=generator.device),
        }

    def sense(self, state: State, goal: Goal) -> Signals:
        assert isinstance(state, ArticulatedState)
        return {
            "joint_position": state.joint_position,
            "joint_velocity": state.joint_velocity,
            "angular_velocity": state.angular_velocity,
            "imu_orientation": state.orientation,
            "linear_velocity_command": goal["linear_velocity_command"],
            "yaw_rate_command": goal["yaw_rate_command"],
        }

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        assert isinstance(state, ArticulatedState)
        rows = slice(None) if ids is None else ids
        p = engine.params
        signals = self.sense(state, goal)
        matrix = rotation_matrix(state.orientation)
        seen = (
            _proprioception(signals),
            self._command(signals, goal["phase"]),
            state.actuator - _DEFAULT.to(state.actuator),
            to_body(matrix, state.linear_velocity),
            self._height(state).unsqueeze(-1),
            (state.foot_force / (MASS * GRAVITY)).clamp_max(2.0),
            self._foot_height(state),
            p["friction"][rows],
            p["payload"][rows],
            p["com_offset"][rows],
            p["command_delay"][rows] / SPEC.control_period_s,
            p["strength"][rows],
            p["stiffness"][rows].mean(-1, keepdim=True),
            p["damping"][rows].mean(-1, keepdim=True),
            to_body(matrix, engine.force[rows]) / (MASS * GRAVITY),
            self._heights_around(state),
        )
        return {"critic": torch.cat(seen, dim=-1)}

    def _ground(self, place: Tensor) -> Tensor:
        """The ground's height (...) under places (..., 2)."""
        return self.terrain.height(place) if self.terrain else torch.zeros_like(place[..., 0])

    def _height(self, state: State) -> Tensor:
        return state.position[:, 2] - self._ground(state.position[:, :2])

    def _foot_height(self, state: ArticulatedState) -> Tensor:
        """(n, 4) m: of each foot's middle over the ground below it."""
        return state.foot_position[..., 2] - self._ground(state.foot_position[..., :2])

    def _heights_around(self, state: State) -> Tensor:
        """The ground around the robot, relative to its base, in the directions of its heading."""
        if self.terrain is None:
            return state.position[:, :0]
        turned = yaw_rotation(state.orientation) @ self._scan.to(state.position).T  # (n, 2, points)
        place = state.position[:, :2].unsqueeze(1) + turned.transpose(1, 2)
        return (self.terrain.height(place) - state.position[:, 2:] + STAND_HEIGHT).clamp(-1.0, 1.0)

    def reward(self, step: Transition) -> dict[str, Tensor]:
        state, goal, w = step.state, step.goal, self.config.reward
        assert isinstance(state, ArticulatedState)
        matrix = rotation_matrix(state.orientation)
        velocity, down = to_body(matrix, state.linear_velocity), -matrix[:, 6:]
        off = (velocity[:, :2] - goal["linear_velocity_command"]).norm(dim=-1)
        turning_off = (state.angular_velocity[:, 2:] - goal["yaw_rate_command"]).abs().squeeze(-1)
        command = torch.cat((goal["linear_velocity_command"], goal["yaw_rate_command"]), dim=-1)
        swing = _swing(goal["phase"], command)
        touches = state.foot_force > 1.0
        low = (w.swing_height * swing - self._foot_height(state)).clamp_min(0.0) * (swing > 0)
        rocking = state.angular_velocity[:, :2].square().sum(-1)
        posture = (state.joint_position - _DEFAULT.to(state.joint_position)).square()
        return {
            "velocity": w.velocity * (-off / w.width).exp(),
            "turning": w.turning * (-turning_off / w.width).exp(),
            "gait": w.gait * (touches == (swing == 0)).float().mean(-1),
            "clearance": -w.clearance * low.square().sum(-1),
            "body": -w.level * down[:, :2].square().sum(-1)
            - w.height * (self._height(state) - w.base_height).square()
            - w.bounce * (velocity[:, 2].square() + 0.1 * rocking),
            "slip": -w.slip * (state.foot_velocity[..., :2].square().sum(-1) * touches).sum(-1),
            "effort": -w.effort * state.joint_torque.square().sum(-1)
            - w.power * state.joint_power.clamp_min(0.0).sum(-1),
            "smoothness": -w.smoothness * (step.command - step.previous).square().sum(-1),
            "posture": -w.posture * (posture.sum(-1) + 4 * posture[:, ::3].sum(-1)),
        }

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        assert isinstance(state, ArticulatedState)
        velocity = to_body(rotation_matrix(state.orientation), state.linear_velocity)
        turning = state.angular_velocity[:, 2:] - goal["yaw_rate_command"]
        return {
            "velocity_error_mps": (velocity[:, :2] - goal["linear_velocity_command"]).norm(dim=-1),
            "yaw_rate_error_radps": turning.abs().squeeze(-1),
            "speed_mps": velocity[:, :2].norm(dim=-1),
            "power_w": state.joint_power.clamp_min(0.0).sum(-1),
        }

    def terminated(self, state: State, goal: Goal) -> Tensor:
        up = 1 - 2 * state.orientation[:, 1:3].square().sum(-1)
        stands = (up > math.cos(self.config.tilt_limit)) & (self._height(state) > self.config.height_limit)
        return ~stands

    def succeeded(self, state: State, goal: Goal) -> None:
        return None  # it goes on until its time is out

    # --- what is drawn ---

    def disturb(self, engine: Engine, episode_step: Tensor, generator: torch.Generator) -> None:
        c = self.config
        if c.push_s == 0:
            return
        every, length = (round(time / SPEC.control_period_s) for time in (c.push_s, c.push_length_s))
        n, device = len(episode_step), generator.device
        angle, size = (torch.rand(2, n, generator=generator, device=device)).unbind(0)
        push = (MASS * c.push_speed / c.push_length_s) * size
        drawn = torch.stack(
            ((2 * math.pi * angle).cos() * push, (2 * math.pi * angle).sin() * push, torch.zeros_like(push)), dim=-1
        )
        turn = (episode_step % every).unsqueeze(-1)
        force = torch.where((turn == 0) & (episode_step > 0).unsqueeze(-1), drawn, engine.force)
        engine.apply_wrench(torch.where(turn == length, 0.0, force), engine.torque)

    def regrade(self, level: Tensor, state: State, goal: Goal, engine: Engine, ids: Tensor) -> Tensor:
        """Up for those that left their tile's middle far behind, down for those that fell or hardly came away."""
        assert self.terrain is not None
        side = self.terrain.config.tile
        away = (state.position - self.terrain.origin(level, _kind(ids)))[:, :2].norm(dim=-1)
        asked = goal["linear_velocity_command"].norm(dim=-1) > 0.3
        fell = self.terminated(state, goal)
        up, down = (away > 0.4 * side) & ~fell, fell | ((away < 0.15 * side) & asked)
        return (level + up.long() - down.long()).clamp(0, self.levels - 1)

    def reset(self, engine: Engine, ids: Tensor, level: Tensor, generator: torch.Generator) -> State:
        n, c = len(ids), self.config

        def uniform(bounds: Range, size: int) -> Tensor:
            low, high = bounds
            return low + (high - low) * torch.rand(n, size, generator=generator, device=generator.device)

        gains = {name: [getattr(joint, name) for joint in SPEC.joints.values()] for name in ("stiffness", "damping")}
        engine.set_params(
            ids,
            friction=uniform(c.friction, 1),
            payload=uniform(c.payload, 1),
            com_offset=uniform((-c.com_offset, c.com_offset), 3),
            command_delay=uniform(c.actuation_delay, 1),
            strength=uniform(c.strength, 12),
            **{name: torch.tensor(values, device=ids.device) * uniform(c.gains, 12) for name, values in gains.items()},
        )
        force = engine.force.clone()
        force[ids] = 0.0
        engine.apply_wrench(force, engine.torque)
        yaw = uniform((-math.pi, math.pi), 1)
        zero, still = torch.zeros_like(yaw), torch.zeros(n, 12, device=yaw.device)
        joints = _DEFAULT.to(yaw) + uniform((-0.1, 0.1), 12)
        place = torch.cat((uniform((-0.3, 0.3), 2), zero), dim=-1)
        if self.terrain is not None:
            place = place + self.terrain.origin(level, _kind(ids))
        place[:, 2] += STAND_HEIGHT
        feet = torch.zeros(n, len(LEGS), 3, device=yaw.device)
        return ArticulatedState(
            position=place,
            orientation=torch.cat(((0.5 * yaw).cos(), zero, zero, (0.5 * yaw).sin()), dim=-1),
            linear_velocity=uniform((-0.3, 0.3), 3),
            angular_velocity=uniform((-0.3, 0.3), 3),
            actuator=_DEFAULT.to(yaw).repeat(n, 1),
            joint_position=joints,
            joint_velocity=uniform((-0.5, 0.5), 12),
            joint_torque=still,
            joint_power=still,
            foot_position=feet,
            foot_velocity=feet,
            foot_force=feet[..., 0],
        )


def _kind(ids: Tensor) -> Tensor:
    """Each world keeps to one kind of ground."""
    return ids % len(KINDS)


def _swing(phase: Tensor, command: Tensor) -> Tensor:
    """(n, 4), 0 to 1: how high each foot should be in its swing; 0 where it should stand, as all do without a command.

    phase (n, 1) cycles; command (n, 3).
    """
    walks = (command.norm(dim=-1, keepdim=True) > 0.05).to(phase)
    return walks * torch.sin(-2 * math.pi * (phase + _TROT.to(phase))).clamp_min(0.0)


def _proprioception(signals: Signals) -> Tensor:
    """(n, 30): what the robot feels of itself: gyro, direction of gravity in the body, joints."""
    gravity = -rotation_matrix(signals["imu_orientation"])[:, 6:]
    joints = signals["joint_position"] - _DEFAULT.to(gravity)
    return torch.cat((signals["angular_velocity"], gravity, joints, signals["joint_velocity"]), dim=-1)


def _scan_points() -> Tensor:
    """(77, 2) m: places around the base, forward and left, at which the critic knows the ground."""
    forward, left = torch.linspace(-0.5, 0.75, _SCAN[0]), torch.linspace(-0.45, 0.45, _SCAN[1])
    return torch.cartesian_prod(forward, left)
