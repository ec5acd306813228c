"""A world as a robot: the same for the same seed, its commands within their limits, and a failure that is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import numpy as np
import pytest

from isthmus_datasets.recording.robot import RobotError
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.tasks.push_t import PushTView
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.robots.so101.description import HOME, NO_LOAD_SPEED, PERIOD
from isthmus_sim.tasks import make_task


@pytest.fixture
def two_commands(gantry: ModuleType) -> Iterator[EnvRobot]:
    with closing(EnvRobot(make_task("gantry-reach"))) as robot:
        robot.reset(0)
        yield robot


def test_a_seed_begins_the_same_and_another_otherwise():
    with closing(EnvRobot(make_task("push_t"))) as robot:
        states = []
        for seed in (3, 4, 3):
            robot.reset(seed)
            states.append(robot.observe().columns["state"].copy())
    assert np.array_equal(states[0], states[2])
    assert not np.array_equal(states[0], states[1])


def test_what_is_sent_is_within_the_commands_range():
    with closing(EnvRobot(make_task("push_t"), cameras=PushTView)) as robot:
        robot.reset(0)
        assert robot.observe().reward is None
        assert robot.act(np.array([-30.0, 600.0], np.float32)).tolist() == [0.0, 512.0]
        observation = robot.observe()
    assert observation.reward is not None
    assert observation.success is False
    assert observation.images["scene"].shape == (96, 96, 3)
    assert observation.capture_time_ns == {"state": 100_000_000, "scene": 100_000_000}
    assert robot.features.columns["state"].names == (
        "agent_position.x", "agent_position.y", "block_position.block_x", "block_position.block_y",
        "block_angle.clockwise",
    )  # fmt: skip


def test_what_is_sent_changes_no_faster_than_the_robot_allows():
    """From home, where commands begin, a joint is asked to turn by a radian at once."""
    step = NO_LOAD_SPEED * PERIOD  # 0.157 rad
    asked = np.array(HOME, np.float32)
    asked[0] += 1.0
    with closing(EnvRobot(make_task("pick_place"))) as robot:
        robot.reset(0)
        sent = np.array([robot.act(asked) for _ in range(8)])
    np.testing.assert_allclose(sent[:, 0], HOME[0] + np.minimum(step * np.arange(1, 9), 1.0), atol=1e-5)
    np.testing.assert_allclose(sent[:, 1:], np.tile(HOME[1:], (8, 1)), atol=1e-6)


def test_an_action_is_all_commands_one_after_the_other(two_commands: EnvRobot):
    """Each goes to its own actuator and within its own rate: 0.05 m a step."""
    for _ in range(10):
        sent = two_commands.act(np.array([0.2, -0.35], np.float32))
    np.testing.assert_allclose(sent, (0.2, -0.35), atol=1e-6)
    for _ in range(10):
        two_commands.act(sent)
    np.testing.assert_allclose(two_commands.observe().columns["state"][:2], (0.2, -0.35), atol=1e-3)
    np.testing.assert_allclose(two_commands.act(np.array([0.4, -0.35], np.float32)), (0.25, -0.35), atol=1e-6)
    with pytest.raises(ValueError, match=r"1 of x_target.*1 of y_target"):
        two_commands.act(np.zeros(3, np.float32))


def test_the_robots_own_camera_is_in_the_observation(two_commands: EnvRobot):
    assert two_commands.features.cameras == {"eye": (16, 24)}
    seen = two_commands.observe()
    grey = 255 * (seen.columns["state"][0] + 0.5)
    assert seen.images["eye"].shape == (16, 24, 3)
    assert seen.images["eye"].dtype == np.uint8
    assert abs(float(seen.images["eye"].mean()) - grey) <= 1.0


def test_the_last_step_says_what_was_sent_in_it(two_commands: EnvRobot, gantry: ModuleType):
    """And not where the commands of the next episode begin."""
    goal = np.array([value for target in gantry.GOAL.values() for value in target], np.float32)
    for _ in range(50):
        sent = two_commands.act(goal)
        if two_commands.observe().success:
            break
    assert two_commands.observe().success is True
    np.testing.assert_allclose(sent, goal, atol=1e-6)


def test_a_world_that_fails_stays_as_it_is_until_it_is_reset(two_commands: EnvRobot):
    """What the last action led to is seen, and not the beginning of another episode."""
    assert two_commands.observe().ended is False
    while not two_commands.observe().ended:
        two_commands.act(np.array([0.5, 0.0], np.float32))
    last = two_commands.observe()
    assert last.success is False
    assert last.columns["state"][0] > 0.3
    with pytest.raises(RobotError, match="gantry: the task 'reach' has ended: reset it first"):
        two_commands.act(np.array([0.5, 0.0], np.float32))
    np.testing.assert_array_equal(two_commands.observe().columns["state"], last.columns["state"])
    two_commands.reset(0)
    assert two_commands.observe().ended is False
    assert abs(two_commands.observe().columns["state"][0]) <= 0.1


@pytest.mark.parametrize("task", ["quadrotor-randomized", "pick_place-randomized"])
def test_a_restored_world_goes_on_as_it_did(task: str):
    """Also one with delayed commands: those on their way are part of the state. And one with looks of its own."""
    with closing(EnvRobot(make_task(task))) as robot:
        robot.reset(5)
        command = make_task(task).robot.commands[0]
        random = np.random.default_rng(0)
        actions = random.uniform(command.minimum, command.maximum, (12, command.size)).astype(np.float32)
        for action in actions[:6]:
            robot.act(action)
        kept = robot.simulator_state()
        ends = []
        for _ in range(2):
            robot.restore(kept)
            for action in actions[6:]:
                robot.act(action)
            ends.append(robot.simulator_state())
    assert np.array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], kept)


def test_an_engine_without_a_model_cannot_be_looked_at():
    with (
        closing(EnvRobot(make_task("quadrotor"), engine="analytic")) as robot,
        pytest.raises(UnsupportedError, match="take engine 'mujoco'"),
    ):
        _ = robot.model
