"""A training whose episodes begin elsewhere: recorded, configured, refused and gone on with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.demonstrate import transitions
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.files import plain
from isthmus_policies.networks.squashed import SquashedConfig
from isthmus_policies.starts.config import LevelsConfig, StartsConfig
from isthmus_policies.starts.files import read_snapshots, write_snapshots
from isthmus_policies.starts.making import make_starts
from isthmus_policies.starts.record import Options, main, record
from isthmus_policies.training.checkpoint import CheckpointError
from isthmus_policies.training.config import TrainConfig, config_from_json, default_config
from isthmus_policies.training.options import parse
from isthmus_policies.training.trainer import Trainer
from isthmus_policies.training.worlds import make_task
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.engines import make_engine
from isthmus_sim.tasks import TASKS

Small = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def snapshots(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """States of the small run: look, do not touch."""
    file = tmp_path_factory.mktemp("starts") / "snapshots.safetensors"
    told = record(Options(run=run_folder, file=file, snapshots=64, worlds=16, every=3))
    assert "64 snapshots of hover in the engine analytic" in told
    return file


def trained(config: TrainConfig, iterations: int) -> Trainer:
    trainer = Trainer(config)
    for _ in range(iterations):
        trainer.iterate()
    return trainer


def sac(small: Small, **changes: object) -> TrainConfig:
    algorithm = SACConfig(replay_steps=64, warm_up=64, batch_size=32, update_ratio=0.05)
    policy = SquashedConfig(actor=(16,), critic=(16,))
    return replace(small(), algorithm_name="sac", policy_name="squashed", algorithm=algorithm, policy=policy, **changes)


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
@pytest.mark.parametrize("strategy", ["snapshots", "archive"])
def test_a_run_goes_on_bit_for_bit(small: Small, snapshots: Path, tmp_path: Path, algorithm: str, strategy: str):
    chosen = {"snapshots": StartsConfig(snapshots=snapshots, fades_after=3000),
              "archive": StartsConfig(archive=True, cells={"position": 0.2})}  # fmt: skip
    make = small if algorithm == "ppo" else lambda **changes: sac(small, **changes)
    config = make(starts=chosen[strategy], episode_steps=20)
    whole, half = trained(config, 4), trained(config, 2)
    half.save(tmp_path)
    again = Trainer.resume(tmp_path)
    for _ in range(2):
        again.iterate()
    assert bool(again.env.elsewhere.any())
    assert not bool(again.env.elsewhere.all())
    ours, theirs = whole.policy.state_dict(), again.policy.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    ours, theirs = whole.env.state_dict(), again.env.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_run_whose_snapshots_have_changed_is_refused(small: Small, run_folder: Path, tmp_path: Path):
    file = tmp_path / "s.safetensors"
    record(Options(run=run_folder, file=file, snapshots=16, worlds=16))
    trained(small(starts=StartsConfig(snapshots=file)), 1).save(tmp_path)
    record(Options(run=run_folder, file=file, snapshots=16, worlds=16, seed=1))
    with pytest.raises(ValueError, match="have changed since the run was begun"):
        Trainer.resume(tmp_path)


def test_evaluation_begins_where_the_task_lets_it(small: Small, snapshots: Path):
    """The same weights do the same, however the run's episodes began."""
    config = small(starts=StartsConfig(snapshots=snapshots, share=1.0))
    results = []
    for each in (config, small()):
        trainer = Trainer(each)
        results.append(evaluate(trainer.task, lambda env, t=trainer: NetworkRunner(t.policy, env), 8, 1).total_reward)
    assert results[0] == results[1]


def test_snapshots_of_other_worlds_are_refused_with_the_lines_that_differ(small: Small, snapshots: Path):
    config = small()
    task = make_task(config)
    read_snapshots(snapshots, task, "analytic")
    with pytest.raises(ValueError, match=r"engine: 'analytic', here 'mujoco'$"):
        read_snapshots(snapshots, task, "mujoco")
    lower = make_task(replace(config, task=replace(config.task, position_limit=0.123)))
    with pytest.raises(ValueError, match=r"config.position_limit: [0-9.]+, here 0.123$"):
        read_snapshots(snapshots, lower, "analytic")
    other = make_task(default_config("push_t"))
    with pytest.raises(ValueError, match=r"than these: task: 'hover', here 'push_t'$"):
        read_snapshots(snapshots, other, "analytic")
    mended = make_task(replace(config, robot=None))
    mended.robot = replace(mended.robot, control_period_s=0.011)
    with pytest.raises(ValueError, match=r"than these: robot: '[0-9a-f]{64}', here '[0-9a-f]{64}'$"):
        read_snapshots(snapshots, mended, "analytic")
    earns = make_task(replace(config, task=replace(config.task, reward=replace(config.task.reward, survival=9.0))))
    read_snapshots(snapshots, earns, "analytic")  # what is earned is nothing that a state depends on


