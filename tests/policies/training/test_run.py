"""A run is rebuilt from its own files, whatever today's defaults are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_policies.training.checkpoint import CHECKPOINT, CheckpointError, load_checkpoint, save_checkpoint
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.run import load_run
from isthmus_policies.training.trainer import Trainer
from isthmus_policies.training.worlds import robot_digest
from isthmus_sim.robots import ROBOTS
from isthmus_sim.tasks import TASKS

Small = Callable[..., TrainConfig]


def test_a_policy_is_loaded_with_its_normalisers(small: Small, tmp_path: Path):
    trainer = Trainer(small(seed=4))
    for _ in range(2):
        trainer.iterate()
    trainer.save(tmp_path)
    run = load_run(tmp_path)
    seen = {"actor": torch.randn(5, 146)}
    with torch.no_grad():
        assert torch.equal(run.policy.act(seen, {}, {})[0], trainer.policy.act(seen, {}, {})[0])
    assert run.config == trainer.config
    assert run.facts["iteration"] == 2
    assert run.engine == "analytic"
    assert isinstance(run.policy, ActorCritic)
    assert float(run.policy.actor_encoder.normalizers()[0][1].count) == 2 * 32 * 16


def test_networks_task_and_engine_are_as_configured(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also after the task's defaults have changed."""
    config = small(policy=ActorCriticConfig(actor=(7,), critic=(5, 3)), engine="mujoco")
    config = replace(config, task=replace(config.task, history=3))
    Trainer(config).save(tmp_path)
    entry = TASKS["quadrotor"]
    monkeypatch.setitem(TASKS._loaded, "quadrotor", replace(entry, config=replace(entry.config, position_limit=9.0)))
    run = load_run(tmp_path)
    assert isinstance(run.policy, ActorCritic)
    assert run.policy.actor[0].weight.shape == (7, 18 + 4 * 3)
    assert run.task.config == config.task
    assert run.engine == "mujoco"


def test_it_may_be_judged_on_another_task_of_the_same_kind(run_folder: Path):
    run = load_run(run_folder, task="quadrotor-figure-eight-10s")
    assert run.task.config.figure_eight_s == 10.0
    assert run.config.task.figure_eight_s is None
    with pytest.raises(ValueError, match=r"the policy reads 'actor' as .*146.*, the task .* has .*161"):
        load_run(run_folder, task="quadruped")
    with pytest.raises(ValueError, match=r"unknown task 'walk'; there are: .*quadrotor"):
        load_run(run_folder, task="walk")


def rewritten(run_folder: Path, folder: Path, **changes: object) -> Path:
    """The run with other facts."""
    tensors, facts = load_checkpoint(run_folder / CHECKPOINT)
    save_checkpoint(folder / CHECKPOINT, tensors, facts | changes)
    return folder


def test_another_robot_than_it_was_trained_on_is_refused_everywhere(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its mass, where it stands, what may differ: whatever a simulation has of it."""
    Trainer(small()).save(tmp_path)
    robot = ROBOTS["crazyflie"]
    stands = {"stand": replace(robot.stances["stand"], height=0.1)}
    body = robot.variations[0]
    weighs = replace(body.parameters[0], maximum=(9.0,))
    monkeypatch.setattr(type(body), "parameters", (weighs, *body.parameters[1:]))
    lag = replace(robot.actuators[0], actuators=("a", "b", "c", "d"))  # pyright: ignore[reportCallIssue]
    renamed = replace(robot, actuators=(lag,))
    assert robot_digest(renamed) != robot_digest(robot), "what a part is made of counts, not only what may vary"
    for changed in (replace(robot, mass=1.0), replace(robot, stances=stands), robot):
        monkeypatch.setitem(ROBOTS._loaded, "crazyflie", changed)
        for opened in (load_run, Trainer.resume):
            with pytest.raises(ValueError, match="crazyflie is not the one that it was trained on"):
                opened(tmp_path)


def test_robots_with_parts_of_ones_own_are_the_same_from_one_process_to_the_next():
    class Legs:
        """Has no text of its own: its address would be in it."""

        parameters = ()

    digests = {robot_digest(replace(ROBOTS["crazyflie"], variations=(Legs(),))) for _ in range(2)}  # pyright: ignore
    assert len(digests) == 1


def test_a_policy_of_another_shape_is_refused_with_its_revision(run_folder: Path, tmp_path: Path):
    config = load_checkpoint(run_folder / CHECKPOINT)[1]["config"]
    config["policy"]["actor"] = [16, 17]
    with pytest.raises(CheckpointError, match="revision 0123abc wrote it"):
        load_run(rewritten(run_folder, tmp_path, config=config, code_revision="0123abc"))


def test_an_unknown_key_of_an_old_run_is_named(run_folder: Path, tmp_path: Path):
    config = load_checkpoint(run_folder / CHECKPOINT)[1]["config"]
    config["task"]["gravity"] = 9.81
    with pytest.raises(ValueError, match="task: unknown key gravity; valid are exactly: episode_steps"):
        load_run(rewritten(run_folder, tmp_path, config=config))


def test_a_folder_without_a_run_is_said_so(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_run(tmp_path)
