"""Peg in hole: what counts as done, what fails, what is seen, what an action means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from isthmus_sim.engine import State
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.so101.description import ROBOT as BARE
from isthmus_sim.robots.so101_peg.description import FORCE, HOLE, HOME, PEG_END, ROBOT_WITH_PEG, TORQUE
from isthmus_sim.scenes.peg_board import BLOCK_HEIGHT, HOLE_RADIUS
from isthmus_sim.task import Transition
from isthmus_sim.tasks.peg import PULL_SCALE, TORQUE_SCALE, Peg, PegConfig

CONFIG = PegConfig()
EXACT = PegConfig(sensors={}, noise={}, joint_noise=0.0, apart=(0.0, 0.0, 0.0))
TASK = Peg(ROBOT_WITH_PEG, CONFIG)
PLACE = (0.19, 0.01, -0.001)  # of the block


def boards(n: int, config: PegConfig = CONFIG, seed: int = 0, *, autoreset: bool = True) -> Env:
    task = Peg(ROBOT_WITH_PEG, config)
    env = Env(task, make_engine(task.scene, n, "mujoco"), seed, autoreset=autoreset)
    env.reset()
    return env


def state(*, deep: float, aside: float = 0.0, force: tuple[float, float, float] = (0.0, 0.0, -1.3)) -> State:
    """The peg's end so deep below where the hole opens and so far from its axis, m."""
    x, y, z = PLACE
    values = {
        "joint_position": HOME, "joint_velocity": (0.0,) * 6, FORCE: force, TORQUE: (0.0,) * 3,
        "peg_position": (x, y + aside, z + BLOCK_HEIGHT - deep), "block_position": PLACE,
    }  # fmt: skip
    return {name: torch.tensor([row]) for name, row in values.items()}


# Done and failed
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("deep", "aside", "done"),
    [(0.0101, 0.0, True), (0.0099, 0.0, False), (0.012, HOLE_RADIUS + 1e-4, False), (0.012, HOLE_RADIUS - 1e-4, True)],
)
def test_done_is_deep_in_the_hole_for_a_quarter_of_a_second(deep: float, aside: float, done: bool):
    there = state(deep=deep, aside=aside)
    goal, told = {}, []
    for _ in range(5):
        goal = TASK.track(goal, there)
        told.append(bool(TASK.succeeded(there, goal)))
    assert told == [False] * 4 + [done]
    assert not TASK.succeeded(there, TASK.track(goal, state(deep=0.0))), "and not after it has left"


@pytest.mark.parametrize(
    ("force", "failed"), [((0, 0, 19.9), False), ((12.1, 0, 16.0), True), ((0, float("nan"), 0), True)]
)
def test_too_great_a_force_is_a_failure_and_breaks_what_the_robot_holds_to(
    force: tuple[float, float, float], failed: bool
):
    felt = state(deep=0.0, force=force)
    assert bool(TASK.terminated(felt, {})) is failed
    margin = TASK.conditions["touch"].margin(TASK.sense(felt, {}))
    assert bool(margin >= 0.0) is not failed


def test_it_is_sparse_and_dear_to_press_and_to_break():
    assert TASK.failure_reward == -10.0
    inside = state(deep=0.012)
    goal = {}
    for _ in range(5):
        goal = TASK.track(goal, inside)
    step = Transition(state=inside, goal=goal, commands={}, previous={}, progress=1.0)
    assert {name: float(value) for name, value in TASK.reward(step).items()} == pytest.approx(
        {"done": 10.0, "force": -0.002 * 1.3}
    )


def test_progress_is_told_of_who_comes_no_nearer():
    goal = TASK.track({}, state(deep=-0.02))
    stalled = []
    for deep in (-0.015, -0.015, -0.0149, -0.010, -0.012):
        goal = TASK.track(goal, state(deep=deep))
        stalled.append(float(goal["stalled"]))
    assert stalled == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("stalled", "force", "minds", "trouble"),
    [
        (0.0, -1.3, 10.0, 0.13),
        (15.0, -1.3, 10.0, 0.5),
        (30.0, -1.3, 10.0, 1.0),
        (0.0, 15.0, 10.0, 1.5),
        (0.0, 15.0, 15.0, 1.0),
    ],
)
def test_trouble_is_no_progress_for_some_time_or_too_much_of_a_force(
    stalled: float, force: float, minds: float, trouble: float
):
    env = boards(1, replace(CONFIG, worrying_force=minds))
    goal = {"held": torch.zeros(1, 1), "stalled": torch.tensor([[stalled]])}
    told = env.task.privileged(state(deep=0.0, force=(0.0, 0.0, force)), goal, env.engine, None)["trouble"]
    assert float(told) == pytest.approx(trouble)


# What is seen
# ---------------------------------------------------------------------------------------------------------------------
def test_the_place_is_told_with_an_error_that_stays_and_that_only_touch_resolves():
    env = boards(200)
    truth = env.task.sense(env.state, env.goal)[HOLE]
    first = env.signals[HOLE] - truth
    env.step(torch.zeros(200, 3))
    second = env.signals[HOLE] - truth
    aside = first[:, :2].norm(dim=-1)
    assert 0.001 < float(aside.median()) < 0.003
    assert float((aside > 0.0005).float().mean()) > 0.9, "blind, hardly any peg fits"
    assert float((second - first).abs().max()) < 0.001


