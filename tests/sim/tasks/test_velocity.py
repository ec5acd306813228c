"""Walking as told: what is asked, what the robot sees, remembers and does, and what cannot be configured.

Weights and ranges of the configuration are for tuning: no test here depends on their values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from isthmus_sim.engine import State
from isthmus_sim.env import Env
from isthmus_sim.robots.quadruped.description import ROBOT
from isthmus_sim.sensors import SensorModel, SignalNoise
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.tasks.velocity_config import GaitConfig, VelocityConfig, VelocityReward

Walking = Callable[..., Env]
Standing = Callable[..., State]
CALM = VelocityConfig(push_s=0.0, noise={})
DEFAULT = torch.tensor(ROBOT.default_pose)


def task_of(config: VelocityConfig | None = None) -> VelocityTracking:
    return VelocityTracking(ROBOT, config or VelocityConfig())


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def actions(steps: int, n: int, size: float = 0.3, seed: int = 1) -> torch.Tensor:
    return size * torch.randn(steps, n, 12, generator=random(seed))


# What is asked
# ---------------------------------------------------------------------------------------------------------------------
def test_a_command_holds_for_its_time():
    task, generator, n = task_of(VelocityConfig(command_s=0.5)), random(), 50
    goal = task.goal(torch.zeros(n, dtype=torch.long), None, generator)
    age = torch.arange(n) % 25  # worlds of different ages
    for _ in range(60):
        age += 1
        following = task.goal(age, goal, generator)
        same = (following["linear_velocity_command"] == goal["linear_velocity_command"]).all(-1)
        same &= (following["yaw_rate_command"] == goal["yaw_rate_command"]).all(-1)
        due = age % 25 == 0
        assert same[~due].all()
        assert float(same[due].float().mean()) < 0.5, "standing may follow standing"
        goal = following


def test_commands_fill_their_ranges_and_some_are_to_stand():
    config = VelocityConfig(standing_share=0.3)
    goal = task_of(config).goal(torch.zeros(20_000, dtype=torch.long), None, random())
    command = torch.cat((goal["linear_velocity_command"], goal["yaw_rate_command"]), dim=-1)
    stands = (command == 0).all(-1)
    assert float(stands.float().mean()) == pytest.approx(0.3, abs=0.02)
    low, high = torch.tensor((config.forward, config.sideways, config.turning)).T
    walks = command[~stands]
    assert ((walks >= low) & (walks <= high)).all()
    torch.testing.assert_close(walks.amin(0), low, rtol=0, atol=0.01)
    torch.testing.assert_close(walks.amax(0), high, rtol=0, atol=0.01)
    torch.testing.assert_close(walks.mean(0), (low + high) / 2, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("share", "least"), [(0.0, (0.2, -0.3)), (0.1, (0.0, -0.3))], ids=["never stands", "stands at times"]
)
def test_the_goals_range_is_what_training_asks_for(share: float, least: tuple[float, float]):
    """Which a contract holds operators to: standing still is in it where it was trained."""
    config = VelocityConfig(forward=(0.2, 0.9), sideways=(-0.3, 0.4), turning=(-0.5, 0.6), standing_share=share)
    assert task_of(config).goal_range == {
        "linear_velocity_command": (least, (0.9, 0.4)),
        "yaw_rate_command": ((-0.5,), (0.6,)),
    }


@pytest.mark.parametrize("early", [False, True])
def test_the_policys_clock_is_the_tasks(walking: Walking, early: bool):
    """The one in memory, which the robot has, and the one in the goal, which rewards go by: after any steps and
    resets. It advances by the gait's frequency."""
    config = VelocityConfig(episode_steps=37, gait=GaitConfig(frequency_hz=2.3))
    env, ends = walking(config, 8, random_initial_age=early), 0
    env.reset()
    for row in actions(100, 8, size=1.0):
        before = env.memory["phase"].clone()
        step = env.step(row)
        ends += len(step.ended)
        assert torch.equal(env.memory["phase"], env.goal["phase"])
        assert (env.memory["phase"][step.ended] == 0).all()
        on = torch.ones(8, dtype=torch.bool)
        on[step.ended] = False
        advanced = torch.remainder(env.memory["phase"] - before, 1.0)[on]
        torch.testing.assert_close(advanced, torch.full_like(advanced, 2.3 * 0.02), rtol=0, atol=1e-5)
    assert ends >= 16


# On the robot
# ---------------------------------------------------------------------------------------------------------------------
def test_an_action_is_a_target_within_the_joints_limits():
    task = task_of()
    signals = {name: torch.zeros(5, size) for name, size in (("linear_velocity_command", 2), ("yaw_rate_command", 1))}
    memory = {"phase": torch.rand(5, 1)}
    still = task.act(torch.zeros(5, 12), signals, memory)["joint_position_target"]
    torch.testing.assert_close(still, DEFAULT.repeat(5, 1))  # told to stand it stands, whatever the clock says
    for action in (torch.full((5, 12), -100.0), torch.full((5, 12), 100.0)):
        target = task.act(action, signals, memory)["joint_position_target"]
        limits = [j.position_max if action[0, 0] > 0 else j.position_min for j in ROBOT.joints.values()]
        torch.testing.assert_close(target, torch.tensor(limits).repeat(5, 1))


