"""The task: both joints come to where they are asked to be, and rest there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, State
from isthmus_sim.scene import Scene, joint_motion, remembered
from isthmus_sim.sensors import SensorModel, SignalNoise, Signals
from isthmus_sim.task import Goal, Group, Memory, Reward, Task, Transition
from isthmus_sim.tasks import TaskEntry
from isthmus_sim.terms import rewards
from isthmus_sim.terms.randomization import Range, scaled, uniform
from isthmus_sim.terms.terminations import not_finite


@dataclass(frozen=True, kw_only=True)
class ReachConfig:
    """Angles rad, speeds rad/s, times s."""

    episode_steps: int = 150
    goal: Range = (-1.6, 1.6)
    """Where the joints are asked to be."""
    correction: float = 0.3
    """How far an action of 1 moves the commanded position from the goal."""
    near: float = 0.05
    """How near is there."""
    slow: float = 0.2
    """How slow is at rest."""
    strength: Range = (0.8, 1.0)
    gains: Range = (0.9, 1.1)
    latency_s: Range = (0.0, 0.01)
    noise: float = 0.002


class Reach(Task):
    """The action corrects the goal on its way to the motors."""

    name = "scara-reach"
    action_size = 2
    has_goal = True
    groups = {"actor": Group(shape=(6,)), "critic": Group(shape=(8,))}

    def __init__(self, robot: RobotDescription, config: ReachConfig) -> None:
        self.robot, self.config = robot, config
        joints = tuple(robot.joints)
        self.scene = Scene(robot=robot, timestep_s=0.005, quantities=(*joint_motion(joints), remembered(2, "rad")))
        self.episode_steps = config.episode_steps
        self.sensors = {"joint_states": SensorModel(latency_s=config.latency_s)}
        self.noise = {"joint_position": SignalNoise(noise=config.noise)}
        self.goal_range = {"joint_position_goal": tuple((bound,) * 2 for bound in config.goal)}
        self.randomization = (
            uniform(self.scene, "strength", config.strength),
            scaled(self.scene, "stiffness", config.gains),
            scaled(self.scene, "damping", config.gains),
        )
        self.rewards = {
            # The episode ends with success: rewards for being near would make it worth more to stay short of the goal
            "distance": Reward(weight=-1.0, function=_distance),
            "done": Reward(weight=10.0, function=self._done),
            "smoothness": Reward(weight=-0.2, function=rewards.command_change),
        }

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        position, goal = signals["joint_position"], signals["joint_position_goal"]
        return {"actor": torch.cat((position, 0.2 * signals["joint_velocity"], goal - position), dim=-1)}

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> Commands:
        return {"joint_position_target": signals["joint_position_goal"] + self.config.correction * action}

    def goal(self, episode_step: Tensor, previous: Goal | None, generator: torch.Generator) -> Goal:
        if previous is not None:
            return previous
        low, high = self.config.goal
        return {"joint_position_goal": low + (high - low) * torch.rand(len(episode_step), 2, generator=generator)}

    def sense(self, state: State, goal: Goal) -> Signals:
        return {"joint_position": state["joint_position"], "joint_velocity": state["joint_velocity"], **goal}

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        seen = (state["joint_position"], state["joint_velocity"], state["actuator"], _error(state, goal))
        return {"critic": torch.cat(seen, dim=-1)}

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"error_rad": _error(state, goal).abs().amax(-1)}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        return not_finite(state["joint_position"])

    def succeeded(self, state: State, goal: Goal) -> Tensor:
        near = _error(state, goal).abs().amax(-1) < self.config.near
        return near & (state["joint_velocity"].abs().amax(-1) < self.config.slow)

    def _done(self, step: Transition) -> Tensor:
        return self.succeeded(step.state, step.goal).float()

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        place = 1.5 * (2 * torch.rand(len(ids), 2, generator=generator) - 1)
        return {"joint_position": place, "actuator": place}


def _distance(step: Transition) -> Tensor:
    distance = _error(step.state, step.goal).norm(dim=-1)
    return distance + torch.tanh(distance / 0.1)  # steep close by too: the last hundredths of a radian count


def _error(state: State, goal: Goal) -> Tensor:
    """(n, 2) rad: how far the joints are from where they are asked to be."""
    return goal["joint_position_goal"] - state["joint_position"]


REACH = TaskEntry(
    make=Reach,
    robot="scara",
    config=ReachConfig(),
    training={"iterations": 80, "num_envs": 256, "episode_steps": None},
    summary="bring both joints of a two-joint arm to where they are asked to be",
)
