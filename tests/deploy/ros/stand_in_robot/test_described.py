"""Stand-ins made from a description: hidden units, rest, drives, sensors, the hoist. The quadruped is the example."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from isthmus_deploy.ros.stand_in_robot.worlds.described import DescribedWorld, bare_scene
from isthmus_deploy.ros.stand_in_robot.worlds.world import make_world
from isthmus_sim.robots import ROBOTS
from isthmus_sim.robots.quadruped.description import GRAVITY, MASS, PRONE_HEIGHT, ROBOT
from isthmus_sim.robots.so101.description import FOLDED, HOME
from isthmus_sim.robots.so101.description import ROBOT as ARM

(COMMAND,) = ROBOT.commands
POSE, PRONE = np.array(COMMAND.standby), np.array(COMMAND.safe)
SCENE = bare_scene(ROBOT)
TIMESTEP_S = SCENE.timestep_s
NOMINAL = {p.name: np.array(p.nominal) for p in SCENE.parameters}
BOUNDS = {p.name: (np.array(p.minimum), np.array(p.maximum)) for p in ROBOT.parameters}


def quadruped(seed: int, **values: np.ndarray | float) -> DescribedWorld:
    """The quadruped of a seed, with some of its parameters replaced."""
    return DescribedWorld(SCENE, seed, values={name: np.atleast_1d(value) for name, value in values.items()})


def plain(**values: np.ndarray | float) -> DescribedWorld:
    """One of which nothing is known but `values`."""
    given = {name: np.atleast_1d(value) for name, value in values.items()}
    return DescribedWorld(SCENE, 0, values={**NOMINAL, **given})


def tell(world: DescribedWorld, target: np.ndarray | None, n: int = 1) -> None:
    world.step({COMMAND.name: target}, n)


def upright(world: DescribedWorld) -> float:
    """Cosine of the trunk's tilt."""
    _, x, y, _ = world.truth().orientation
    return 1.0 - 2.0 * (x * x + y * y)


def move(world: DescribedWorld, start: np.ndarray, end: np.ndarray, seconds: float) -> None:
    """Lead the joint targets from one pose to another, 50 times a second."""
    for share in np.linspace(0.0, 1.0, round(seconds * 50)):
        tell(world, start + share * (end - start), 10)


# --- the unit ---


def test_a_seed_draws_one_unit_and_one_noise():
    first, again, other = quadruped(5), quadruped(5), quadruped(6)
    assert first.hidden() == again.hidden() != other.hidden()
    seen, seen_again = first.sense(), again.sense()
    assert {name: value.tolist() for name, value in seen.items()} == {
        name: value.tolist() for name, value in seen_again.items()
    }


def test_units_lie_within_the_bounds_of_the_description_and_fill_them():
    units = [quadruped(seed).values for seed in range(60)]
    for name, (low, high) in BOUNDS.items():
        values = np.array([unit[name] for unit in units])
        assert ((values >= low) & (values <= high)).all(), name
        share = (values - low) / (high - low)
        assert share.min() < 0.1 < 0.9 < share.max(), name
    assert {"payload", "com_offset", "friction", "strength", "command_delay_s"} <= set(BOUNDS)


def test_load_and_mass_go_with_the_unit():
    assert plain().mass == pytest.approx(MASS)
    assert plain(payload=2.5).mass == pytest.approx(MASS + 2.5)


@pytest.mark.parametrize("friction", [0.4, 0.6])
def test_the_ground_is_as_slippery_as_the_unit_says(friction: float):
    """On its belly, limp and pushed off at 1 m/s, it slows down by friction times gravity."""
    world = plain(friction=friction)
    world._data.qvel[0] = 1.0
    tell(world, None, 10)
    before = world.truth().linear_velocity[0]
    tell(world, None, 20)
    slowed = (before - world.truth().linear_velocity[0]) / (20 * TIMESTEP_S)
    assert slowed == pytest.approx(friction * GRAVITY, rel=0.15)


# --- rest, standing up, lying down ---


