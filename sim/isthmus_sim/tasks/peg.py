"""Peg in hole: a desktop arm brings the peg in its hand into a hole that is half a millimetre wider on every side.

A camera tells where the hole is, but with an error of 1 to 3 mm that stays for the episode, and the arm's encoders add
some tenths: the peg's end meets the block beside the hole, and only touch, which the sensor at the wrist feels, finds
the rest of the way. Done is: the peg's end has been `depth` deep within the hole for a quarter of a second. Too great
a force is a failure.

Seen from the tool, all of it is relative: observations and actions are in the axes of the tool (ahead, right, down),
from where the peg's end is to the hole and by how much the target of the peg's end moves (Luo et al. 2024, "Precise and
Dexterous Robotic Manipulation via Human-in-the-Loop Reinforcement Learning", relative end-effector frame). What is
learned at one place of the board holds at others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, State
from isthmus_sim.on_device import Constant
from isthmus_sim.robots.so101_peg.description import FORCE, HOLE, PEG_END, TORQUE
from isthmus_sim.robots.so101_peg.kinematics import move_between, moved, peg_end, tilt, to_tool
from isthmus_sim.scenes.peg_board import BLOCK_HEIGHT, HOLE_RADIUS, NOMINAL, peg_board_scene
from isthmus_sim.sensors import SensorModel, SignalNoise, Signals
from isthmus_sim.specs import MemorySpec
from isthmus_sim.task import Condition, Goal, Group, Memory, Reward, Task, Transition
from isthmus_sim.terms.terminations import not_finite

COMMAND = "joint_position_target"
OFFSET_SCALE, FINE_SCALE, PULL_SCALE, VELOCITY_SCALE = 0.02, 0.002, 0.005, 0.05  # m, m, m, m/s
TILT_SCALE, FORCE_SCALE, TORQUE_SCALE = 0.05, 10.0, 0.05  # rad, N, N·m
_NEARER = 0.0005  # m: less is no progress


def _sensors() -> dict[str, SensorModel]:
    # The servos' bus, and the driver of the sensor at the wrist, which filters.
    return {"joint_states": SensorModel(latency_s=(0.0, 0.02)), "wrench": SensorModel(latency_s=(0.0, 0.01))}


def _noise() -> dict[str, SignalNoise]:
    # Encoders of 4096 steps, set to zero by hand; a sensor that was set to zero a while ago and drifts with warmth; a
    # camera that was calibrated by hand.
    return {
        "joint_position": SignalNoise(noise=0.0005, bias=0.001),
        "joint_velocity": SignalNoise(noise=0.02),
        FORCE: SignalNoise(noise=0.05, bias=0.1),
        TORQUE: SignalNoise(noise=0.002, bias=0.005),
        HOLE: SignalNoise(noise=0.0001, bias=0.0015),
    }


@dataclass(frozen=True, kw_only=True)
class PegReward:
    """What is earned. The task is sparse: what is neither success nor failure earns little."""

    done: float = 10.0
    """Once, when the peg is in; the episode ends with it."""
    failure: float = -10.0
    """Once, when the force was too great; the episode ends with it. Measured with 0: one in ten episodes ended so,
    because to be quick is worth more than to be careful."""
    force: float = 0.002
    """Force at the wrist, per N and control step: whoever presses for a whole episode with 10 N loses 3."""


@dataclass(frozen=True, kw_only=True)
class PegConfig:
    """Lengths m, angles rad, times s, forces N. The clearance is that of the scene, 0.5 mm on the radius."""

    episode_steps: int = 160
    """Control steps of an episode, 8 s."""
    apart: tuple[float, float, float] = (0.012, 0.012, 0.002)
    """Farthest that the hole is from its nominal place, along each axis; evenly drawn."""
    joint_noise: float = 0.01
    """Largest distance of the joints from home at the start."""
    depth: float = 0.01
    """How deep the peg's end must be."""
    hold_s: float = 0.25
    """How long it must stay there."""
    most_force: float = 20.0
    """At the wrist, weight and inertia included; more ends the episode as a failure."""
    patience_s: float = 1.5
    """Who looks on is content for so long with a peg that comes no nearer."""
    worrying_force: float = 10.0
    """Who looks on minds so great a force at the wrist."""
    step: float = 0.002
    """How far an action of 1 moves the target of the peg's end in a control step."""
    leash: float = 0.004
    """Farthest that the target may be from where the peg's end is, along each axis: it bounds the force, some 2.3 N/mm
    along the peg."""
    reward: PegReward = field(default_factory=PegReward)
    sensors: dict[str, SensorModel] = field(default_factory=_sensors)
    noise: dict[str, SignalNoise] = field(default_factory=_noise)


