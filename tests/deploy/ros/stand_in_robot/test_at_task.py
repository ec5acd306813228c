"""A stand-in at a task: what stands around it, where that begins, and success as the task says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.ros.stand_in_robot.task_record import TaskRecord
from isthmus_deploy.ros.stand_in_robot.worlds.at_task import TaskWorld
from isthmus_deploy.ros.stand_in_robot.worlds.world import make_world
from isthmus_sim.robots.so101.description import ROBOT as ARM
from isthmus_sim.robots.so101_peg.description import ROBOT_WITH_PEG
from isthmus_sim.tasks.reach_cube import ReachCube, ReachCubeConfig

(COMMAND,) = ARM.commands
HOLD_STEPS = 15  # half a second at 30 Hz


def reaching(seed: int) -> TaskWorld:
    """The arm without a camera at its desk."""
    return TaskWorld(ReachCube(ARM, ReachCubeConfig()), seed)


def cube(world: TaskWorld) -> np.ndarray:
    return world._data.body("cube").xpos.copy()


def test_things_begin_as_in_the_task_and_the_robot_as_it_rests():
    worlds = [reaching(seed) for seed in range(4)]
    places = np.array([cube(world) for world in worlds])
    shoulder = np.array([0.0388, 0.0])
    distance = np.linalg.norm(places[:, :2] - shoulder, axis=1)
    assert ((distance > 0.139) & (distance < 0.241)).all()
    assert len({tuple(place) for place in places.round(6).tolist()}) == 4
    np.testing.assert_array_equal(cube(reaching(2)), places[2])
    for world in worlds:
        np.testing.assert_allclose(world.sense()["joint_position"], COMMAND.safe, atol=0.03)
        (edge,) = world.values["cube_edge"]
        assert places[worlds.index(world), 2] == pytest.approx(edge / 2, abs=1e-6), "on the table, with its own size"


def test_success_is_what_the_task_says_it_is():
    """The cube is put where the tip is; the arm holds its pose, so that it is near for as long as is asked."""
    world = reaching(0)
    first = world.judge()
    assert first["distance_m"] > 0.05
    tip = world._data.site("gripper_tip").xpos.copy()
    address = world._model.joint("cube").qposadr[0]
    for step in range(HOLD_STEPS):
        assert not world.succeeded
        world._data.qpos[address : address + 3] = tip
        near = world.judge()
        assert near["distance_m"] == pytest.approx(0.0, abs=1e-3), step
    assert world.succeeded
    world._data.qpos[address : address + 3] += 0.2
    world.judge()
    assert world.succeeded, "what has been done stays done"


def test_a_task_without_anything_to_achieve_is_refused():
    with pytest.raises(ValueError, match="velocity has nothing to achieve"):
        make_world(None, 0, "quadruped")


def test_what_stands_around_the_robot_is_seen_as_the_task_sees_it():
    """Push-T's disc and block have no sensor in the model; noise never takes a reading out of its bounds."""
    world = make_world(None, 0, "push_t")
    readings = [world.sense() for _ in range(50)]
    assert isinstance(world, TaskWorld)
    block = np.array([reading["block_position"] for reading in readings])
    true = world._task.sense(world._state(), {})["block_position"][0].numpy()
    np.testing.assert_allclose(block.mean(axis=0), true, atol=0.5)
    assert (block.std(axis=0) > 0.2).all()
    assert (block.std(axis=0) < 1.0).all()
    angles = np.array([reading["block_angle"] for reading in readings])
    assert (angles >= 0).all()
    assert (angles <= 6.2832).all()


def test_what_happened_is_kept_for_a_report(tmp_path: Path):
    world, record = reaching(1), TaskRecord(kept=2)
    for time_s in (2.0, 3.0, 4.0):
        measured = world.judge()
        record.add(time_s, world.state, measured)
    record.save(tmp_path / "robot.npz")
    with np.load(tmp_path / "robot.npz") as kept:
        assert kept["time"].tolist() == [3.0, 4.0], "the newest"
        np.testing.assert_allclose(kept["state/cube_position"][-1], cube(world), atol=1e-6)
        assert kept["measured/distance_m"].shape == (2,)
    TaskRecord().save(tmp_path / "nothing.npz")
    with np.load(tmp_path / "nothing.npz") as kept:
        assert kept.files == []


def test_a_hand_feels_what_it_touches_and_is_told_of_the_hole():
    """The peg hangs, and then the block is put up against it: the sensor is the model's own, not the task's."""
    world = make_world(None, 0, "peg")
    assert isinstance(world, TaskWorld)
    home = {command.name: np.array(command.safe) for command in world.robot.commands}
    world.step(home, 500)
    hanging = np.mean([world.sense()["wrist_force"] for _ in range(50)], axis=0)
    np.testing.assert_allclose(hanging, (0.0, 0.0, -1.27), atol=0.05)
    hole = world._data.mocap_pos[0] + (0.0, 0.0, 0.02)
    told = np.mean([world.sense()["hole_position"] for _ in range(50)], axis=0)
    np.testing.assert_allclose(told, hole, atol=0.001)
    below = world._data.site("peg_tip").xpos + np.array([0.02, 0.0, -0.017])  # beside the hole, 3 mm too high
    world._data.mocap_pos[0] = below
    world.step(home, 500)
    assert world.sense()["wrist_force"][2] > 1.0
    assert world.judge()["force_N"] == pytest.approx(np.linalg.norm(world.sense()["wrist_force"]), abs=0.4)


def test_an_arm_that_sees_no_hole_without_its_task_says_so():
    with pytest.raises(ValueError, match="a stand-in of so101_peg cannot measure hole_position"):
        make_world(ROBOT_WITH_PEG, 0)
