"""What a task need not say has a default: a short one works in the environment; what it asks wrongly is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from isthmus_sim.actuators import PositionServos
from isthmus_sim.description import RobotDescription
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.registry import RegistryError
from isthmus_sim.robots import ROBOTS
from isthmus_sim.scene import Scene, joint_motion
from isthmus_sim.sensors import SensorModel, SignalNoise
from isthmus_sim.specs import CommandSpec, JointSpec, SignalSpec
from isthmus_sim.task import Group, Reward, Task
from isthmus_sim.tasks import TASKS, make_task
from isthmus_sim.tasks.velocity_config import VelocityConfig

_SLIDER = """<mujoco><worldbody><body><joint name="slide" type="slide" axis="1 0 0" damping="1"/>
  <geom size="0.1" mass="1"/></body></worldbody>
  <actuator><position name="slide" joint="slide" kp="100" kv="19"/></actuator></mujoco>"""
SLIDER = RobotDescription(
    name="slider",
    control_period_s=0.1,
    signals=(
        SignalSpec(
            name="joint_position", unit="m", frame="joint", order=("slide",), minimum=(-2.0,), maximum=(2.0,),
            max_jump=(1.0,), max_age_s=0.2, sensor="joint_states",
        ),
    ),
    commands=(
        CommandSpec(
            name="target", unit="m", frame="joint", order=("slide",), minimum=(-1.0,), maximum=(1.0,),
            max_rate=(20.0,), safe=(0.0,), standby=(0.0,),
        ),
    ),
    joints={
        "slide": JointSpec(
            stiffness=100.0, damping=19.0, position_min=-2.0, position_max=2.0, velocity_limit=10.0, effort_limit=100.0,
            default_position=0.0,
        )
    },
    actuators=(PositionServos(command="target", actuators=("slide",)),),
    model=lambda looks: _SLIDER,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReachConfig:
    place: float = 0.5


class Reach(Task):
    """All that a task must say."""

    name, action_size, episode_steps = "reach", 1, 20
    groups = {"actor": Group(shape=(1,))}

    def __init__(self, robot: RobotDescription, config: ReachConfig) -> None:
        self.robot, self.config = robot, config
        self.scene = Scene(robot=robot, timestep_s=0.01, quantities=joint_motion(tuple(robot.joints)))
        self.rewards = {"near": Reward(weight=-1.0, function=lambda step: self._off(step.state))}

    def _off(self, state):
        return (state["joint_position"][:, 0] - self.config.place).abs()

    def observe(self, signals, memory):
        return {"actor": signals["joint_position"] - self.config.place}

    def act(self, action, signals, memory):
        return {"target": action}

    def sense(self, state, goal):
        return {"joint_position": state["joint_position"]}

    def terminated(self, state, goal):
        return ~(state["joint_position"][:, 0].abs() < 5.0)

    def start(self, ids, level, params, generator):
        return {"joint_position": torch.zeros(len(ids), 1)}


def test_a_task_of_thirty_lines_works():
    """It goes to 0.5 m and stays; memory, goals, events, levels, metrics and the rest it does not have."""
    task = Reach(SLIDER, ReachConfig())
    env = Env(task, make_engine(task.scene, 3, task.engines[0]), seed=0, measure=True)
    first = env.reset()
    assert first["actor"].tolist() == [[-0.5]] * 3
    steps = [env.step(torch.full((3, 1), 0.5)) for _ in range(20)]
    torch.testing.assert_close(steps[-2].observations["actor"], torch.zeros(3, 1), rtol=0, atol=0.01)
    torch.testing.assert_close(steps[-2].reward, torch.zeros(3), rtol=0, atol=0.01)
    assert steps[-1].truncated.all()
    assert not steps[-1].succeeded.any()
    assert (steps[-1].metrics, env.memory, env.goal) == ({}, {}, {})
    assert (task.levels, task.has_goal, task.failure_reward, task.trained_latency_s) == (1, False, 0.0, 0.0)
    assert task.mirror == task.environment == task.goal_range == {}
    env.load_state_dict(env.state_dict())


def test_the_trained_latency_is_all_that_may_come_before_an_effect():
    """A sample may be 10 ms old and its message 5 ms late, an estimate lags by 20 ms; a command waits two steps."""
    task = Reach(SLIDER, ReachConfig())
    task.sensors = {"joint_states": SensorModel(rate_hz=100.0, latency_s=(0.0, 0.005))}
    task.noise = {"joint_position": SignalNoise(lag_s=(0.0, 0.02))}
    task.command_delay_steps, task.actuation_delay_s = (1, 2), 0.007
    assert task.trained_latency_s == pytest.approx(0.010 + 0.005 + 0.020 + 0.2 + 0.007)


# By name
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(TASKS))
def test_every_registered_task_is_made_of_its_own_configuration(name: str):
    task = make_task(name)
    assert task.config is TASKS[name].config
    assert task.robot is ROBOTS[TASKS[name].robot]
    assert "actor" in task.groups


@pytest.mark.parametrize("name", list(TASKS))
def test_an_action_is_found_again_in_its_commands(name: str):
    """Of a memory that is not that of the first step; of actions that no limit clips."""
    task = make_task(name)
    env = Env(task, make_engine(task.scene, 3, task.engines[0]), seed=0)
    env.reset()
    action = 0.2 * torch.rand(3, task.action_size, generator=torch.Generator().manual_seed(0))
    env.step(action)
    commands = task.act(0.5 * action, env.signals, env.memory)
    torch.testing.assert_close(task.action_of(commands, env.signals, env.memory), 0.5 * action, atol=2e-4, rtol=0.0)
    env.close()


def test_others_cannot_act_for_a_task_that_does_not_say_how():
    with pytest.raises(NotImplementedError, match="'reach' has no action_of"):
        Reach(SLIDER, ReachConfig()).action_of({}, {}, {})


def test_another_configuration_and_another_robot():
    config = VelocityConfig(history=2, episode_steps=7)
    other = replace(ROBOTS["quadruped"], name="other dog")
    task = make_task("quadruped", config, other)
    assert (task.config, task.robot, task.episode_steps) == (config, other, 7)


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(RegistryError, match=r"'hexapod'; .*pick_place, .*quadrotor, "):
        make_task("hexapod")


def test_a_robot_that_cannot_do_it_is_told_what_it_lacks():
    with pytest.raises(ValueError, match="so101 cannot be trained to walk"):
        make_task("quadruped", robot=ROBOTS["so101"])


def test_episodes_cannot_begin_as_recorded_where_the_task_does_not_say_how():
    with pytest.raises(NotImplementedError, match="'reach' has no state_of"):
        Reach(SLIDER, ReachConfig()).state_of({})
