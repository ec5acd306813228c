"""Rotations by quaternions, worked out by hand."""

import numpy as np

from isthmus_deploy.rotations import multiply, rotate

HALF = np.sqrt(0.5)
QUARTER_ABOUT_Z = np.array([HALF, 0.0, 0.0, HALF])
QUARTER_ABOUT_X = np.array([HALF, HALF, 0.0, 0.0])


def test_a_quarter_about_z_turns_x_into_y_and_y_into_minus_x():
    np.testing.assert_allclose(rotate(QUARTER_ABOUT_Z, np.array([1.0, 0.0, 0.0])), [0.0, 1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(rotate(QUARTER_ABOUT_Z, np.array([0.0, 1.0, 0.0])), [-1.0, 0.0, 0.0], atol=1e-12)


def test_the_right_one_acts_first():
    both = multiply(QUARTER_ABOUT_Z, QUARTER_ABOUT_X)  # y becomes z, which a turn about z leaves
    np.testing.assert_allclose(rotate(both, np.array([0.0, 1.0, 0.0])), [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(both, [0.5, 0.5, 0.5, 0.5], atol=1e-12)
