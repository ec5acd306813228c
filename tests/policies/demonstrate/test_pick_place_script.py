"""Demonstrations of pick and place: the script does it, with any skill the same again, and datasets replay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mink", reason='mink is not installed: extra "teleop"')

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.operator import Event
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.scan.gather import gather
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.record import main
from isthmus_policies.demonstrate.tasks.pick_place_script import PickPlaceScript, downwards
from isthmus_sim.rendering.offscreen import available_backend
from isthmus_sim.robots.so101.description import JOINTS, NO_LOAD_SPEED, PERIOD
from isthmus_sim.rotations import rotation_matrix
from isthmus_sim.tasks import make_task

needs_opengl = pytest.mark.skipif(available_backend() is None, reason="no off-screen OpenGL on this machine")


@pytest.fixture
def robot() -> Iterator[EnvRobot]:
    with closing(EnvRobot(make_task("pick_place-randomized"))) as robot:
        yield robot


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes with noisy actions and images."""
    root = tmp_path_factory.mktemp("recorded") / "pick_place"
    main(["pick_place", str(root), "--episodes", "2", "--seed", "3"])
    return root


def demonstrate(robot: EnvRobot, script: PickPlaceScript, seed: int) -> tuple[Event, np.ndarray]:
    """What ended the episode, and its actions (t, 6)."""
    robot.reset(seed)
    script.reset(seed)
    actions = []
    while (decision := script.decide(robot.observe())).event not in (Event.SUCCESS, Event.TIME):
        actions.append(decision.action)
        robot.act(decision.action)
    return decision.event, np.array(actions)


def test_the_script_puts_cubes_into_zones(robot: EnvRobot):
    script = PickPlaceScript(noise=0.005)
    ends = [demonstrate(robot, script, seed)[0] for seed in range(100, 106)]
    assert ends.count(Event.SUCCESS) >= 5


def test_without_noise_the_script_asks_for_nothing_that_is_limited(robot: EnvRobot):
    """Its targets go no faster than commands may change, so that what it plans is what happens."""
    script = PickPlaceScript()
    robot.reset(100)
    script.reset(100)
    changes, before = [], None
    while (decision := script.decide(robot.observe())).event not in (Event.SUCCESS, Event.TIME):
        np.testing.assert_allclose(robot.act(decision.action), decision.action, atol=1e-5)
        changes.append(0.0 if before is None else np.abs(decision.action - before).max())
        before = decision.action
    assert max(changes) == pytest.approx(NO_LOAD_SPEED * PERIOD, abs=1e-5), "it goes as fast as it may"


def test_a_seed_is_the_same_demonstration_with_noise_and_little_skill(robot: EnvRobot):
    script = PickPlaceScript(noise=0.01, skill=0.3, steps=60)
    first, again, other = (demonstrate(robot, script, seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_less_skill_takes_longer(robot: EnvRobot):
    (skilled, quick), (_, slow) = (demonstrate(robot, PickPlaceScript(skill=skill), 0) for skill in (1.0, 0.2))
    assert skilled is Event.SUCCESS
    assert len(slow) > 1.3 * len(quick)
    with pytest.raises(ValueError, match=r"skill must be from 0 to 1, not 1\.5"):
        PickPlaceScript(skill=1.5)


def test_a_cube_that_is_not_in_the_hand_is_taken_again(robot: EnvRobot):
    """Put aside while it was being lifted."""
    robot.reset(0)
    script = PickPlaceScript()
    script.reset(0)
    moved = False
    while (decision := script.decide(observation := robot.observe())).event not in (Event.SUCCESS, Event.TIME):
        if not moved and observation.simulation["environment_state"][2] > 0.04:
            robot.qpos[6:9] += (0.0, 0.05, -0.02)
            moved = True
        robot.act(decision.action)
    assert moved
    assert decision.event is Event.SUCCESS


def test_the_tool_points_down_with_its_moving_jaw_that_way():
    import torch

    for turn in (0.0, 0.7, -2.0):
        x, y, z = rotation_matrix(torch.tensor(downwards(turn))[None]).view(3, 3).T.numpy()
        np.testing.assert_allclose(z, (0, 0, -1), atol=1e-12)
        np.testing.assert_allclose(x, (np.cos(turn), np.sin(turn), 0), atol=1e-12)
        np.testing.assert_allclose(y, np.cross(z, x), atol=1e-12)


@needs_opengl
def test_what_was_recorded_is_clean_and_says_what_it_is(recorded: Path):
    assert [finding for finding in run_checks(gather(recorded)) if finding.severity == "error"] == []
    reader = DatasetReader(recorded)
    assert (reader.info.fps, reader.num_episodes) == (30, 2)
    assert {row.tasks for row in reader.episodes} == {("put the cube into the zone",)}
    assert all(row.facts["success"] is True for row in reader.episodes)
    features = reader.info.features
    assert features["action"].names == JOINTS
    assert features["observation.state"].names == tuple(
        f"{kind}.{joint}" for kind in ("joint_position", "joint_velocity") for joint in JOINTS
    )
    around = features["simulation.environment_state"]
    assert around.names is not None
    assert around.names[:3] == ("cube.x", "cube.y", "cube.z")
    for camera in ("scene", "wrist"):
        frames = reader.frames(0, f"observation.images.{camera}")
        assert frames.shape == (reader.episodes[0].length, 96, 96, 3)
        assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 60, "something moves"


@needs_opengl
def test_every_step_replays_to_the_bit(recorded: Path):
    """The world repeats; what the encoders add to it is drawn anew."""
    columns = DatasetReader(recorded).columns(1)
    with closing(EnvRobot(make_task("pick_place"))) as robot:
        for t in range(0, len(columns["action"]) - 1, 5):
            robot.restore(columns["simulator_state"][t])
            robot.act(columns["sent_action"][t])
            assert np.array_equal(robot.simulator_state(), columns["simulator_state"][t + 1])
            around = robot.observe().simulation["environment_state"]
            assert np.array_equal(around, columns["simulation.environment_state"][t + 1])
