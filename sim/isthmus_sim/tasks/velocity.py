"""A legged robot walks as it is told: forward, sideways and turning, on flat or rough ground, pushed and loaded.

One task for every robot with legs. The actor sees what the robot's own sensors give: joints, gyro, the direction of
gravity from the IMU, the operator's command, a clock for the gait, and some control steps of history. The critic also
sees what only simulation knows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, State
from isthmus_sim.on_device import Constant
from isthmus_sim.rotations import rotation_matrix, to_body, yaw_rotation
from isthmus_sim.scene import legged_scene
from isthmus_sim.scenes.terrain import KINDS, Terrain
from isthmus_sim.sensors import Signals
from isthmus_sim.specs import MemorySpec
from isthmus_sim.task import BaseMotion, Goal, Group, Memory, Mirror, Reward, Task, Transition
from isthmus_sim.tasks import symmetry
from isthmus_sim.tasks.gait import Gait, first
from isthmus_sim.tasks.velocity_check import COMMAND, check
from isthmus_sim.tasks.velocity_config import VelocityConfig
from isthmus_sim.terms import rewards, terminations
from isthmus_sim.terms.curricula import terrain_level
from isthmus_sim.terms.events import Push
from isthmus_sim.terms.randomization import Range, scaled, uniform
from isthmus_sim.terms.rewards import COURSE, TURNING_GOAL, VELOCITY_GOAL

GRAVITY = 9.81  # m/s²
TRACKING_ERROR = "tracking_error"
"""A group (n, 3) of what simulation knows: velocity less what is asked, forward and left m/s, turning rad/s."""
_SCAN = (11, 7)  # places forward and left at which the critic knows rough ground
_TOUCHES = 1.0  # N


class VelocityTracking(Task):
    """Joint position targets for every joint of a robot with legs.

    Raises:
        ValueError: the robot lacks what a walk needs, or the configuration asks for what it cannot do.
    """

    name = "velocity"

    def __init__(self, robot: RobotDescription, config: VelocityConfig) -> None:
        check(robot, config)
        self.robot, self.config = robot, config
        c, period_s = config, robot.control_period_s
        self.terrain = Terrain(c.terrain) if c.terrain else None
        self.levels = c.terrain.levels if c.terrain else 1
        self.kinds = KINDS if c.terrain else ()
        self.scene = legged_scene(robot, self.terrain)
        self.engines = ("mujoco", "warp")
        self.action_size = len(robot.joints)
        self.episode_steps = c.episode_steps
        self.sensors, self.noise, self.command_delay_steps = c.sensors, c.noise, c.command_delay_steps
        self.actuation_delay_s = c.actuation_delay_s[1]
        self._gait = Gait(robot, c.gait)
        self._constants()
        frame = 6 + 3 * len(robot.joints)
        self.memory = (
            MemorySpec(name="past", shape=(c.history, frame), order="oldest first", initial=0.0),
            MemorySpec(name="phase", shape=(1,), order="cycles", initial=0.0),
        )
        pieces = {name: self._pieces(name) for name in ("actor", "critic", TRACKING_ERROR)}
        self.groups = {name: Group(shape=(sum(len(index) for index, _ in p),)) for name, p in pieces.items()}
        self.mirror = self._mirror(pieces)
        self.rewards = self._rewards()
        self.randomization = self._randomization()
        forward, sideways, turning = (_with_standing(bounds, c) for bounds in (c.forward, c.sideways, c.turning))
        self.goal_range = {
            VELOCITY_GOAL: ((forward[0], sideways[0]), (forward[1], sideways[1])),
            TURNING_GOAL: ((turning[0],), (turning[1],)),
        }
        # The height, which ends episodes too, is nothing that this robot measures.
        self.conditions = {"tilt": terminations.upright("imu_orientation", c.tilt_limit)}
        if c.push_s:
            self.events = (
                Push(
                    every=round(c.push_s / period_s), length=round(c.push_length_s / period_s),
                    impulse=robot.mass * c.push_speed, period_s=period_s,
                ),
            )  # fmt: skip

    def _constants(self) -> None:
        robot, c = self.robot, self.config
        self._stands_m = robot.stances["stand"].height
        command = robot.command(COMMAND)
        self._low, self._high = (Constant(torch.tensor(v)) for v in (command.minimum, command.maximum))
        self._default = Constant(torch.tensor(robot.default_pose))
        self._posture = Constant(torch.tensor([first(c.reward.posture_of, name, 1.0) for name in robot.joints]))
        self._scan = Constant(_scan_points())

    # --- on the robot and in simulation ---

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        now, command = self._proprioception(signals), self._command(signals, memory["phase"])
        return {"actor": torch.cat((now, command, memory["past"].flatten(1)), dim=-1)}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> Commands:
        target = self._default.to(action) + self.config.action_scale * action + self._stepping(signals, memory)
        return {COMMAND: torch.minimum(torch.maximum(target, self._low.to(action)), self._high.to(action))}

    def action_of(self, commands: Commands, signals: Signals, memory: Memory) -> Tensor:
        target = commands[COMMAND]
        return (target - self._default.to(target) - self._stepping(signals, memory)) / self.config.action_scale

    def _stepping(self, signals: Signals, memory: Memory) -> Tensor:
        """(n, joints) rad from the default pose: what the gait does by itself."""
        command = torch.cat((signals[VELOCITY_GOAL], signals[TURNING_GOAL]), dim=-1)
        return self._gait.joints(memory["phase"], command)

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        frame = torch.cat((self._proprioception(signals), action), dim=-1)
        past = torch.cat((memory["past"][:, 1:], frame.unsqueeze(1)), dim=1)
        return {"past": past, "phase": self._gait.next(memory["phase"])}

    def _command(self, signals: Signals, phase: Tensor) -> Tensor:
        """(n, 5): the operator's command and the clock."""
        return torch.cat((signals[VELOCITY_GOAL], signals[TURNING_GOAL], self._gait.clock(phase)), dim=-1)

    def _proprioception(self, signals: Signals) -> Tensor:
        """(n, 6 + 2j): what the robot feels of itself: gyro, direction of gravity in the body, joints."""
        gravity = -rotation_matrix(signals["imu_orientation"])[:, 6:]
        joints = signals["joint_position"] - self._default.to(gravity)
        return torch.cat((signals["angular_velocity"], gravity, joints, signals["joint_velocity"]), dim=-1)

    # --- in simulation only ---

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        drawn = self._draw_command(len(episode_step), generator)
        if previous is None:
            return drawn
        every = round(self.config.command_s / self.robot.control_period_s)
        due = (episode_step % every == 0).unsqueeze(-1)
        goal = {name: torch.where(due, value, previous[name]) for name, value in drawn.items()}
        return goal | {"phase": self._gait.next(previous["phase"]), COURSE: previous[COURSE]}

    def track(self, goal: Goal, state: State) -> Goal:
        share = self.robot.control_period_s / self.config.reward.course_s
        return goal | {COURSE: torch.lerp(goal[COURSE], _tracking_error(BaseMotion.of(state), goal), share)}

    def _draw_command(self, n: int, generator: torch.Generator) -> Goal:
        c = self.config
        bounds = torch.tensor((c.forward, c.sideways, c.turning), device=generator.device)
        share = torch.rand(n, 4, generator=generator, device=generator.device)
        command = bounds[:, 0] + share[:, :3] * (bounds[:, 1] - bounds[:, 0])
        command = torch.where(share[:, 3:] < c.standing_share, 0.0, command)
        start = {"phase": command.new_zeros(n, 1), COURSE: command.new_zeros(n, 3)}
        return {VELOCITY_GOAL: command[:, :2], TURNING_GOAL: command[:, 2:], **start}

    def sense(self, state: State, goal: Goal) -> Signals:
        return {
            "joint_position": state["joint_position"],
            "joint_velocity": state["joint_velocity"],
            "angular_velocity": state["angular_velocity"],
            "imu_orientation": state["orientation"],
            VELOCITY_GOAL: goal[VELOCITY_GOAL],
            TURNING_GOAL: goal[TURNING_GOAL],
        }

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        rows = slice(None) if ids is None else ids
        p, weight = engine.params, self.robot.mass * GRAVITY
        base = BaseMotion.of(state)
        seen = (
            self._proprioception(self.sense(state, goal)),
            self._command(goal, goal["phase"]),
            goal[COURSE],
            state["actuator"] - self._default.to(state["actuator"]),
            base.velocity,
            self._height(state).unsqueeze(-1),
            (state["foot_force"] / weight).clamp_max(2.0),
            self._foot_height(state),
            p["friction"][rows],
            p["payload"][rows],
            p["com_offset"][rows],
            p["command_delay_s"][rows] / self.robot.control_period_s,
            p["strength"][rows],
            p["stiffness"][rows].mean(-1, keepdim=True),
            p["damping"][rows].mean(-1, keepdim=True),
            to_body(base.matrix, engine.force[rows]) / weight,
            self._heights_around(state),
        )
        return {"critic": torch.cat(seen, dim=-1), TRACKING_ERROR: _tracking_error(base, goal)}

    def _pieces(self, group: str) -> list[symmetry.Piece]:
        """What `observe` and `privileged` put into a group, one after the other, as a mirror sees it."""
        robot, clock, off = self.robot, self._gait.clock_sign, symmetry.signs(1, -1, -1)
        if group == TRACKING_ERROR:
            return [off]
        joints, vector, spin, same = symmetry.joints(robot), symmetry.VECTOR, symmetry.SPIN, symmetry.SAME
        felt = [spin, vector, joints, joints]
        asked = [symmetry.signs(1, -1, -1, clock, clock)]
        if group == "actor":
            return [*felt, *asked, *[*felt, joints] * self.config.history]
        per_foot, per_joint = symmetry.per_foot(robot), symmetry.per_joint(robot)
        drawn = [same, same, vector, same, per_joint, same, same, vector]
        scan = symmetry.grid(*(_SCAN if self.terrain else (0, 0)))
        return [*felt, *asked, off, joints, vector, same, per_foot, per_foot, *drawn, scan]

    def _mirror(self, pieces: dict[str, list[symmetry.Piece]]) -> dict[str, Mirror]:
        if not self.robot.mirror or not self._gait.mirrors:
            return {}
        images = {name: symmetry.joined(*its_pieces) for name, its_pieces in pieces.items()}
        return images | {"action": symmetry.joined(symmetry.joints(self.robot))}

    def _ground(self, place: Tensor) -> Tensor:
        """The ground's height (...) under places (..., 2)."""
        return self.terrain.height(place) if self.terrain else torch.zeros_like(place[..., 0])

    def _height(self, state: State) -> Tensor:
        return state["position"][:, 2] - self._ground(state["position"][:, :2])

    def _foot_height(self, state: State) -> Tensor:
        """(n, f) m: of each foot's middle over the ground below it."""
        feet = state["foot_position"]
        return feet[..., 2] - self._ground(feet[..., :2])

    def _heights_around(self, state: State) -> Tensor:
        """The ground around the robot, relative to its base, in the directions of its heading."""
        position = state["position"]
        if self.terrain is None:
            return position[:, :0]
        turned = yaw_rotation(state["orientation"]) @ self._scan.to(position).T  # (n, 2, points)
        place = position[:, :2].unsqueeze(1) + turned.transpose(1, 2)
        return (self.terrain.height(place) - position[:, 2:] + self.robot.stances["stand"].height).clamp(-1.0, 1.0)

    # --- rewards ---

    def _rewards(self) -> dict[str, Reward]:
        w = self.config.reward
        return {
            "velocity": Reward(weight=w.velocity, function=lambda step: rewards.planar_velocity(step, w.width)),
            "turning": Reward(weight=w.turning, function=lambda step: rewards.yaw_rate(step, w.width)),
            "course": Reward(
                weight=w.course, function=lambda step: step.progress * rewards.course(step, w.course_width)
            ),
            "gait": Reward(weight=w.gait, function=self._in_step),
            "clearance": Reward(weight=-w.clearance, function=self._lack_of_clearance),
            "level": Reward(weight=-w.level, function=rewards.tilt),
            "height": Reward(weight=-w.height, function=self._height_error),
            "bounce": Reward(weight=-w.bounce, function=rewards.bounce),
            "slip": Reward(weight=-w.slip, function=lambda step: rewards.slip(step, _touches(step))),
            "effort": Reward(weight=-w.effort, function=rewards.effort),
            "power": Reward(weight=-w.power, function=rewards.power),
            "smoothness": Reward(weight=-w.smoothness, function=rewards.command_change),
            "posture": Reward(weight=-w.posture, function=self._posture_error),
        }

    def _swing_asked(self, step: Transition) -> Tensor:
        command = torch.cat((step.goal[VELOCITY_GOAL], step.goal[TURNING_GOAL]), dim=-1)
        return self._gait.swing(step.goal["phase"], command)

    def _in_step(self, step: Transition) -> Tensor:
        return (_touches(step) == (self._swing_asked(step) == 0)).float().mean(-1)

    def _lack_of_clearance(self, step: Transition) -> Tensor:
        swing = self._swing_asked(step)
        wanted = self.config.reward.swing_height * swing
        low = (wanted - self._foot_height(step.state)).clamp_min(0.0) * (swing > 0)
        return low.square().sum(-1)

    def _height_error(self, step: Transition) -> Tensor:
        return (self._height(step.state) - self._stands_m + self.config.reward.crouch).square()

    def _posture_error(self, step: Transition) -> Tensor:
        joints = step.state["joint_position"]
        return rewards.posture(step, self._default.to(joints), self._posture.to(joints))

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        base = BaseMotion.of(state)
        off = _tracking_error(base, goal)
        return {
            "velocity_error_mps": off[:, :2].norm(dim=-1),
            "yaw_rate_error_radps": off[:, 2].abs(),
            "speed_mps": base.velocity[:, :2].norm(dim=-1),
            "power_w": state["joint_power"].clamp_min(0.0).sum(-1),
        }

    def terminated(self, state: State, goal: Goal) -> Tensor:
        c = self.config
        return terminations.tilted(state, c.tilt_limit) | terminations.low(
            self._height(state), c.lowest * self._stands_m
        )

    # --- what is drawn ---

    def _randomization(self) -> tuple:
        c, scene = self.config, self.scene
        return (
            uniform(scene, "friction", c.friction),
            uniform(scene, "payload", c.payload),
            uniform(scene, "com_offset", (-c.com_offset, c.com_offset)),
            uniform(scene, "command_delay_s", c.actuation_delay_s),
            uniform(scene, "strength", c.strength),
            scaled(scene, "stiffness", c.gains),
            scaled(scene, "damping", c.gains),
        )

    def next_level(self, level: Tensor, failed: Tensor, state: State, goal: Goal, ids: Tensor) -> Tensor:
        assert self.terrain is not None
        asked = goal[VELOCITY_GOAL].norm(dim=-1)
        return terrain_level(self.terrain, level, self._kind(ids), state["position"], failed, asked)

    def _kind(self, ids: Tensor) -> Tensor:
        return ids % len(self.kinds)

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        n, joints, speed = len(ids), len(self.robot.joints), self.config.start_speed

        def around_zero(bound: float, size: int) -> Tensor:
            return bound * (2 * torch.rand(n, size, generator=generator, device=generator.device) - 1)

        yaw = around_zero(math.pi, 1)
        zero = torch.zeros_like(yaw)
        place = torch.cat((around_zero(0.3, 2), zero), dim=-1)
        if self.terrain is not None:
            place = place + self.terrain.origin(level, self._kind(ids))
        place[:, 2] += self.robot.stances["stand"].height
        default = self._default.to(yaw)
        return {
            "position": place,
            "orientation": torch.cat(((0.5 * yaw).cos(), zero, zero, (0.5 * yaw).sin()), dim=-1),
            "linear_velocity": around_zero(speed, 3),
            "angular_velocity": around_zero(speed, 3),
            "actuator": default.repeat(n, 1),
            "joint_position": default + around_zero(0.1, joints),
            "joint_velocity": around_zero(0.5, joints),
        }


def _tracking_error(base: BaseMotion, goal: Goal) -> Tensor:
    """(n, 3): velocity less what is asked, in the body: forward and left m/s, turning rad/s."""
    return torch.cat((base.velocity[:, :2] - goal[VELOCITY_GOAL], base.turning[:, 2:] - goal[TURNING_GOAL]), dim=-1)


def _touches(step: Transition) -> Tensor:
    return step.state["foot_force"] > _TOUCHES


def _with_standing(bounds: Range, c: VelocityConfig) -> Range:
    """What is asked for, standing still included where that is trained."""
    low, high = bounds
    return (min(low, 0.0), max(high, 0.0)) if c.standing_share > 0 else bounds


def _scan_points() -> Tensor:
    """(77, 2) m: places around the base, forward and left, at which the critic knows the ground."""
    forward, left = torch.linspace(-0.5, 0.75, _SCAN[0]), torch.linspace(-0.45, 0.45, _SCAN[1])
    return torch.cartesian_prod(forward, left)