def test_it_is_seen_from_the_tool_wherever_the_board_stands():
    """The same board, the arm turned to it: the same numbers."""
    seen = {}
    for pan in (0.0, 0.5):
        joints = torch.tensor([[pan, *HOME[1:]]])
        c, s = np.cos(pan), -np.sin(pan)
        hole = torch.tensor([[0.0388 + 0.16 * c - 0.01 * s, 0.16 * s + 0.01 * c, 0.02]], dtype=torch.float32)
        signals = {
            "joint_position": joints, "joint_velocity": torch.zeros(1, 6), FORCE: torch.zeros(1, 3),
            TORQUE: torch.zeros(1, 3), HOLE: hole,
        }  # fmt: skip
        seen[pan] = TASK.observe(signals, {"target": joints - torch.tensor([HOME])})["actor"]
    np.testing.assert_allclose(seen[0.5], seen[0.0], atol=1e-4)
    np.testing.assert_allclose(seen[0.0][0, :3] * 0.02, (0.01, -0.01, 0.025), atol=2e-4)


def test_what_is_felt_is_told_about_the_pegs_end():
    """A push of 5 N along the peg, 6 mm ahead of its axis, has a torque of 30 mN·m there, whatever friction pulls aside
    at the end; at the wrist friction is most of it."""
    felt = []
    for aside in ((0.0, 0.0), (1.0, -0.5)):
        force, at = torch.tensor([[*aside, 5.0]]), torch.tensor([[0.006, 0.0, PEG_END]])
        signals = {
            "joint_position": torch.tensor([HOME]), "joint_velocity": torch.zeros(1, 6), FORCE: force,
            TORQUE: torch.linalg.cross(at, force), HOLE: torch.zeros(1, 3),
        }  # fmt: skip
        felt.append(TASK.observe(signals, {"target": torch.zeros(1, 6)})["actor"][0, 13:] * TORQUE_SCALE)
    np.testing.assert_allclose(felt[0], (0.0, -0.03, 0.0), atol=1e-6)
    np.testing.assert_allclose(felt[1], (0.0, -0.03, -0.003), atol=1e-6)


def test_an_episode_begins_at_home_over_a_board_that_may_stand_elsewhere():
    env = boards(500)
    place = env.state["block_position"]
    middle, apart = torch.tensor((0.1888, 0.0, -0.002)), torch.tensor((0.012, 0.012, 0.002))
    assert bool(((place - middle).abs() <= apart + 1e-6).all())
    assert bool(((place.amax(0) - place.amin(0)) > 1.8 * apart).all())


# What an action means
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_action_moves_the_pegs_end_along_an_axis_of_the_tool(axis: int):
    env = boards(1, EXACT)
    for _ in range(20):
        env.step(torch.zeros(1, 3))
    before = env.state["peg_position"].clone()
    action = torch.zeros(1, 3)
    action[0, axis] = 0.5
    for _ in range(8):
        env.step(action)
    for _ in range(20):
        env.step(torch.zeros(1, 3))
    went = (env.state["peg_position"] - before)[0] * torch.tensor((1.0, -1.0, -1.0))
    expected = torch.zeros(3)
    expected[axis] = 8 * 0.5 * CONFIG.step
    np.testing.assert_allclose(went, expected, atol=1.2e-3)


def test_what_somebody_commands_is_taken_for_the_action_of_it():
    """But for what the leash takes off."""
    env, generator = boards(16, replace(CONFIG, leash=1.0)), torch.Generator().manual_seed(0)
    for _ in range(10):
        action = 2 * torch.rand(16, 3, generator=generator) - 1
        commands = env.task.act(action, env.signals, env.memory)
        np.testing.assert_allclose(env.task.action_of(commands, env.signals, env.memory), action, atol=1e-3)
        env.step(action)


def test_the_target_stays_on_its_leash_and_so_the_force_is_bounded():
    """Driven onto the block without end; without the leash the target goes on, and the drives give all they have."""
    down = torch.zeros(16, 3)
    down[:, 2] = 1.0
    pressed = {}
    for leash in (CONFIG.leash, 1.0):
        env = boards(16, replace(EXACT, apart=(0.012, 0.012, 0.0), leash=leash, most_force=1e3), autoreset=False)
        for _ in range(60):
            step = env.step(down)
        pressed[leash] = env.state[FORCE].norm(dim=-1).median()
        assert (float(step.observations["actor"][:, 5].median()) * PULL_SCALE > 1.2 * CONFIG.leash) is (leash == 1.0)
    assert float(pressed[CONFIG.leash]) < 0.7 * CONFIG.most_force
    assert float(pressed[1.0]) > CONFIG.most_force


def test_another_arm_is_refused():
    with pytest.raises(ValueError, match="take --robot so101_peg"):
        Peg(BARE, CONFIG)
