"""What people and scripts have shown is what a learner would have seen and done."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.rate import VirtualClock
from isthmus_datasets.recording.recorder import Recorder
from isthmus_datasets.recording.robot_columns import open_dataset
from isthmus_policies.actor_learner.actor import Actor
from isthmus_policies.actor_learner.driver import ActorDriver
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.demonstrate.readings import main
from isthmus_policies.demonstrate.record import main as record
from isthmus_policies.demonstrate.tasks.push_t_script import PushTScript
from isthmus_policies.files import write_json
from isthmus_policies.networks.squashed import SquashedConfig
from isthmus_policies.training.config import default_config
from isthmus_policies.training.trainer import Trainer

SMALL = SquashedConfig(actor=(8,), critic=(8,), critic_groups=("actor",))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two episodes of the script."""
    record(["push_t", str(tmp_path / "recorded"), "--episodes", "2", "--no-images"])
    return tmp_path / "recorded"


def test_a_learner_learns_from_what_was_recorded(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["push_t", str(recorded), str(tmp_path / "shown")])
    assert "2 episodes" in capsys.readouterr().out
    there = DatasetReader(recorded)
    usual = default_config("push_t", algorithm="sac-robot")
    algorithm = replace(usual.algorithm, exchange=tmp_path / "exchange", demonstrations=(tmp_path / "shown",))
    with closing(Trainer(replace(usual, policy=SMALL, algorithm=algorithm))) as trainer:
        shown = trainer.algorithm.taught.demonstrations  # pyright: ignore[reportAttributeAccessIssue]
        kept = shown.replay._kept
        first = there.columns(0)
        steps = len(first["action"])
        np.testing.assert_allclose(kept["reward"][:steps, 0], first["next.reward"][:, 0])
        assert kept["terminated"][:steps, 0].nonzero().flatten().tolist() == [steps - 1], "both have succeeded"
        assert len(shown.replay) == len(first["action"]) + len(there.columns(1)["action"])
        trainer.algorithm.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_it_is_what_an_actor_tells_of_the_same_episode(tmp_path: Path):
    """One episode by a script's hands, told to a learner and recorded at once."""
    usual = default_config("push_t", algorithm="sac-robot")
    config = replace(usual, policy=SMALL, algorithm=replace(usual.algorithm, exchange=tmp_path / "exchange"))
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "config.json", config)
    with closing(Trainer(config)) as trainer:
        run = LearningRun.of(folder)
        robot = EnvRobot(run.task)
        driver = ActorDriver(run, robot.signals, patience_s=300)
        with (
            closing(robot),
            closing(driver),
            closing(run.experience()) as experience,
            open_dataset(tmp_path / "recorded", robot.features, fps=10) as writer,
            Recorder(
                robot,
                Actor(PushTScript(steps=30), driver, experience, steps=300),
                writer,
                task="push",
                clock=VirtualClock(),
            ) as recorder,
        ):
            recorder.record(0)
            rows = experience.read(0, 1000)
        trainer.algorithm.close()  # pyright: ignore[reportAttributeAccessIssue]
    main([str(folder), str(tmp_path / "recorded"), str(tmp_path / "shown")])
    shown = DatasetReader(tmp_path / "shown")
    columns, final = shown.columns(0), shown.final(0)
    np.testing.assert_array_equal(columns["observation.actor"], rows["before"]["actor"])
    np.testing.assert_allclose(columns["action"], rows["action"], atol=1e-6)
    np.testing.assert_array_equal(columns["next.reward"][:, 0], rows["reward"])
    assert final is not None
    np.testing.assert_array_equal(final["observation.actor"], rows["after"]["actor"][-1])


def test_recordings_of_another_robot_are_refused(recorded: Path, tmp_path: Path):
    with pytest.raises(SystemExit, match="has no reading joint_position"):
        main(["pick_place", str(recorded), str(tmp_path / "shown")])
    with pytest.raises(SystemExit, match="no run in nothing"):
        main(["nothing", str(recorded), str(tmp_path / "shown")])
