"""The stand-in quadruped's hidden body, drives and sensors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from isthmus_deploy.ros.stand_in_robot.quadruped import TIMESTEP_S, HiddenBody, QuadrupedWorld, _Drives, draw_body
from isthmus_sim.robots.quadruped.description import GRAVITY, JOINTS, MASS, MOTORS, PRONE_HEIGHT, ROBOT

POSE = np.array(ROBOT.commands[0].standby)
PRONE = np.array(ROBOT.commands[0].safe)
RATE = np.array(ROBOT.commands[0].transition_rate)
PLAIN = HiddenBody(payload=0.0, com_offset=(0.0, 0.0, 0.0), friction=0.8, strength=(1.0,) * 12)


def upright(world):
    """Cosine of the trunk's tilt."""
    _, x, y, _ = world.truth().orientation
    return 1.0 - 2.0 * (x * x + y * y)


def move(world, start, end, seconds):
    """Lead the joint targets from one pose to another, 50 times a second."""
    for share in np.linspace(0.0, 1.0, round(seconds * 50)):
        world.step(start + share * (end - start), 10)


def test_a_seed_draws_one_body_and_one_noise():
    assert draw_body(5) == draw_body(5) != draw_body(6)
    first, again = QuadrupedWorld(5), QuadrupedWorld(5)
    assert first.body == draw_body(5)
    seen, seen_again = first.sense(), again.sense()
    assert {name: value.tolist() for name, value in seen.items()} == {
        name: value.tolist() for name, value in seen_again.items()
    }


def test_bodies_are_what_is_promised():
    bodies = [draw_body(seed) for seed in range(200)]
    for values, low, high in (
        ([body.payload for body in bodies], -1.0, 3.0),
        ([body.friction for body in bodies], 0.4, 1.0),
        ([value for body in bodies for value in body.strength], 0.85, 1.0),
    ):
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high >= max(values) > high - 0.05 * (high - low)
    assert {body.latency_s for body in bodies} == {0.020}


def test_it_starts_on_its_belly():
    world = QuadrupedWorld(1)
    assert world.on_belly
    assert world.time_s == world.energy_j == 0.0
    assert world.truth().position[2] == pytest.approx(PRONE_HEIGHT, abs=0.01)
    assert upright(world) > 0.99
    assert np.abs(world.truth().linear_velocity).max() < 0.01


def test_load_and_mass_go_with_the_body():
    assert QuadrupedWorld(0, body=PLAIN).mass == pytest.approx(MASS)
    assert QuadrupedWorld(0, body=dataclasses.replace(PLAIN, payload=2.5)).mass == pytest.approx(MASS + 2.5)


@pytest.mark.parametrize("friction", [0.4, 0.6])
def test_the_ground_is_as_slippery_as_the_body_says(friction):
    """On its belly, limp and pushed off at 1 m/s, it slows down by friction times gravity."""
    world = QuadrupedWorld(0, body=dataclasses.replace(PLAIN, friction=friction))
    world._data.qvel[0] = 1.0
    world.step(None, 10)
    before = world.truth().linear_velocity[0]
    world.step(None, 20)
    slowed = (before - world.truth().linear_velocity[0]) / (20 * TIMESTEP_S)
    assert slowed == pytest.approx(friction * GRAVITY, rel=0.15)


def test_a_command_takes_20_ms_to_become_torque():
    idle, told = QuadrupedWorld(3), QuadrupedWorld(3)
    for _ in range(10):
        idle.step(None)
        told.step(POSE)
        assert told.truth().position.tolist() == idle.truth().position.tolist()
    told.step(POSE)
    idle.step(None)
    assert np.abs(told._data.qvel - idle._data.qvel).max() > 0.01


def test_drives_give_what_those_of_the_simulation_give():
    """Against the engine that policies learn on: all corners of the torque-speed curve."""
    motors = pytest.importorskip("isthmus_sim.engines.motors")
    random = np.random.default_rng(0)
    body = draw_body(0)
    limits = motors.MotorLimits.of(tuple(MOTORS[name.split("_")[1]] for name in JOINTS))
    gains = [np.array([getattr(joint, name) for joint in ROBOT.joints.values()]) for name in ("stiffness", "damping")]
    for _ in range(200):
        target, position = random.uniform(-2.5, 2.5, (2, 12))
        speed = random.uniform(-40.0, 40.0, 12)
        expected = motors.pd_torque(target, position, speed, *gains, np.array(body.strength), limits)
        np.testing.assert_allclose(_Drives(body).torque(target, position, speed), expected, atol=1e-12)


def test_without_a_command_joints_are_only_damped():
    speed = np.linspace(-5.0, 5.0, 12)
    torque = _Drives(PLAIN).torque(None, PRONE, speed)
    np.testing.assert_allclose(torque, -0.5 * speed)


@pytest.mark.parametrize("seed", range(4))
def test_it_stands_up_and_lies_down_with_any_body(seed):
    world = QuadrupedWorld(seed)
    move(world, world.sense()["joint_position"], POSE, 1.5)
    world.step(POSE, 500)
    assert upright(world) > 0.98
    assert world.truth().position[2] > 0.23
    assert not world.on_belly
    assert world.energy_j > 0.0
    move(world, POSE, PRONE, 1.5)
    world.step(PRONE, 250)
    assert world.on_belly
    assert upright(world) > 0.98
    assert np.abs(world.truth().linear_velocity).max() < 0.02


def test_limp_legs_let_it_down_on_its_belly():
    world = QuadrupedWorld(0)
    move(world, world.sense()["joint_position"], POSE, 1.0)
    assert not world.on_belly
    world.step(None, 500)
    assert world.on_belly


def test_sensors_see_the_body_with_noise():
    world = QuadrupedWorld(2)
    move(world, world.sense()["joint_position"], POSE, 0.5)
    joints, truth = world._data.qpos[world._q], world.truth()
    senses = [world.sense() for _ in range(300)]
    for name, true, noise in (
        ("joint_position", joints, 0.005),
        ("joint_velocity", world._data.qvel[world._v], 0.2),
        ("angular_velocity", truth.angular_velocity, 0.02),
    ):
        values = np.array([sense[name] for sense in senses])
        np.testing.assert_allclose(values.mean(axis=0), true, atol=5 * noise / np.sqrt(300))
        np.testing.assert_allclose(values.std(axis=0), noise, rtol=0.25)


def test_the_imu_knows_down_but_not_north():
    world = QuadrupedWorld(2, body=dataclasses.replace(draw_body(2), heading=1.0))
    world._data.qpos[3:7] = np.array([0.9, 0.2, -0.3, 0.1]) / np.sqrt(0.95)
    sensed = np.mean([world.sense()["imu_orientation"] for _ in range(300)], axis=0)
    np.testing.assert_allclose(down(sensed), down(world.truth().orientation), atol=0.005)
    assert np.abs(sensed - world.truth().orientation).max() > 0.1


def down(q):
    """Direction of gravity in the body, (3,)."""
    w, x, y, z = q
    return np.array([-2 * (x * z - w * y), -2 * (y * z + w * x), -(1 - 2 * (x * x + y * y))])