def test_it_starts_on_its_belly():
    world = quadruped(1)
    assert world.base_touches
    assert world.time_s == world.energy_j == 0.0
    assert world.truth().position[2] == pytest.approx(PRONE_HEIGHT, abs=0.01)
    assert upright(world) > 0.99
    assert np.abs(world.truth().linear_velocity).max() < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_it_stands_up_and_lies_down_with_any_unit(seed: int):
    world = quadruped(seed)
    move(world, world.sense()["joint_position"], POSE, 1.5)
    tell(world, POSE, 500)
    assert upright(world) > 0.98
    assert world.truth().position[2] > 0.23
    assert not world.base_touches
    assert world.energy_j > 0.0
    move(world, POSE, PRONE, 1.5)
    tell(world, PRONE, 250)
    assert world.base_touches
    assert upright(world) > 0.98
    assert np.abs(world.truth().linear_velocity).max() < 0.02


def test_limp_legs_let_it_down_on_its_belly():
    world = quadruped(0)
    move(world, world.sense()["joint_position"], POSE, 1.0)
    assert not world.base_touches
    tell(world, None, 500)
    assert world.base_touches


# --- drives ---


@pytest.mark.parametrize("delay_ms", [0, 6, 14])
def test_a_command_becomes_torque_after_the_units_delay(delay_ms: int):
    idle, told = plain(command_delay_s=0.001 * delay_ms), plain(command_delay_s=0.001 * delay_ms)
    for _ in range(delay_ms // 2):
        tell(idle, None)
        tell(told, POSE)
        assert told.truth().position.tolist() == idle.truth().position.tolist()
    tell(told, POSE)
    tell(idle, None)
    assert np.abs(told._data.qvel - idle._data.qvel).max() > 0.01


def test_torque_is_limited_by_the_motor_and_its_strength():
    """A hip gives 23.7 N·m at rest, and nothing more at its no-load speed of 30.1 rad/s."""
    world = plain(strength=np.full(12, 0.5))
    joint, actuator = world._model.joint("FL_hip_joint"), world._model.actuator("FL_hip_joint").id
    far = PRONE + 5.0
    for speed, torque in ((0.0, 0.5 * 23.7), (30.1, 0.0), (-5.0, 0.5 * 23.7)):
        world._data.qvel[joint.dofadr[0]] = speed
        world._drives[0].control(far, world._data)
        assert world._data.ctrl[actuator] == pytest.approx(torque, abs=1e-6)


def test_without_a_command_joints_are_only_damped():
    world = plain()
    driven = [int(world._model.joint(name).dofadr[0]) for name in ROBOT.joints]
    speed = np.linspace(-5.0, 5.0, 12)
    world._data.qvel[driven] = speed
    world._drives[0].control(None, world._data)
    numbers = [world._model.actuator(name).id for name in ROBOT.joints]
    np.testing.assert_allclose(world._data.ctrl[numbers], -0.5 * speed)


# --- sensors ---


def test_sensors_see_the_robot_with_noise():
    world = quadruped(2)
    move(world, world.sense()["joint_position"], POSE, 0.5)
    address = [int(world._model.joint(name).qposadr[0]) for name in ROBOT.joints]
    speeds = [int(world._model.joint(name).dofadr[0]) for name in ROBOT.joints]
    truth, senses = world.truth(), [world.sense() for _ in range(300)]
    for name, true, noise in (
        ("joint_position", world._data.qpos[address], 0.005),
        ("joint_velocity", world._data.qvel[speeds], 30.1 / 150),
        ("angular_velocity", truth.angular_velocity, 0.02),
    ):
        values = np.array([sense[name] for sense in senses])
        np.testing.assert_allclose(values.mean(axis=0), true, atol=5 * noise / np.sqrt(300))
        np.testing.assert_allclose(values.std(axis=0), noise, rtol=0.25)


def test_the_imu_knows_down_but_not_north():
    world = quadruped(2)
    world._data.qpos[3:7] = np.array([0.9, 0.2, -0.3, 0.1]) / np.sqrt(0.95)
    sensed = np.mean([world.sense()["imu_orientation"] for _ in range(300)], axis=0)
    np.testing.assert_allclose(down(sensed), down(world.truth().orientation), atol=0.005)
    assert np.abs(sensed - world.truth().orientation).max() > 0.1


def down(q: np.ndarray) -> np.ndarray:
    """Direction of gravity in the body, (3,)."""
    w, x, y, z = q
    return np.array([-2 * (x * z - w * y), -2 * (y * z + w * x), -(1 - 2 * (x * x + y * y))])


def test_a_signal_that_nothing_measures_is_named():
    strange = dataclasses.replace(ROBOT.signal("angular_velocity"), name="wind")
    robot = dataclasses.replace(ROBOT, signals=(*ROBOT.signals, strange))
    with pytest.raises(ValueError, match="quadruped cannot measure wind"):
        DescribedWorld(bare_scene(robot), 0)


# --- on its back ---


def test_a_robot_with_legs_can_lie_on_its_back_and_nothing_holds_it():
    world = DescribedWorld(bare_scene(ROBOT), 1)
    world.turn_over()
    tell(world, None, 200)
    assert world.truth().tilt > 2.5
    assert world.time_s == pytest.approx(200 * world.timestep_s)


def test_what_is_fixed_cannot_lie_on_its_back():
    with pytest.raises(ValueError, match="so101 is fixed to its place"):
        make_world(ARM, 0).turn_over()


# --- the hoist ---


@pytest.fixture
def unsteady() -> DescribedWorld:
    """A quadruped that has no stance where its safe command leaves it."""
    stances = {name: stance for name, stance in ROBOT.stances.items() if name != "prone"}
    return DescribedWorld(bare_scene(dataclasses.replace(ROBOT, stances=stances)), 0)


def test_a_robot_that_cannot_rest_hangs_until_a_policy_takes_over(unsteady: DescribedWorld):
    height = ROBOT.stances["stand"].height
    tell(unsteady, None, 100)
    move(unsteady, PRONE, POSE, 0.5)
    tell(unsteady, POSE, 100)
    assert unsteady.truth().position.tolist() == [0.0, 0.0, height]
    assert unsteady.truth().orientation.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert not unsteady.sense()["angular_velocity"].std() > 0.1
    tell(unsteady, POSE + 0.01, 100)
    assert unsteady.truth().position[2] < height - 0.01, "its weight is on its legs"
    tell(unsteady, None, 500)
    assert unsteady.base_touches, "and nothing holds it any more"


def test_the_biped_hangs_in_stand_by_and_falls_without_a_policy():
    robot = ROBOTS["biped"]
    (command,) = robot.commands
    world = DescribedWorld(bare_scene(robot), 1)
    standing = np.array(command.standby)
    for _ in range(50):
        world.step({command.name: standing}, 10)
    assert world.truth().position[2] == robot.stances["stand"].height
    assert upright(world) == 1.0
    for _ in range(150):
        world.step({command.name: standing + 0.001}, 10)
    assert world.truth().position[2] < 0.8 * robot.stances["stand"].height


# --- other robots ---


def test_an_arm_of_servos_starts_folded_follows_and_sags_when_it_is_let_go():
    world = make_world(ARM, 3)
    name = ARM.commands[0].name
    np.testing.assert_allclose(world.sense()["joint_position"], FOLDED, atol=0.03)
    for _ in range(90):
        world.step({name: np.array(HOME)}, 17)
    np.testing.assert_allclose(world.sense()["joint_position"], HOME, atol=0.06)
    world.step({name: None}, 1000)
    assert np.abs(world.sense()["joint_position"] - HOME).max() > 0.1
    assert world.truth().orientation.tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["so101", "quadruped", "biped", "crazyflie"])
def test_a_period_is_a_whole_number_of_physics_steps(name: str):
    world = make_world(ROBOTS[name], 0)
    steps = world.robot.control_period_s / world.timestep_s
    assert steps == pytest.approx(round(steps), abs=1e-6)
    assert world.timestep_s <= 0.002
    assert math.isfinite(world.truth().position.sum())
