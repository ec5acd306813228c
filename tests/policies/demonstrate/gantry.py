"""A package that no file of the project knows: a gantry with two commands and a camera, a task, its demonstration."""

from __future__ import annotations

import numpy as np
import torch

from isthmus_datasets.recording.scripted import ScriptedOperator
from isthmus_policies.demonstrate.demonstration import Demonstration
from isthmus_policies.demonstrate.features import joined
from isthmus_sim.actuators import PositionServos
from isthmus_sim.description import RobotDescription
from isthmus_sim.scene import Scene, joint_motion
from isthmus_sim.specs import CommandSpec, JointSpec, SignalSpec
from isthmus_sim.task import Group, Reward, Task
from isthmus_sim.tasks import TaskEntry

PERIOD = 0.05  # s
RATE = 1.0  # m/s: 0.05 m a control period
GOAL = {"x_target": (0.3,), "y_target": (-0.2,)}  # m
EDGE = 0.45  # m: beyond it the gantry falls off its rails

MJCF = """
<mujoco>
  <option timestep="0.01" integrator="implicitfast" gravity="0 0 0"/>
  <worldbody>
    <body><joint name="x" type="slide" axis="1 0 0"/><geom size="0.02" mass="1"/>
      <body><joint name="y" type="slide" axis="0 1 0"/><geom size="0.02" mass="1"/></body>
    </body>
  </worldbody>
  <actuator>
    <position name="x" joint="x" kp="4000" kv="200"/>
    <position name="y" joint="y" kp="4000" kv="200"/>
  </actuator>
</mujoco>"""


def _target(axis: str) -> CommandSpec:
    return CommandSpec(
        name=f"{axis}_target", unit="m", frame="joint", order=(axis,), minimum=(-0.5,), maximum=(0.5,),
        max_rate=(RATE,), safe=(0.0,), standby=(0.0,),
    )  # fmt: skip


JOINT = JointSpec(
    stiffness=4000.0, damping=200.0, position_min=-0.5, position_max=0.5, velocity_limit=RATE, effort_limit=4000.0,
    default_position=0.0,
)  # fmt: skip
ROBOT = RobotDescription(
    name="gantry",
    control_period_s=PERIOD,
    signals=(
        SignalSpec(
            name="joint_position", unit="m", frame="joint", order=("x", "y"), minimum=(-1.0,) * 2, maximum=(1.0,) * 2,
            max_jump=(1.0,) * 2, max_age_s=0.1,
        ),
        SignalSpec(
            name="eye", unit="1", frame="eye", order=("r", "g", "b"), shape=(16, 24, 3), dtype="uint8",
            minimum=(0.0,) * 3, maximum=(255.0,) * 3, max_jump=(255.0,) * 3, max_age_s=0.1,
        ),
        SignalSpec(
            name="skin", unit="N", frame="body", order=("left", "right"), shape=(3, 2), minimum=(-1.0,) * 2,
            maximum=(9.0,) * 2, max_jump=(9.0,) * 2, max_age_s=0.1,
        ),
    ),
    commands=(_target("x"), _target("y")),
    joints=dict.fromkeys(("x", "y"), JOINT),
    actuators=(
        PositionServos(command="x_target", actuators=("x",)),
        PositionServos(command="y_target", actuators=("y",)),
    ),
    model=lambda looks: MJCF,
)  # fmt: skip


class Reach(Task):
    """The gantry goes to a place, from anywhere near the middle."""

    name = "reach"
    action_size = 2
    episode_steps = 100
    has_goal = True
    groups = {"actor": Group(shape=(2,))}

    def __init__(self, robot: RobotDescription, config: object) -> None:
        self.robot, self.config = robot, config
        self.scene = Scene(robot=robot, timestep_s=0.01, quantities=joint_motion(("x", "y")))
        self.rewards = {"near": Reward(weight=1.0, function=lambda step: -self._away(step.state))}

    def observe(self, signals, memory):
        return {"actor": signals["joint_position"]}

    def act(self, action, signals, memory):
        return {"x_target": 0.5 * action[:, :1], "y_target": 0.5 * action[:, 1:]}

    def sense(self, state, goal):
        n = len(state["joint_position"])
        grey = (255 * (state["joint_position"][:, 0] + 0.5)).clamp(0, 255).to(torch.uint8)
        skin = torch.arange(6.0).reshape(1, 3, 2).expand(n, 3, 2)
        return {
            "joint_position": state["joint_position"],
            "eye": grey[:, None, None, None].expand(n, 16, 24, 3).clone(),
            "skin": skin.clone(),
        }

    def start(self, ids, level, params, generator):
        return {"joint_position": 0.2 * torch.rand(len(ids), 2, generator=generator) - 0.1}

    def terminated(self, state, goal):
        return (state["joint_position"].abs() > EDGE).any(-1)

    def succeeded(self, state, goal):
        return self._away(state) < 0.01

    def _away(self, state):
        goal = torch.tensor([value for target in GOAL.values() for value in target])
        return (state["joint_position"] - goal).norm(dim=-1)


class GoThere(ScriptedOperator):
    """Asks for the goal at once, however far."""

    def plan(self, observation, step):
        return joined(ROBOT.commands, {name: np.array(value) for name, value in GOAL.items()})


DEMONSTRATION = Demonstration(script=lambda noise, skill: GoThere(steps=60, noise=noise, skill=skill))
SILENT = Demonstration(words="nobody shows it")
CONFIG = {"no": "options"}
ENTRY = TaskEntry(make=Reach, robot="gantry", config=CONFIG, summary="go there", demonstration="gantry:DEMONSTRATION")
SILENT_ENTRY = TaskEntry(make=Reach, robot="gantry", config=CONFIG, demonstration="gantry:SILENT")
BROKEN_ENTRY = TaskEntry(make=Reach, robot="gantry", config=CONFIG, demonstration="gantry:MISSING")
WRONG_ENTRY = TaskEntry(make=Reach, robot="gantry", config=CONFIG, demonstration="gantry:ROBOT")
RAISING_ENTRY = TaskEntry(make=Reach, robot="gantry", config=CONFIG, demonstration="gantry_odd:SHOWN")
