"""What is drawn for an episode: within its bounds, evenly, and only of what the scene has."""

from __future__ import annotations

import pytest
import torch

from isthmus_sim.robots.quadruped.description import ROBOT
from isthmus_sim.scene import legged_scene
from isthmus_sim.terms.randomization import check_goal_range, scaled, uniform

SCENE = legged_scene(ROBOT)
N = 20_000


def test_a_parameter_is_drawn_evenly_each_element_by_itself():
    drawn = uniform(SCENE, "com_offset", (-0.02, 0.04))(N, torch.Generator().manual_seed(0))["com_offset"]
    assert drawn.shape == (N, 3)
    torch.testing.assert_close(drawn.amin(0), torch.full((3,), -0.02), rtol=0, atol=1e-3)
    torch.testing.assert_close(drawn.amax(0), torch.full((3,), 0.04), rtol=0, atol=1e-3)
    torch.testing.assert_close(drawn.mean(0), torch.full((3,), 0.01), rtol=0, atol=5e-4)
    assert float(torch.corrcoef(drawn.T).fill_diagonal_(0.0).abs().max()) < 0.05


def test_a_scaled_parameter_is_the_descriptions_times_a_factor():
    drawn = scaled(SCENE, "damping", (0.5, 1.5))(N, torch.Generator().manual_seed(0))["damping"]
    factor = drawn / torch.tensor([joint.damping for joint in ROBOT.joints.values()])
    assert (float(factor.min()), float(factor.max())) == pytest.approx((0.5, 1.5), abs=1e-3)
    assert float(factor.mean()) == pytest.approx(1.0, abs=0.01)


def test_a_parameter_that_the_scene_does_not_have_is_refused_with_those_it_has():
    for draw in (uniform, scaled):
        with pytest.raises(ValueError, match=r"'frictoin'.*stiffness, .*friction"):
            draw(SCENE, "frictoin", (0.5, 1.0))


@pytest.mark.parametrize("bounds", [(1.0, 0.5), (0.0, 1.0), (0.5, 9.0), (0.5, float("nan"))])
def test_bounds_that_do_not_rise_or_have_no_physics_are_refused(bounds: tuple[float, float]):
    with pytest.raises(ValueError, match=r"friction: .* \[0.01, 5\]"):
        uniform(SCENE, "friction", bounds)


def test_a_goal_beyond_the_robots_signal_is_refused():
    check_goal_range(ROBOT, "linear_velocity_command", 1, "sideways", (-1.0, 1.0))
    with pytest.raises(ValueError, match=r"sideways: .* \[-1, 1\]"):
        check_goal_range(ROBOT, "linear_velocity_command", 1, "sideways", (-1.0, 1.1))