class Peg(Task):
    """Targets of the joints, which the action moves so that the peg's end goes by a small step in the tool's axes.

    Groups: "actor" what the robot has: the way from the peg's end to where the camera has found the hole, the way to
    the target, velocity, tilt, force and torque. "critic" what is true: the way to the hole, force and torque, and for
    how long the peg has been in; for critics that read "actor" too. "trouble" 1 and more where somebody who looks on
    would take over: the peg has come no nearer for some time, or the force is worrying.
    """

    name = "peg"
    action_size = 3
    has_goal = True
    groups = {"actor": Group(shape=(16,)), "critic": Group(shape=(12,)), "trouble": Group(shape=(1,))}

    def __init__(self, robot: RobotDescription, config: PegConfig) -> None:
        self.robot, self.config = robot, config
        self.scene = peg_board_scene(robot)
        self.memory = (MemorySpec(name="target", shape=(6,), order="joints, from home", initial=0.0),)
        self.episode_steps = config.episode_steps
        self.sensors, self.noise = config.sensors, config.noise
        command = robot.command(COMMAND)
        self._home = Constant(torch.tensor(robot.default_pose))
        self._low, self._high = (Constant(torch.tensor(v)) for v in (command.minimum, command.maximum))
        self._hold_steps, self._patience_steps = (
            round(seconds / robot.control_period_s) for seconds in (config.hold_s, config.patience_s)
        )
        w, most = config.reward, config.most_force
        self.failure_reward = w.failure
        self.rewards = {
            "done": Reward(weight=w.done, function=lambda step: self.succeeded(step.state, step.goal).float()),
            "force": Reward(weight=-w.force, function=_pressed),
        }
        self.conditions = {
            "touch": Condition(
                margin=lambda signals: most - signals[FORCE].norm(dim=-1),
                unit="N",
                description=f"feels at most {most:g} N at its wrist",
            )
        }

    # --- on the robot and in simulation ---

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        joints, target = signals["joint_position"], self._home.to(memory["target"]) + memory["target"]
        end, period_s = peg_end(joints), self.robot.control_period_s
        soon = peg_end(joints + period_s * signals["joint_velocity"])
        parts = (
            to_tool(joints, signals[HOLE] - end) / OFFSET_SCALE,
            _pull(joints, target) / PULL_SCALE,
            to_tool(joints, soon - end) / (period_s * VELOCITY_SCALE),
            tilt(joints) / TILT_SCALE,
            signals[FORCE] / FORCE_SCALE,
            _at_peg_end(signals) / TORQUE_SCALE,
        )
        return {"actor": torch.cat(parts, dim=-1)}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> Commands:
        return {COMMAND: self._home.to(action) + self._target(action, signals, memory)}

    def remember(self, memory: Memory, signals: Signals, action: Tensor) -> Memory:
        return {"target": self._target(action, signals, memory)}

    def action_of(self, commands: Commands, signals: Signals, memory: Memory) -> Tensor:
        home = self._home.to(commands[COMMAND])
        return move_between(home + memory["target"], commands[COMMAND]) / self.config.step

    def _target(self, action: Tensor, signals: Signals, memory: Memory) -> Tensor:
        """(n, 6) rad from home: where the joints' targets go."""
        home, low, high = (limit.to(action) for limit in (self._home, self._low, self._high))
        before, leash = home + memory["target"], self.config.leash
        wanted = _pull(signals["joint_position"], before) + self.config.step * action
        allowed = wanted.clamp(-leash, leash)
        after = moved(before, self.config.step * action + allowed - wanted)
        return torch.minimum(torch.maximum(after, low), high) - home

    # --- in simulation only ---

    def sense(self, state: State, goal: Goal) -> Signals:
        read = {name: state[name] for name in ("joint_position", "joint_velocity", FORCE, TORQUE)}
        return {**read, HOLE: _hole(state)}

    def track(self, goal: Goal, state: State) -> Goal:
        """held (n, 1): control steps for which the peg has been in; nearest (n, 1) m: how far it was from its place at
        best; stalled (n, 1): control steps for which it has come no nearer."""
        inside, off = self._inside(state).unsqueeze(-1), self._off(state).unsqueeze(-1)
        held = goal.get("held", torch.zeros_like(off))
        nearest, stalled = goal.get("nearest", off + 1.0), goal.get("stalled", torch.zeros_like(off))
        nearer = off < nearest - _NEARER
        return {
            "held": torch.where(inside, held + 1, 0.0),
            "nearest": torch.where(nearer, off, nearest),
            "stalled": torch.where(nearer, 0.0, stalled + 1),
        }

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        return previous or {}

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        offset = to_tool(state["joint_position"], _hole(state) - state["peg_position"])
        force, torque = state[FORCE], _at_peg_end(state)
        beside = (offset[:, :2] / FINE_SCALE).tanh()
        known = (offset / OFFSET_SCALE, beside, force / FORCE_SCALE, torque / TORQUE_SCALE, goal["held"])
        return {
            "critic": torch.cat(known, dim=-1),
            "trouble": torch.maximum(
                goal["stalled"] / self._patience_steps,
                force.norm(dim=-1, keepdim=True) / self.config.worrying_force,
            ),
        }

    def _inside(self, state: State) -> Tensor:
        """(n,) bool: the peg's end is deep enough in the hole."""
        off = state["peg_position"] - _hole(state)
        return (off[:, 2] < -self.config.depth) & (off[:, :2].norm(dim=-1) < HOLE_RADIUS)

    def _off(self, state: State) -> Tensor:
        """(n,) m: from the peg's end to the middle of the hole at the depth that is asked for."""
        off = state["peg_position"] - _hole(state)
        deep = (off[:, 2:] + self.config.depth).clamp_min(0.0)
        return torch.cat((off[:, :2], deep), dim=-1).norm(dim=-1)

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"distance_m": self._off(state), "force_N": state[FORCE].norm(dim=-1)}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        return ~(state[FORCE].norm(dim=-1) <= self.config.most_force) | not_finite(state["joint_position"])

    def succeeded(self, state: State, goal: Goal) -> Tensor:
        return goal["held"][:, 0] >= self._hold_steps

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        n, c = len(ids), self.config

        def around_zero(size: int) -> Tensor:
            return 2 * torch.rand(n, size, generator=generator, device=generator.device) - 1

        apart = torch.tensor(c.apart, device=generator.device)
        nominal = torch.tensor((*NOMINAL, -c.apart[2]), device=generator.device)  # the block stands in the table, then
        home = self._home.to(nominal).expand(n, -1)
        return {
            "joint_position": home + c.joint_noise * around_zero(6) * torch.tensor((1.0, 1.0, 1.0, 1.0, 0.0, 0.0)),
            "block_position": nominal + apart * around_zero(3),
        }


def _pull(joints: Tensor, target: Tensor) -> Tensor:
    """(n, 3) m, in the axes of the tool: from where joints (n, 6) rad have the peg's end to where targets have it."""
    return to_tool(joints, peg_end(target) - peg_end(joints))


def _at_peg_end(signals: Signals) -> Tensor:
    """(n, 3) N·m, in the axes of the sensor: the torque about the peg's end. About the wrist, friction at the end is
    more than what says on which side of the hole the peg rests."""
    x, y, _ = signals[FORCE].unbind(-1)
    return signals[TORQUE] - PEG_END * torch.stack((-y, x, torch.zeros_like(x)), dim=-1)


def _hole(state: State) -> Tensor:
    """(n, 3) m, world: the middle of the hole where it opens."""
    block = state["block_position"]
    return block + torch.tensor((0.0, 0.0, BLOCK_HEIGHT)).to(block)


def _pressed(step: Transition) -> Tensor:
    return step.state[FORCE].norm(dim=-1)
