"""Where chains of joints put a point."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_arm import ELBOW, FORWARD

from isthmus_deploy.contracts.kinematics import Kinematics, rotation
from isthmus_deploy.contracts.safety_data import Link

ANGLE = st.floats(-math.pi, math.pi)
TWISTED = (
    Link(joint="a", offset=(0.1, 0.2, 0.3), axis=(0.0, 0.0, 1.0)),
    Link(joint="b", offset=(0.0, 0.1, 0.4), axis=(0.6, 0.0, 0.8), orientation=(0.5, 0.5, -0.5, 0.5)),
    Link(joint="c", offset=(0.3, 0.0, 0.0), axis=(0.0, -1.0, 0.0), orientation=(0.8, 0.0, 0.6, 0.0)),
)


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ((0.0, 0.0), (1.0, 0.0, 0.0)),
        ((math.pi / 2, 0.0), (0.0, 1.0, 0.0)),
        ((0.0, math.pi / 2), (0.5, 0.5, 0.0)),
        ((math.pi / 2, math.pi / 2), (-0.5, 0.5, 0.0)),
    ],
)
def test_two_links_by_hand(angles: tuple[float, float], expected: tuple[float, float, float]):
    arm = Kinematics((FORWARD, ELBOW), (0.5, 0.0, 0.0))
    assert arm.place(angles).point == pytest.approx(expected)
    assert arm.reach == [1.0, 0.5]


def test_an_orientation_turns_what_comes_after_it():
    """A quarter turn about x takes the joint's z to -y: its point at (1, 0, 0) goes to -y·... at a quarter turn."""
    tilted = Link(joint="a", offset=(0.0, 0.0, 1.0), axis=(0.0, 0.0, 1.0), orientation=(0.5**0.5, 0.5**0.5, 0.0, 0.0))
    arm = Kinematics((tilted,), (1.0, 0.0, 0.0))
    assert arm.place([0.0]).point == pytest.approx((1.0, 0.0, 1.0))
    assert arm.place([math.pi / 2]).point == pytest.approx((0.0, 0.0, 2.0)), "its y is the base's z"


def test_a_gradient_by_hand():
    """Stretched along x, both joints move the end along y: by 1 m and 0.5 m a radian."""
    arm = Kinematics((FORWARD, ELBOW), (0.5, 0.0, 0.0))
    pose = arm.place((0.0, 0.0))
    assert arm.gradient(pose, (0.0, 1.0, 0.0)) == pytest.approx([1.0, 0.5])
    assert arm.gradient(pose, (1.0, 0.0, 0.0)) == pytest.approx([0.0, 0.0])


@settings(deadline=None)
@given(angles=st.tuples(ANGLE, ANGLE, ANGLE))
def test_gradients_are_differences_and_reach_bounds_them(angles: tuple[float, ...]):
    arm, normal = Kinematics(TWISTED, (0.1, -0.2, 0.3)), np.array((2.0, -1.0, 2.0)) / 3
    gradient = arm.gradient(arm.place(angles), tuple(normal))
    for joint in range(3):
        before, after = (np.array(angles) + sign * 1e-5 * np.eye(3)[joint] for sign in (-1.0, 1.0))
        moved = np.subtract(arm.place(after.tolist()).point, arm.place(before.tolist()).point)
        assert gradient[joint] == pytest.approx(float(normal @ moved) / 2e-5, abs=1e-6)
        assert np.linalg.norm(moved) <= 2e-5 * arm.reach[joint] * (1 + 1e-6)


def test_a_quaternion_by_hand():
    half = 0.5**0.5
    np.testing.assert_allclose(rotation((half, 0.0, 0.0, half)) @ (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), atol=1e-12)
