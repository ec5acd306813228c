"""The actor drives a robot over ROS 2, through the safety chain, against the stand-in robot's process."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from isthmus_policies.actor_learner.command import Options, act
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.files import write_json
from isthmus_policies.networks.squashed import SquashedConfig
from isthmus_policies.training.config import default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.tasks.pick_place import PickPlaceConfig

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'isthmus[ros]'")

from isthmus_policies.demonstrate.ros2.options import Ros2Options

pytestmark = pytest.mark.ros


def test_what_a_robot_on_ros_2_does_is_learned_from(start, tmp_path: Path):
    usual = default_config("pick_place", algorithm="sac-robot")
    config = replace(
        usual,
        task=PickPlaceConfig(episode_steps=40),
        policy=SquashedConfig(actor=(8,), critic=(8,), critic_groups=("actor",)),
        algorithm=replace(usual.algorithm, exchange=tmp_path / "exchange", warm_up=10, patience_s=0.1),
    )
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "config.json", config)
    start("stand_in_robot", "--robot", "so101", "--seed", 7)
    with closing(Trainer(config)) as trainer:
        options = Options(
            run=folder, dataset=tmp_path / "data", episodes=1, patience_s=300, robot=Ros2Options(ros=True)
        )
        said = act(options, Console())
        row = trainer.iterate()
        trainer.algorithm.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert said.endswith("1 episodes, 40 transitions, 0% by the script")
    assert row["robot/transitions"] == 40
    assert row["learner/entropy"] != 0
    with closing(LearningRun.of(folder).experience()) as experience:
        rows = experience.read(0, 100)
    assert rows["truncated"].tolist() == [False] * 39 + [True]
    assert np.ptp(rows["before"]["actor"], axis=0).max() > 0.01, "it has moved"
    assert not rows["reward"].any(), "this robot tells no reward, and nobody has said that it is done"
