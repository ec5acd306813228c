"""A policy of chunks learns what one does that learned by reward: it is shown, begins itself, and is shown again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from isthmus_datasets.format.reader import DatasetReader
from isthmus_policies.chunks.encoder import EncoderConfig
from isthmus_policies.chunks.imitate import Options, imitate, student_config
from isthmus_policies.chunks.training.config import Learning
from isthmus_policies.chunks.training.run import load_chunk_run
from isthmus_policies.evaluation import roll_out
from isthmus_policies.training.config import TrainConfig, default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.robots import ROBOTS
from isthmus_sim.tasks import make_task

QUIET = Console(quiet=True)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A run for the quadrotor that has hardly begun."""
    config = replace(default_config("quadrotor"), num_envs=16, iterations=1)
    return begun(config, tmp_path / "teacher")


def begun(config: TrainConfig[Any, Any, Any], folder: Path) -> Path:
    folder.mkdir()
    trainer = Trainer(config)
    trainer.save(folder)
    trainer.env.close()
    return folder


def test_rounds_add_demonstrations_and_the_last_student_is_the_run(teacher: Path, tmp_path: Path):
    options = Options(
        teacher=teacher, rounds=1, episodes=20, begun_s=0.1, tries=2, torch_threads=1,
        encoder=EncoderConfig(width=16), learning=Learning(steps=3, batch_size=8, warmup=0),
    )  # fmt: skip
    assert imitate(options, tmp_path / "student", QUIET) == 0
    shown = [DatasetReader(tmp_path / "student" / "demonstrations" / name) for name in ("0", "1")]
    assert [reader.num_episodes for reader in shown] == [20, 20]
    last = load_chunk_run(tmp_path / "student")
    assert last.config.datasets == tuple(reader.root for reader in shown)
    first = load_chunk_run(tmp_path / "student" / "rounds" / "0")
    assert first.config.datasets == (shown[0].root,)
    scales = [run.policy.normalizer.state_dict() for run in (first, last)]
    assert all(np.array_equal(scales[0][name], scales[1][name]) for name in scales[0]), "the second goes on from it"


def test_what_the_robot_sees_is_what_the_student_sees(tmp_path: Path):
    options, shown = Options(teacher=tmp_path), (tmp_path / "shown",)
    config = student_config(options, make_task("reach_cube"), shown, "reach_cube")
    assert (config.cameras, config.size) == (("observation.images.camera_scene",), (64, 64))
    assert config.roll_outs.task == "reach_cube"
    told = student_config(options, make_task("reach_cube", robot=ROBOTS["so101"]), shown, None)
    assert (told.cameras, told.roll_outs.task) == ((), None)


def test_a_teacher_without_a_camera_is_recorded_with_one(tmp_path: Path):
    config = default_config("reach_cube", "mlp")
    told = replace(config.policy, actor_groups=("actor", "cube"))
    teacher = begun(replace(config, robot="so101", num_envs=2, policy=told), tmp_path / "told")
    options = roll_out.Options(
        run=teacher, dataset=tmp_path / "shown", robot="so101_camera", images=True, episodes=2, worlds=2
    )
    with pytest.raises(ValueError, match="so101 has no camera; choose a --robot that has"):
        roll_out.record(replace(options, robot=None), QUIET)
    roll_out.record(options, QUIET)
    reader = DatasetReader(tmp_path / "shown")
    frames = reader.frames(1, "observation.images.camera_scene")
    assert frames.shape == (reader.episodes[1].length, 64, 64, 3)
    assert frames.std() > 10, "they show something"
