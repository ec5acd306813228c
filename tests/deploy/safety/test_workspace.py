"""A tool stays where it may be, whatever its joints are asked for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_arm import ELBOW, FORWARD, PERIOD_S, arm_limits, arm_tool

from isthmus_deploy.contracts.borders import Borders
from isthmus_deploy.contracts.kinematics import Kinematics
from isthmus_deploy.contracts.safety_data import Box, Sphere
from isthmus_deploy.safety.commands.filter import SafetyFilter
from isthmus_deploy.safety.commands.step_limits import StepLimits
from isthmus_deploy.safety.commands.workspace import ToolLimit

ARM = Kinematics((FORWARD, ELBOW), (0.5, 0.0, 0.0))
ROOM = {
    "workspace": Box(minimum=(-0.6, -0.3, -1.0), maximum=(1.1, 0.95, 1.0)),
    "spheres": (Sphere(center=(0.4, 0.9, 0.0), radius=0.2),),
    "boxes": (Box(minimum=(-0.3, 0.3, -0.1), maximum=(0.0, 0.5, 0.1)),),
}
FAST = {"max_acceleration": (20.0, 50.0)}


def run(chain: SafetyFilter, wanted) -> np.ndarray:
    return np.array([chain.apply({"target": np.array(row, float)})["target"] for row in wanted])


def places(sent: np.ndarray) -> np.ndarray:
    return np.array([ARM.place(row).point for row in sent.tolist()])


def test_far_from_everything_it_changes_nothing():
    chain = SafetyFilter(arm_limits(tool={}), PERIOD_S)
    assert run(chain, [(0.1, 0.1), (0.2, 0.1)]).tolist() == [[0.1, 0.1], [0.2, 0.1]]
    assert chain.counters["target.workspace.steps"] == 0


def test_a_wall_is_approached_and_never_passed():
    """Both joints turn to the right, where the wall is at y = -0.2 m."""
    chain = SafetyFilter(arm_limits(tool={}), PERIOD_S)
    y = places(run(chain, [(-1.0, 0.0)] * 300))[:, 1]
    assert y.min() >= -0.2
    assert y[-1] == pytest.approx(-0.2, abs=1e-3)
    left = y + 0.2
    assert (left[1:] >= 0.8 * left[:-1] - 2e-3).all(), "a fifth of the distance each time, to first order"
    assert chain.counters["target.workspace.steps"] > 50
    assert chain.counters["held_steps"] == 0


def test_it_slides_along_the_wall():
    """The shoulder presses against the wall while the elbow folds: the end follows the wall inwards."""
    chain = SafetyFilter(arm_limits(tool={}), PERIOD_S)
    run(chain, [(-1.0, 0.0)] * 200)
    along = places(run(chain, [(-1.0, 0.02 * t) for t in range(60)]))
    assert (along[:, 1] >= -0.2).all()
    assert along[-1, 1] < -0.15
    assert along[0, 0] - along[-1, 0] > 0.05


def test_a_tool_that_somebody_put_beyond_the_wall_may_only_come_back():
    chain = SafetyFilter(arm_limits(tool={}), PERIOD_S)
    chain.reset({"target": np.array([-0.5, 0.0])})
    pressed = places(run(chain, [(-1.0, 0.0)] * 5))[:, 1]
    assert (pressed >= -math.sin(0.5)).all()
    assert pressed[-1] == pytest.approx(-math.sin(0.5), abs=1e-3)
    assert run(chain, [(0.5, 0.0)] * 30)[-1].tolist() == [0.5, 0.0]


def test_with_an_acceleration_limit_it_begins_to_brake_in_time():
    """At 5 rad/s the shoulder needs 0.625 rad to stop; the wall comes 0.2 rad beyond zero."""
    chain = SafetyFilter(arm_limits(tool={"approach_rate": 50.0}, **FAST), PERIOD_S)
    chain.reset({"target": np.array([1.5, 0.0])})
    sent = run(chain, [(-1.5, 0.0)] * 100)
    assert places(sent)[:, 1].min() >= -0.2
    assert np.abs(np.diff(np.diff(sent, axis=0), axis=0)).max(axis=0) == pytest.approx([0.008, 0.02], abs=0.02)
    assert (np.abs(np.diff(np.diff(sent, axis=0), axis=0)) <= np.array([0.008, 0.02]) + 1e-12).all()
    assert sent[:, 0].min() < -0.1


ASKED = st.floats(-1e30, 1e30) | st.floats(-2.5, 2.5) | st.sampled_from([-2.0, 2.0])


@settings(deadline=None, max_examples=60)
@given(
    held=st.sampled_from([{}, FAST, {**FAST, "approach_rate": 8.0}]),
    wanted=st.lists(st.tuples(ASKED, ASKED), min_size=1, max_size=20),
    repeats=st.integers(1, 20),
    rate=st.floats(1.0, 100.0),
)
def test_whatever_is_asked_the_tool_stays_out_and_the_joints_in_their_limits(held, wanted, repeats, rate):
    """A workspace, a ball, a box and a wall, from a pose between them."""
    chain = SafetyFilter(arm_limits(tool={**ROOM, "approach_rate": rate}, **held), PERIOD_S)
    chain.reset({"target": np.array([0.5, 0.5])})
    sent = run(chain, [row for row in wanted for _ in range(repeats)])
    borders = Borders(arm_tool(**ROOM))
    assert min(min(borders.distances(tuple(place))) for place in places(sent)) >= 0.0
    steps = np.diff(np.concatenate(([(0.5, 0.5)], sent)), axis=0)
    assert (np.abs(sent) <= 2.0).all()
    assert (np.abs(steps) <= 0.1 + 1e-12).all()
    if held:
        changes = np.diff(np.concatenate((np.zeros((1, 2)), steps)), axis=0)
        assert (np.abs(changes) <= np.array([0.008, 0.02]) + 1e-9).all()


TURN = st.floats(-0.3, 0.3)


@settings(deadline=None)
@given(pose=st.tuples(*[st.floats(-2.0, 2.0)] * 2), step=st.tuples(TURN, TURN))
def test_what_is_sure_of_braking_is_never_more_than_what_is_left(pose, step):
    """To first order, less the remainder: at most the true distances, which are those of every braked step."""
    limits = arm_limits(tool=ROOM, **FAST)
    tool = ToolLimit(arm_tool(**ROOM), limits, StepLimits(limits, PERIOD_S), PERIOD_S)
    borders, targets = Borders(arm_tool(**ROOM)), np.array(pose)
    _, braking, way = tool._motion(list(step))
    view = tool._look(list(pose))
    sure = tool._surely_left(view, way)
    pose_there, distances = view
    left, braked = np.array(distances), np.array(step)
    while braked.any():
        braked = np.sign(braked) * np.maximum(np.abs(braked) - (0.008, 0.02), 0.0)
        targets = targets + braked
        left = np.minimum(left, borders.distances(ARM.place(targets.tolist()).point))
    assert targets - pose == pytest.approx(way, abs=1e-9)
    assert (sure <= left + 1e-12).all()
    assert np.linalg.norm(np.subtract(ARM.place(targets.tolist()).point, pose_there.point)) <= braking + 1e-12
