"""The stand-in robot's body, sensors, motors and faults, without ROS processes."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus_deploy.ros.stand_in_robot.faults import Fault, parse_fault
from isthmus_deploy.ros.stand_in_robot.process import Aftermath, Motors
from isthmus_deploy.ros.stand_in_robot.world import TIMESTEP_S, World
from isthmus_sim.robots.quadrotor import GRAVITY

MS = 1_000_000


def test_a_seed_draws_one_body():
    first, again, other = World(5), World(5), World(6)
    assert first.parameters == again.parameters
    assert first.estimator_delay_s == again.estimator_delay_s
    assert first.parameters != other.parameters
    assert first.sense().position.tolist() == again.sense().position.tolist()
    assert 0.010 <= first.estimator_delay_s <= 0.030


def test_it_rests_on_the_ground_until_the_rotors_carry_it():
    world = World(0)
    for _ in range(500):
        world.step(np.zeros(4))
    assert 0.0 < world.truth().position[2] < 0.03
    hover = world.parameters.hover_speed
    for _ in range(1000):
        world.step(np.full(4, 0.9 * hover))
    assert world.truth().position[2] < 0.03
    for _ in range(1500):
        world.step(np.full(4, 1.1 * hover))
    assert world.truth().position[2] > 0.5


def test_in_the_air_thrust_and_gravity_give_the_acceleration():
    world = World(1)
    speed = 1.2 * world.parameters.hover_speed
    for _ in range(3000):
        world.step(np.full(4, speed))  # long enough for the motors to reach it
    before = world.truth().linear_velocity[2]
    world.step(np.full(4, speed))
    acceleration = (world.truth().linear_velocity[2] - before) / TIMESTEP_S
    assert acceleration == pytest.approx((1.2**2 - 1.0) * GRAVITY, rel=1e-3)


def test_the_velocity_estimate_is_late_and_the_rest_is_not():
    world = World(2)
    truths = []
    for _ in range(800):
        world.step(np.full(4, 1.3 * world.parameters.hover_speed))
        truths.append(world.truth())
    late = truths[-1 - round(world.estimator_delay_s / TIMESTEP_S)]
    sensed = np.mean([world.sense().linear_velocity for _ in range(400)], axis=0)
    np.testing.assert_allclose(sensed, late.linear_velocity, atol=6 * 0.002 / 20)
    assert np.linalg.norm(truths[-1].linear_velocity - late.linear_velocity) > 0.01
    np.testing.assert_allclose(world.sense().position, truths[-1].position, atol=6 * 0.001)


def test_a_command_acts_from_its_arrival():
    motors = Motors((100.0, 100.0))
    assert motors.set_point(0).tolist() == [0.0, 0.0]
    assert motors.receive(np.array([1.0, 2.0]), 5 * MS) is None
    assert motors.receive(np.array([3.0, 400.0]), 8 * MS) is None
    assert motors.set_point(4 * MS).tolist() == [0.0, 0.0]
    assert motors.set_point(5 * MS).tolist() == [1.0, 2.0]
    assert motors.set_point(7 * MS).tolist() == [1.0, 2.0]
    assert motors.set_point(8 * MS).tolist() == [3.0, 100.0], "clipped to what the motor can do"


def test_the_dead_man_stops_the_motors_until_the_next_command():
    motors = Motors((100.0,))
    motors.receive(np.array([50.0]), 0)
    assert motors.set_point(200 * MS).tolist() == [50.0]
    assert motors.set_point(201 * MS).tolist() == [0.0]
    assert motors.dead
    assert not motors.turning
    motors.receive(np.array([60.0]), 300 * MS)
    assert motors.set_point(300 * MS).tolist() == [60.0]
    assert not motors.dead


@pytest.mark.parametrize(
    ("command", "reason"), [([1.0], "1 values for 2 motors"), ([1.0, float("nan")], "not finite"), ([], "0 values")]
)
def test_an_impossible_command_is_refused(command, reason):
    motors = Motors((100.0, 100.0))
    assert reason in str(motors.receive(np.array(command), 0))
    assert not motors.set_point(1).any()


def test_faults_are_read_from_text():
    assert parse_fault("nan@3.0") == Fault(kind="nan", topic="odom", at_s=3.0)
    assert parse_fault("silence:imu@2") == Fault(kind="silence", topic="imu", at_s=2.0)
    assert not parse_fault("jump@1").active(0.99)
    assert parse_fault("jump@1").active(1.0)


@pytest.mark.parametrize("text", ["", "nan", "nan@", "smoke@1", "nan:camera@1", "nan@-1", "nan@1.2.3"])
def test_what_is_no_fault_is_refused(text):
    with pytest.raises(ValueError, match="KIND one of nan, jump, silence"):
        parse_fault(text)


def test_what_counts_after_a_fault():
    aftermath = Aftermath()
    aftermath.note_command(0, moves=True)
    aftermath.begin(10 * MS)
    assert aftermath.summary() is None
    aftermath.note_command(11 * MS, moves=True)
    aftermath.begin(20 * MS)
    aftermath.note_command(22 * MS, moves=False)
    aftermath.note_command(32 * MS, moves=False)
    assert aftermath.summary() == {"moving_commands": 1, "stopped_after_s": pytest.approx(0.012)}