def test_files_that_are_none_are_refused(snapshots: Path, run_folder: Path, tmp_path: Path):
    task = make_task(default_config("quadrotor"))
    with pytest.raises(CheckpointError, match=r"format 'isthmus.checkpoint.2', expected 'isthmus.snapshots.1'"):
        read_snapshots(run_folder / "checkpoint.safetensors", task, "analytic")
    (tmp_path / "half").write_bytes(snapshots.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_snapshots(tmp_path / "half", task, "analytic")
    with pytest.raises(FileNotFoundError, match="--snapshots"):
        read_snapshots(tmp_path, task, "analytic")


def test_a_dataset_of_transitions_keeps_snapshots_when_asked(small: Small, run_folder: Path, tmp_path: Path):
    """One for each of its steps."""
    told = transitions.record(
        transitions.Options(run=run_folder, dataset=tmp_path / "shown", episodes=4, snapshots=True)
    )
    steps = int(told.split("episodes, ")[1].split()[0])
    config = small(starts=StartsConfig(snapshots=tmp_path / "shown", share=1.0))
    kept = read_snapshots(tmp_path / "shown", make_task(config), "analytic")
    assert len(kept["episode_step"]) == steps
    assert sorted(kept["episode_step"].tolist())[:5] == [0, 0, 0, 0, 1]
    trainer = trained(config, 1)
    assert bool(trainer.env.elsewhere.all())


def test_an_engine_without_snapshots_is_refused_by_its_name(snapshots: Path):
    task = make_task(default_config("quadrotor"))
    engine = make_engine(task.scene, 2, "analytic")
    engine.capabilities = frozenset()
    with pytest.raises(UnsupportedError, match="the engine 'bare' has no snapshots"):
        make_starts(StartsConfig(snapshots=snapshots), task, engine, "bare")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"share": 1.5}, "starts.share is a share"),
        ({"fades_after": 0}, "fades_after must be at least 1"),
        ({"archive": True, "snapshots": Path("x")}, "choose one"),
        ({"cells": {"position": 1.0}}, "ask for --starts.archive"),
        ({"archive": True, "cells": {"position": 0.0}}, "are above 0"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, told: str):
    with pytest.raises(ValueError, match=told):
        StartsConfig(**changes)


def test_an_archive_says_which_quantities_there_are(small: Small):
    with pytest.raises(ValueError, match=r"made of nothing of the task 'hover'.*there are: position, orientation"):
        Trainer(small(starts=StartsConfig(archive=True)))
    with pytest.raises(ValueError, match="made of place of the task"):
        Trainer(small(starts=StartsConfig(archive=True, cells={"place": 1.0})))


def test_levels_need_a_task_that_says_what_makes_it_hard(small: Small):
    with pytest.raises(ValueError, match=r"'hover' does not declare.*--levels.sampler alp-gmm"):
        Trainer(small(levels=LevelsConfig(sampler="alp-gmm")))
    with pytest.raises(ValueError, match="window must be at least 20"):
        LevelsConfig(window=5)


@pytest.mark.parametrize("sampler", ["alp-gmm", "prioritised"])
def test_a_run_with_levels_goes_on_bit_for_bit(tmp_path: Path, sampler: str):
    config = replace(
        default_config("reach_cube", "mlp"), robot="so101", num_envs=16, seed=3, episode_steps=4,
        levels=LevelsConfig(sampler=sampler, window=20),  # pyright: ignore
        task=replace(TASKS["reach_cube"].config, graded=True, visuals=None),
        algorithm=PPOConfig(num_steps=8, minibatches=2),
    )  # fmt: skip
    config = replace(config, policy=replace(config.policy, actor_groups=("actor", "cube"), actor=(8,), critic=(8,)))
    whole, half = trained(config, 6), trained(config, 3)
    half.save(tmp_path)
    again = Trainer.resume(tmp_path)
    for _ in range(3):
        again.iterate()
    ours, theirs = whole.env.state_dict(), again.env.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert any(name.startswith("levels.") for name in ours)
    radius = (whole.env.state["cube_position"][:, :2] - torch.tensor([0.0388, 0.0])).norm(dim=-1)
    asked = 0.14 + 0.1 * whole.env.graded[:, 0]
    torch.testing.assert_close(radius, asked, atol=0.01, rtol=0)


def test_the_command_line_and_the_runs_files_say_how_episodes_begin(snapshots: Path):
    asked = ["quadrotor", "--starts.snapshots", str(snapshots), "--starts.share", "0.3", "--starts.fades-after", "9000"]
    config = parse(asked).config
    assert config.starts == StartsConfig(snapshots=snapshots, share=0.3, fades_after=9000)
    assert config_from_json(json.loads(json.dumps(plain(config)))) == config
    asked = ["quadrotor", "--starts.archive", "--starts.cells", "position", "0.1", "--levels.window", "99"]
    config = parse(asked).config
    assert (config.starts.cells, config.levels.window) == ({"position": 0.1}, 99)


def test_runs_from_before_are_read(small: Small):
    told = plain(small())
    del told["starts"], told["levels"]
    assert config_from_json(told) == small()


def test_the_command_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["record", str(tmp_path), str(tmp_path / "s")])
    with pytest.raises(SystemExit, match=r"starts.record: no checkpoint"):
        main()


def test_writing_joins_what_was_taken(small: Small, snapshots: Path, tmp_path: Path):
    task = make_task(small())
    kept = read_snapshots(snapshots, task, "analytic")
    assert write_snapshots(tmp_path / "twice", [kept, kept], task, "analytic") == 128
    twice = read_snapshots(tmp_path / "twice", task, "analytic")
    assert torch.equal(twice["engine.state"][64:], kept["engine.state"])