@pytest.mark.parametrize(
    ("rests", "speed"), [(True, 0.5), (False, 0.5), (False, 0.0)], ids=["walks", "walks too", "steps in place"]
)
def test_the_clock_alone_lifts_the_feet_whose_swing_it_is(rests: bool, speed: float):
    """A quarter through the cycle: feet with a phase of half a cycle are at the top of their swing, their thighs
    0.4 rad further and their knees 0.8 rad more bent; the others press, by 0.3 rad."""
    task = task_of(VelocityConfig(gait=GaitConfig(lift=0.4, press=0.3, rests=rests)))
    signals = {"linear_velocity_command": torch.tensor([[speed, 0.0]]), "yaw_rate_command": torch.zeros(1, 1)}
    target = task.act(torch.zeros(1, 12), signals, {"phase": torch.tensor([[0.25]])})["joint_position_target"]
    lifts, presses = [0.0, 0.4, -0.8], [0.0, -0.3, 0.6]  # hip, thigh, calf
    torch.testing.assert_close(target[0] - DEFAULT, torch.tensor(presses + lifts + lifts + presses))


def test_what_runs_on_the_robot_takes_any_number_of_robots(walking: Walking):
    """Each row by itself: what one robot computes alone is what it computes among others."""
    env = walking(VelocityConfig(), 7)
    env.reset()
    for row in actions(5, 7):
        env.step(row)
    task, signals, memory, action = env.task, env.signals, env.memory, actions(1, 7, seed=9)[0]

    def computed(signals: dict[str, Any], memory: dict[str, Any], action: torch.Tensor) -> list[torch.Tensor]:
        parts = (task.observe(signals, memory), task.act(action, signals, memory))
        return [value for part in (*parts, task.remember(memory, signals, action)) for value in part.values()]

    together = computed(signals, memory, action)
    for i in range(7):
        own = slice(i, i + 1)
        one, past = ({k: v[own] for k, v in rows.items()} for rows in (signals, memory))
        for a, b in zip(together, computed(one, past, action[own]), strict=True):
            torch.testing.assert_close(a[own], b, rtol=1e-6, atol=1e-6)


def test_the_actor_cannot_tell_the_heading_nor_the_place(standing: Standing):
    """The IMU's heading is arbitrary, and a robot has no position."""
    task, state = task_of(), standing(2)
    half = 0.6
    state["orientation"][1] = torch.tensor([math.cos(half), 0.0, 0.0, math.sin(half)])
    state["position"][1] += torch.tensor([5.0, -3.0, 1.0])
    state["linear_velocity"][1] = 2.0
    goal = {name: value[:1].repeat(2, 1) for name, value in task.goal(torch.zeros(1), None, random()).items()}
    memory = {m.name: torch.full((2, *m.shape), m.initial) for m in task.memory}
    seen = task.observe(task.sense(state, goal), memory)["actor"]
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=1e-6)


def test_memory_is_the_last_steps_oldest_first(walking: Walking):
    env = walking(CALM, 2)
    env.reset()
    frames = []
    for row in actions(5, 2):
        signals = env.signals
        env.step(row)
        position = signals["joint_position"] - DEFAULT
        frames.append(torch.cat((signals["angular_velocity"], position, row), dim=-1))
    past = env.memory["past"]
    held = torch.cat((past[..., :3], past[..., 6:18], past[..., 30:]), dim=-1)
    torch.testing.assert_close(held, torch.stack(frames[-CALM.history :], dim=1))


def test_the_sensors_errors_are_the_configured_ones(walking: Walking):
    """A bias of its own in every episode and joint, besides noise; goals are read without error."""
    noise = {"joint_position": SignalNoise(bias=0.03), "imu_orientation": SignalNoise(noise=0.02)}
    env, biases = walking(VelocityConfig(noise=noise, episode_steps=20), 100), []
    env.reset()
    for _ in range(30):
        env.step(torch.zeros(100, 12))
        biases.append(env.signals["joint_position"] - env.state["joint_position"])
        torch.testing.assert_close(env.signals["joint_velocity"], env.state["joint_velocity"])
        assert torch.equal(env.signals["yaw_rate_command"], env.goal["yaw_rate_command"])
    torch.testing.assert_close(biases[18], biases[0], rtol=0, atol=1e-5)
    assert float((biases[19] - biases[18]).abs().min(-1).values.max()) > 1e-4, "another in the next"
    torch.testing.assert_close(biases[29], biases[19], rtol=0, atol=1e-5)
    assert float(biases[0].std()) == pytest.approx(0.03, rel=0.1)


