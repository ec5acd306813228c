"""The stand-in quadrotor's body and sensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isthmus_deploy.ros.stand_in_robot.worlds.described import DescribedWorld
from isthmus_deploy.ros.stand_in_robot.worlds.quadrotor import TIMESTEP_S, QuadrotorWorld
from isthmus_deploy.ros.stand_in_robot.worlds.world import make_world, steps_in
from isthmus_sim.robots.quadrotor.description import GRAVITY, ROBOT
from isthmus_sim.robots.so101.description import ROBOT as ARM


def turn(world: QuadrotorWorld, rotor_speed: np.ndarray | None, n: int = 1) -> None:
    world.step({"rotor_speed": rotor_speed}, n)


def test_a_seed_draws_one_body():
    first, again, other = QuadrotorWorld(5), QuadrotorWorld(5), QuadrotorWorld(6)
    assert first.parameters == again.parameters
    assert first.estimator_delay_s == again.estimator_delay_s
    assert first.parameters != other.parameters
    assert first.sense()["position"].tolist() == again.sense()["position"].tolist()
    assert 0.010 <= first.estimator_delay_s <= 0.030


def test_only_the_registered_robot_has_this_body():
    assert isinstance(make_world(None, 0), QuadrotorWorld)
    assert isinstance(make_world(replace(ROBOT), 0), QuadrotorWorld), "a copy, as another process has it"
    assert isinstance(make_world(replace(ARM, name=ROBOT.name), 0), DescribedWorld)


def test_it_rests_on_the_ground_until_the_rotors_carry_it():
    world = QuadrotorWorld(0)
    turn(world, None, 500)
    assert 0.0 < world.truth().position[2] < 0.03
    hover = world.parameters.hover_speed
    turn(world, np.full(4, 0.9 * hover), 1000)
    assert world.truth().position[2] < 0.03
    turn(world, np.full(4, 1.1 * hover), 1500)
    assert world.truth().position[2] > 0.5


def test_on_its_back_it_lies_still_until_its_rotors_turn():
    world = QuadrotorWorld(0)
    world.turn_over()
    assert world.time_s == 0.0
    turn(world, None, 500)
    assert world.truth().tilt == pytest.approx(np.pi, abs=0.1)
    assert np.abs(world.sense()["angular_velocity"]).max() < 0.05


def test_in_the_air_thrust_and_gravity_give_the_acceleration():
    world = QuadrotorWorld(1)
    speed = 1.2 * world.parameters.hover_speed
    turn(world, np.full(4, speed), 3000)  # long enough for the motors to reach it
    before = world.truth().linear_velocity[2]
    turn(world, np.full(4, speed))
    acceleration = (world.truth().linear_velocity[2] - before) / TIMESTEP_S
    assert acceleration == pytest.approx((1.2**2 - 1.0) * GRAVITY, rel=1e-3)


def test_the_velocity_estimate_is_late_and_the_rest_is_not():
    world = QuadrotorWorld(2)
    truths = []
    for _ in range(800):
        turn(world, np.full(4, 1.3 * world.parameters.hover_speed))
        truths.append(world.truth())
    late = truths[-1 - round(world.estimator_delay_s / TIMESTEP_S)]
    sensed = np.mean([world.sense()["linear_velocity"] for _ in range(400)], axis=0)
    np.testing.assert_allclose(sensed, late.linear_velocity, atol=6 * 0.002 / 20)
    assert np.linalg.norm(truths[-1].linear_velocity - late.linear_velocity) > 0.01
    np.testing.assert_allclose(world.sense()["position"], truths[-1].position, atol=6 * 0.001)


def test_a_control_period_is_a_whole_number_of_physics_steps():
    world = QuadrotorWorld(0)
    assert [steps_in(period_s, world) for period_s in (0.001, 0.002, 0.01)] == [1, 2, 10]
    for period_s in (0.0015, 0.0004, 0.0, -0.01, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"no whole number of the physics steps of crazyflie, which are 0\.001 s"):
            steps_in(period_s, world)
