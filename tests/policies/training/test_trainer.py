"""A run repeats bit for bit from its seed, and goes on bit for bit from its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isthmus_policies.networks.actor_critic import NetworkConfig
from isthmus_policies.training.checkpoint import CheckpointError, load_checkpoint
from isthmus_policies.training.logs import Log
from isthmus_policies.training.trainer import CHECKPOINT, TrainConfig, Trainer, load_policy

Small = Callable[..., TrainConfig]


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.policy.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def run(trainer: Trainer, iterations: int) -> list[dict[str, float]]:
    rows = [trainer.iterate() for _ in range(iterations)]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.mark.parametrize("engine", ["analytic", "mujoco"])
def test_the_same_seed_is_the_same_policy(small: Small, engine: str):
    trainers = [Trainer(small(engine=engine, seed=seed)) for seed in (5, 5, 6)]
    torch.rand(3)  # torch's own generator is read at the start only
    rows = [run(trainer, 3) for trainer in trainers]
    first, again, other = (weights(trainer) for trainer in trainers)
    assert same(first, again)
    assert rows[0] == rows[1]
    assert not torch.equal(first["actor.0.weight"], other["actor.0.weight"])


@pytest.mark.parametrize(("task", "engine"), [("quadrotor", "analytic"), ("quadrotor-randomized", "mujoco")])
def test_a_resumed_run_is_the_uninterrupted_run(small: Small, tmp_path: Path, task: str, engine: str):
    """Weights, optimiser, normalisers, worlds, delays, random states, learning rate: all of it, bit for bit."""
    config = small(task=task, engine=engine, seed=3)
    whole = Trainer(config)
    rows = run(whole, 6)
    whole.save(tmp_path)
    uninterrupted, facts = load_checkpoint(tmp_path / CHECKPOINT)

    interrupted = Trainer(config)
    run(interrupted, 3)
    (tmp_path / "other").mkdir()
    interrupted.save(tmp_path / "other")
    run(interrupted, 1)  # what comes after the checkpoint is lost, and leaves no trace in it
    torch.rand(11)
    resumed = Trainer.resume(tmp_path / "other")
    assert resumed.config == config
    assert resumed.iteration == 3
    assert run(resumed, 3) == rows[3:]
    resumed.save(tmp_path / "other")
    again, facts_again = load_checkpoint(tmp_path / "other" / CHECKPOINT)
    assert same(uninterrupted, again)
    assert facts | {"seconds": 0} == facts_again | {"seconds": 0}
    assert len(uninterrupted) > 40


def test_rows_have_the_columns_that_the_log_expects(small: Small, tmp_path: Path):
    trainer = Trainer(small())
    rows = [trainer.iterate() for _ in range(6)]
    assert any("episode/return" in row for row in rows)
    assert set().union(*rows) == set(trainer.columns)
    Log(tmp_path, trainer.columns, 0).close()
    assert rows[-1]["steps"] == trainer.steps == 6 * 32 * 16
    assert all(rows[i]["seconds"] < rows[i + 1]["seconds"] for i in range(5))


def test_the_curriculum_is_over_after_its_share(small: Small):
    trainer = Trainer(small(iterations=10, curriculum_share=0.5, curriculum_end=0.8))
    progress = [trainer.iterate()["progress"] for _ in range(10)]
    assert progress == pytest.approx([0.0, 0.16, 0.32, 0.48, 0.64, 0.8, 0.8, 0.8, 0.8, 0.8])


def test_a_policy_is_loaded_with_its_normalisers(small: Small, tmp_path: Path):
    trainer = Trainer(small(seed=4))
    run(trainer, 2)
    trainer.save(tmp_path)
    config, policy, facts = load_policy(tmp_path)
    rows = torch.randn(5, 146)
    with torch.no_grad():
        assert torch.equal(policy.act(rows), trainer.policy.act(rows))
    assert config == trainer.config
    assert facts["iteration"] == 2
    assert float(policy.actor_normalizer.count) == 2 * 32 * 16


def test_networks_are_as_configured_and_loaded_so(small: Small, tmp_path: Path):
    trainer = Trainer(small(network=NetworkConfig(actor=(7,), critic=(5, 3))))
    trainer.save(tmp_path)
    assert load_policy(tmp_path)[1].actor[0].weight.shape == (7, 146)


def test_bad_names_are_refused_with_the_good_ones(small: Small):
    with pytest.raises(ValueError, match="unknown task 'walk'; there are: quadrotor"):
        Trainer(small(task="walk"))
    with pytest.raises(ValueError, match="unknown engine 'bullet' for crazyflie; there are: analytic, mujoco"):
        Trainer(replace(small(), engine="bullet"))


def test_nothing_to_go_on_from_is_said_so(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        Trainer.resume(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=CHECKPOINT):
        Trainer.resume(tmp_path)
    with pytest.raises(CheckpointError, match=CHECKPOINT):
        load_policy(tmp_path)
