"""A run repeats bit for bit from its seed, and goes on bit for bit from its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isthmus_policies.networks.actor_critic import ActorCriticConfig
from isthmus_policies.networks.averaging_estimator import AveragingEstimatorConfig
from isthmus_policies.networks.estimator import EstimatorConfig
from isthmus_policies.networks.gru import GruConfig
from isthmus_policies.networks.policy import Policy
from isthmus_policies.training.checkpoint import CHECKPOINT, CheckpointError, load_checkpoint
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.logs import Log
from isthmus_policies.training.trainer import Trainer

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


POLICIES = {
    "mlp": ActorCriticConfig(actor=(16, 16), critic=(16, 16)),
    "gru": GruConfig(actor=(16,), critic=(16,), units=8),
    "estimator": EstimatorConfig(actor=(16,), critic=(16,), estimator=(8,), first=12, end=15),
    "averaging_estimator": AveragingEstimatorConfig(actor=(16,), critic=(16,), estimator=(8,), first=12, end=15),
}


@pytest.mark.parametrize(
    ("task", "engine", "policy"),
    [
        ("quadrotor", "analytic", "mlp"),
        ("quadrotor-randomized", "mujoco", "mlp"),
        ("quadrotor", "analytic", "gru"),
        ("quadrotor", "analytic", "estimator"),
        ("quadrotor", "analytic", "averaging_estimator"),
    ],
)
def test_a_resumed_run_is_the_uninterrupted_run(small: Small, tmp_path: Path, task: str, engine: str, policy: str):
    """Weights, optimiser, normalisers, worlds, memories, delays, random states, learning rate: all of it, bit for
    bit."""
    config = small(task, engine=engine, seed=3, policy_name=policy, policy=POLICIES[policy])
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


def test_a_finished_run_goes_on_with_more_iterations(small: Small, tmp_path: Path):
    trainer = Trainer(small(iterations=2))
    run(trainer, 2)
    trainer.save(tmp_path)
    longer = Trainer.resume(tmp_path, replace(trainer.config, iterations=4, checkpoint_every=1))
    assert (longer.iteration, longer.steps, longer.config.iterations) == (2, 2 * 32 * 16, 4)
    assert same(weights(longer), weights(trainer))
    assert [row["iteration"] for row in run(longer, 2)] == [2, 3]
    with pytest.raises(ValueError, match=r"cannot change seed \(0 to 1\)"):
        Trainer.resume(tmp_path, replace(trainer.config, seed=1))


def test_the_checkpoint_says_how_many_threads_made_it(small: Small, tmp_path: Path):
    for most in (1, 64):
        Trainer(small(torch_threads=most)).save(tmp_path)
        assert load_checkpoint(tmp_path / CHECKPOINT)[1]["threads"] == min(most, torch.get_num_threads())


def test_torch_has_one_thread_while_worlds_are_stepped_and_the_runs_own_while_it_learns(
    small: Small, monkeypatch: pytest.MonkeyPatch
):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen = []
        for most in (1, 2, 4):
            trainer = Trainer(small(torch_threads=most))
            for name in ("collect", "update"):
                do = getattr(trainer.algorithm, name)
                monkeypatch.setattr(
                    trainer.algorithm, name, lambda *a, do=do: seen.append(torch.get_num_threads()) or do(*a)
                )
            trainer.iterate()
        assert seen == [1, 1, 1, 2, 1, 3]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_what_cannot_be_trained_is_refused_before_any_world_is_made(small: Small, monkeypatch: pytest.MonkeyPatch):
    def no_engine(*_: object) -> None:
        pytest.fail("an engine was made")

    monkeypatch.setattr("isthmus_policies.training.trainer.make_engine", no_engine)
    with pytest.raises(ValueError, match="policy 'mlp': unknown observation group 'image'"):
        Trainer(small(policy=ActorCriticConfig(actor_groups=("image",))))
    with pytest.raises(ValueError, match="policy 'gru' takes a GruConfig, not a ActorCriticConfig"):
        Trainer(small(policy_name="gru"))
    with pytest.raises(ValueError, match="algorithm 'ppo' takes a PPOConfig, not a ActorCriticConfig"):
        Trainer(small(algorithm=ActorCriticConfig()))
    with pytest.raises(ValueError, match=r"unknown robot 'dog'; there are: .*quadruped"):
        Trainer(small(robot="dog"))


def test_a_policy_without_a_value_is_refused_before_any_world_is_made(small: Small, monkeypatch: pytest.MonkeyPatch):
    class Still(Policy):
        """Stands still."""

        def act(self, observations: dict, memory: dict, noise: dict) -> tuple[torch.Tensor, dict]:
            return torch.zeros(len(observations["actor"]), 4), {}

    monkeypatch.setattr("isthmus_policies.training.trainer.make_policy", lambda *_: Still())
    with pytest.raises(ValueError, match=r"ppo .* must be an ActorCritic, this is a Still"):
        Trainer(small())


def test_an_unknown_engine_is_named_with_those_there_are(small: Small):
    with pytest.raises(ValueError, match=r"unknown engine 'bullet'; there are: .*mujoco"):
        Trainer(small(engine="bullet"))


def test_nothing_to_go_on_from_is_said_so(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        Trainer.resume(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=CHECKPOINT):
        Trainer.resume(tmp_path)