def test_the_trained_latency_is_the_longest_drawn():
    """20 ms from the joints' message, 40 ms in steps, 12 ms until a target acts."""
    config = VelocityConfig(
        actuation_delay_s=(0.0, 0.012), command_delay_steps=(0, 2),
        sensors={"joint_states": SensorModel(latency_s=(0.0, 0.02)), "imu": SensorModel(latency_s=(0.0, 0.01))},
    )  # fmt: skip
    assert task_of(config).trained_latency_s == pytest.approx(0.072)


# What is refused
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forward": (1.0, -1.0)}, r"forward: \(1, -1\) must rise and lie within \[-3\.8, 3\.8\]"),
        ({"forward": (0.0, 9.0)}, r"forward: \(0, 9\)"),
        ({"forward": (math.nan, 1.0)}, "forward"),
        ({"sideways": (-2.0, 0.0)}, r"sideways: .* within \[-1, 1\]"),
        ({"turning": (-5.0, 5.0)}, r"turning: .* within \[-4, 4\]"),
        ({"history": 0}, "history must be at least 1 control step"),
        ({"command_s": 0.0}, "command_s must be at least a control period"),
        ({"push_s": 0.1, "push_length_s": 0.1}, "a push of 0.1 s every 0.1 s"),
        ({"friction": (0.0, 1.0)}, r"friction: \(0, 1\) .* within \[0\.01, 5\]"),
        ({"payload": (3.0, -1.0)}, "payload"),
        ({"strength": (1.0, 0.5)}, "strength"),
        ({"gains": (1.1, 0.9)}, "stiffness"),
        ({"actuation_delay_s": (0.0, 0.03)}, r"actuation_delay_s: .* within .* \[0, 0\.02\]"),
        ({"reward": VelocityReward(course_s=0.0)}, "reward.course_s must be at least a control period"),
        ({"reward": VelocityReward(course_width=0.0)}, "reward.course_width must be positive, got 0"),
        ({"gait": GaitConfig(phases=(0.0, 0.5))}, "gait.phases: 2 phases for the 4 legs of quadruped: FL, FR, RL, RR"),
    ],
)
def test_an_impossible_configuration_is_refused_in_a_sentence(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as refusal:
        task_of(VelocityConfig(**changes))
    assert "\n" not in str(refusal.value)


def test_a_robot_that_lacks_what_a_walk_needs_is_told_what():
    with pytest.raises(ValueError, match=r"quadruped .* lacks legs, the stance \"stand\""):
        VelocityTracking(replace(ROBOT, legs={}, stances={}), VelocityConfig())


@pytest.mark.parametrize(
    "name",
    ["joint_position", "joint_velocity", "angular_velocity", "imu_orientation", "linear_velocity_command",
     "yaw_rate_command"],
)  # fmt: skip
def test_a_robot_without_a_signal_that_is_read_is_refused_by_its_name(name: str):
    others = tuple(signal for signal in ROBOT.signals if signal.name != name)
    with pytest.raises(ValueError, match=rf"quadruped .* lacks the signal '{name}'; its signals: \w+") as refusal:
        VelocityTracking(replace(ROBOT, signals=others), VelocityConfig())
    assert "\n" not in str(refusal.value)


def without(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != name}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"commands": ()}, "lacks the command 'joint_position_target'"),
        ({"joints": {**ROBOT.joints, "neck": ROBOT.joints["FL_hip_joint"]}}, "legs of quadruped .* not so: neck$"),
        ({"legs": {**ROBOT.legs, "RR": ROBOT.legs["RL"]}}, "legs of quadruped .* not so: RL_hip_joint, .*RR_hip_joint"),
        ({"joints": without(ROBOT.joints, "FL_hip_joint")}, "legs of quadruped .* not so: FL_hip_joint$"),
        ({"mirror": without(ROBOT.mirror, "FL_hip_joint")}, "mirror of quadruped lacks FL_hip_joint, .*joints are: FL"),
        (
            {"mirror": {**ROBOT.mirror, "FL_hip_joint": ("neck", 1.0)}},
            "mirror of quadruped lacks no joint, .*joints neck;",
        ),
        (
            {"mirror": {**ROBOT.mirror, "FL_hip_joint": ("RL_hip_joint", 1.0)}},
            "mirror of quadruped turns into none of its legs: FL;",
        ),
    ],
)
def test_a_robot_whose_joints_legs_and_mirror_do_not_fit_is_refused_by_name(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as refusal:
        VelocityTracking(replace(ROBOT, **changes), VelocityConfig())
    assert "\n" not in str(refusal.value)


def test_a_robot_without_a_mirror_walks_as_one_with_it():
    task, other = VelocityTracking(replace(ROBOT, mirror={}), VelocityConfig()), task_of()
    assert task.mirror == {}
    assert task.groups == other.groups
