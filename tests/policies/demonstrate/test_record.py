"""Demonstrations in simulation: a script as the operator, a dataset that replays exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.operator import Event
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.scan.gather import gather
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.record import main
from isthmus_policies.demonstrate.tasks.push_t_script import PushTScript, contacts, distance
from isthmus_sim.robots.pusher.description import AGENT_RADIUS
from isthmus_sim.tasks import make_task


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes with noisy actions and images."""
    root = tmp_path_factory.mktemp("recorded") / "push_t"
    main(["push_t", str(root), "--episodes", "4", "--seed", "10"])
    return root


# The script
# ---------------------------------------------------------------------------------------------------------------------
def test_contacts_are_on_the_outline_and_the_disc_has_room_there():
    points, normals = contacts()
    assert len(points) > 40
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    np.testing.assert_allclose(distance(points), 0.0, atol=1e-9)
    np.testing.assert_allclose(distance(points + normals), 1.0, atol=1e-9)
    assert distance(points + AGENT_RADIUS * normals).min() > AGENT_RADIUS - 1.5


def test_the_script_pushes_the_block_home():
    robot, script = EnvRobot(make_task("push_t")), PushTScript()
    ends = []
    for seed in range(5):
        robot.reset(seed)
        script.reset(seed)
        while (decision := script.decide(robot.observe())).event not in (Event.SUCCESS, Event.TIME):
            robot.act(decision.action)
        ends.append(decision.event)
    assert ends.count(Event.SUCCESS) >= 4


# The dataset
# ---------------------------------------------------------------------------------------------------------------------
def test_what_was_recorded_is_clean_and_says_how_it_came(recorded: Path):
    assert [finding for finding in run_checks(gather(recorded)) if finding.severity != "note"] == []
    reader = DatasetReader(recorded)
    assert reader.info.fps == 10
    assert [row.facts["seed"] for row in reader.episodes] == [10, 11, 12, 13]
    assert {row.tasks for row in reader.episodes} == {("push the T into its goal",)}
    columns = reader.columns(0)
    assert np.array_equal(columns["sent_action"], columns["action"].clip(0, 512))
    assert columns["next.reward"][-1] >= columns["next.reward"][0]
    assert len(reader.frames(0, "observation.images.scene")) == reader.episodes[0].length


def test_every_step_replays_to_the_bit(recorded: Path):
    columns = DatasetReader(recorded).columns(1)
    robot = EnvRobot(make_task("push_t"))
    for t in range(0, len(columns["action"]) - 1, 7):
        robot.restore(columns["simulator_state"][t])
        robot.act(columns["sent_action"][t])
        assert np.array_equal(robot.observe().columns["state"], columns["observation.state"][t + 1])


def test_the_same_seed_is_the_same_demonstration_and_a_dataset_is_gone_on_with(recorded: Path, tmp_path: Path):
    for first in (["--seed", "10"], []):  # then with the next: nobody wants the same start twice
        main(["push_t", str(tmp_path / "again"), "--episodes", "1", *first, "--no-images"])
    again, before = DatasetReader(tmp_path / "again"), DatasetReader(recorded)
    assert [row.facts["seed"] for row in again.episodes] == [10, 11]
    for episode in range(2):
        for name in ("observation.state", "action", "simulator_state"):
            assert np.array_equal(again.columns(episode)[name], before.columns(episode)[name])


def test_skill_and_noise_can_be_asked_for(recorded: Path, tmp_path: Path):
    main(["push_t", str(tmp_path / "clumsy"), "--episodes", "1", "--seed", "10", "--no-images", "--skill", "0"])
    clumsy, skilled = (DatasetReader(path).columns(0)["action"] for path in (tmp_path / "clumsy", recorded))
    assert not np.array_equal(clumsy[:10], skilled[:10])
    assert len(clumsy) > len(skilled), "errors and lapses take time"
    for wrong in (("--skill", "1.1"), ("--noise", "-1")):
        with pytest.raises(SystemExit, match="skill must be from 0 to 1, and noise not negative"):
            main(["push_t", str(tmp_path / "x"), *wrong])


def test_what_cannot_be_recorded_is_said(recorded: Path, tmp_path: Path):
    with pytest.raises(SystemExit, match=r"is not of this robot: .*observation\.images\.scene"):
        main(["push_t", str(recorded), "--no-images"])
    assert DatasetReader(recorded).num_episodes == 4
