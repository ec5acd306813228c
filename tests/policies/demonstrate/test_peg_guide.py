"""The peg in a person's hand: what they drag it by, and how hard it presses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("mink", reason="needs mink: pip install 'isthmus[teleop]'")
from isthmus_datasets.teleop.operators.arm_guide import ArmGuide
from isthmus_policies.demonstrate.demonstration import find_demonstration
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_sim.robots.so101_peg.description import PERIOD
from isthmus_sim.tasks import make_task

TASK = make_task("peg")


@pytest.fixture
def robot() -> Iterator[EnvRobot]:
    made = EnvRobot(TASK)
    yield made
    made.close()


def held(robot: EnvRobot, seed: int) -> ArmGuide:
    """What leads the peg, in an episode that begins."""
    robot.reset(seed)
    make = find_demonstration("peg", "guide", "view").guide
    assert make
    guide = make(robot, round(1 / PERIOD))
    assert isinstance(guide, ArmGuide)
    guide.reset(robot.observe())
    return guide


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_a_peg_that_is_dragged_over_the_hole_and_down_goes_in(robot: EnvRobot, seed: int):
    guide = held(robot, seed)
    x, y, _ = robot.mocap[0]
    _, upright = guide.tool
    for step in range(TASK.episode_steps):
        guide.goto((x, y, max(0.005, 0.045 - 0.0007 * step)), upright)
        robot.act(guide.action(robot.observe()))
        if robot.observe().success:
            break
    assert robot.observe().success
    np.testing.assert_allclose(guide.tool[0], (x, y, 0.005), atol=0.006)


def test_who_presses_on_the_block_for_ever_breaks_nothing(robot: EnvRobot):
    guide = held(robot, 3)
    x, y, _ = robot.mocap[0]
    _, upright = guide.tool
    for step in range(TASK.episode_steps - 1):
        guide.goto((x, y + 0.012, max(0.0, 0.045 - 0.0007 * step)), upright)
        robot.act(guide.action(robot.observe()))  # which raises after an end by too great a force
    assert guide.tool[0][2] == pytest.approx(0.019, abs=0.002), "on the block, 20 mm high"
