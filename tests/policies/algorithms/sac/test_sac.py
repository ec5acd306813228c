"""The algorithm as the trainer sees it: it learns, goes on bit for bit, and its policy is exported like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from signs import GROUPS, Signs

from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.sac import COPIES, SAC, world_bytes
from isthmus_policies.export.export import export_run
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.networks.squashed import SquashedActorCritic, SquashedConfig
from isthmus_policies.training.checkpoint import CHECKPOINT, CheckpointError, load_checkpoint
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import Trainer

SMALL = SquashedConfig(actor=(16,), critic=(16,))
TINY = SACConfig(collect_steps=2, update_ratio=0.1, batch_size=16, replay_steps=40, warm_up=64, n_step=3)


def learned(policy: SquashedConfig, iterations: int, worlds: int = 32, **config: object) -> SAC:
    """SAC in worlds in which the action's first number should be a sign."""
    torch.manual_seed(0)
    settings = {"collect_steps": 4, "update_ratio": 0.125, "batch_size": 64, "replay_steps": 200, "warm_up": 256}
    settings |= {"gamma": 0.5, "learning_rate": 1e-2, "initial_temperature": 0.1, "n_step": 1} | config
    made = SquashedActorCritic(GROUPS, 2, policy)
    sac = SAC(Signs(worlds), made, SACConfig(**settings), torch.Generator().manual_seed(1))  # pyright: ignore
    for i in range(iterations):
        sac.collect()
        sac.update(i / iterations)
    return sac


@torch.no_grad()
def error(sac: SAC) -> float:
    """Mean distance of the mean action from the sign."""
    observations = sac.env.reset()
    action, _ = sac.policy.act(observations, {}, {})
    return float((action[:, 0] - observations["critic"][:, 0]).abs().mean())


def test_it_learns_from_vectors():
    assert error(learned(replace(SMALL, actor_groups=("critic",)), 1)) > 0.7
    assert error(learned(replace(SMALL, actor_groups=("critic",)), 15)) < 0.3


def test_it_learns_with_several_steps_and_many_critics():
    assert error(learned(replace(SMALL, actor_groups=("critic",), critics=4), 15, n_step=3)) < 0.4


def test_an_actor_learns_from_images_what_the_critics_know():
    """The sign is at the bright side of the image; the critics read it as a number."""
    seeing = replace(SMALL, actor_groups=("image",), image=CnnConfig(patch=2, overlap=0, channels=(4,)))
    assert error(learned(seeing, 15, image_shift=0)) < 0.4


def test_at_first_actions_are_random_and_nothing_is_learned():
    sac = learned(replace(SMALL, actor_groups=("critic",)), 1, warm_up=1000)
    before = sac.learner.actor.whole.detach().clone()
    sac.collect()
    assert sac.update(0.0) == {"replay/transitions": 256.0}
    assert torch.equal(sac.learner.actor.whole, before)
    action = sac.replay._kept["action"][:8]
    assert float(action.std()) == pytest.approx(3**-0.5, abs=0.05)


def test_as_many_gradient_steps_are_made_as_asked_for():
    sac = learned(replace(SMALL, actor_groups=("critic",)), 3, worlds=8, update_ratio=0.5, warm_up=32)
    assert sac.gradient_steps == 16
    assert sac.learner.steps == 3 * 16
    with pytest.raises(ValueError, match=r"8 worlds x 4 collect_steps x update_ratio 0.01 are less than one gradient"):
        learned(SMALL, 0, worlds=8, update_ratio=0.01)


def test_normalisers_take_in_what_was_seen():
    sac = learned(replace(SMALL, actor_groups=("critic",)), 5)
    for name, normalizer in sac.policy.normalizers():
        seen = sac.replay.last(20)[name].double()
        torch.testing.assert_close(normalizer.mean, seen.mean(0))
        assert float(normalizer.count) == 20 * 32


def test_another_policy_is_refused():
    plain = ActorCritic(GROUPS, 2, ActorCriticConfig())
    for refusing in (
        lambda: SAC(Signs(), plain, SACConfig(), torch.Generator()),  # pyright: ignore
        lambda: world_bytes(plain, GROUPS, 2, SACConfig()),
    ):
        with pytest.raises(ValueError, match="without memory, such as --policy squashed, this is a ActorC"):
            refusing()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n_step": 0}, "n_step must be at least 1, got 0"),
        ({"update_ratio": 0.0}, "update_ratio and initial_temperature must be above 0"),
        ({"temperature": -0.1}, "temperature must be at least 0, or None to learn it; got -0.1"),
        ({"n_step": 9, "replay_steps": 8}, "n_step 9 and collect_steps 4 must be at most the 8 replay_steps"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(changes: dict, told: str):
    with pytest.raises(ValueError, match=told):
        SACConfig(**changes)


def test_memory_counts_the_replay():
    """A world's step: 2 + 3 numbers of float32, 8 x 8 x 3 of uint8, the action and the reward, two flags."""
    policy = SquashedActorCritic(GROUPS, 2, SquashedConfig(actor_groups=("actor", "image")))
    assert world_bytes(policy, GROUPS, 2, SACConfig(replay_steps=9)) == COPIES * 10 * (4 * 5 + 192 + 4 * 3 + 2)


# In the trainer
# ---------------------------------------------------------------------------------------------------------------------
def configured(small: Callable[..., TrainConfig], **changes: object) -> TrainConfig:
    values = {"policy_name": "squashed", "policy": SMALL, "algorithm_name": "sac", "algorithm": TINY, "num_envs": 16}
    return small(**{**values, "episode_steps": 15, **changes})


def run(trainer: Trainer, iterations: int) -> list[dict[str, float]]:
    return [{k: v for k, v in trainer.iterate().items() if k != "seconds"} for _ in range(iterations)]


@pytest.mark.parametrize("engine", ["analytic", "mujoco"])
def test_a_resumed_run_is_the_uninterrupted_run(small: Callable[..., TrainConfig], tmp_path: Path, engine: str):
    """The ring has been round by then, episodes were cut, and the actor learns in every other step."""
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    config = configured(small, engine=engine, algorithm=replace(TINY, replay_steps=10, actor_every=2))
    whole = Trainer(config)
    rows = run(whole, 12)
    whole.save(tmp_path / "whole")
    interrupted = Trainer(config)
    run(interrupted, 7)
    interrupted.save(tmp_path / "part")
    run(interrupted, 1)
    torch.rand(11)
    resumed = Trainer.resume(tmp_path / "part")
    assert run(resumed, 5) == rows[7:]
    resumed.save(tmp_path / "part")
    (first, _), (second, _) = (load_checkpoint(tmp_path / name / CHECKPOINT) for name in ("whole", "part"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert set().union(*rows) | {"seconds"} == set(whole.columns)


def test_a_truncated_checkpoint_is_named(small: Callable[..., TrainConfig], tmp_path: Path):
    trainer = Trainer(configured(small))
    run(trainer, 1)
    trainer.save(tmp_path)
    content = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        Trainer.resume(tmp_path)


def test_where_worlds_cannot_be_kept_their_episodes_are_cut(
    small: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainer = Trainer(configured(small))
    run(trainer, 3)
    monkeypatch.setattr(Trainer, "keeps_worlds", False)
    trainer.save(tmp_path)
    resumed = Trainer.resume(tmp_path)
    sac = resumed.algorithm
    assert isinstance(sac, SAC)
    sac.env.engine.capabilities -= {"snapshots"}
    sac.load_state_dict({k.removeprefix("algorithm."): v for k, v in load_checkpoint(tmp_path / CHECKPOINT)[0].items()})
    newest = sac.replay.taken - 1
    assert bool((sac.replay._kept["truncated"][newest] | sac.replay._kept["terminated"][newest]).all())
    begun = sac.replay.newest()["actor"]
    assert not torch.equal(begun, trainer.algorithm.replay.newest()["actor"])  # pyright: ignore


@pytest.mark.long  # torch's exporter takes ten seconds to be imported
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own
def test_its_policy_is_exported_like_any_other(small: Callable[..., TrainConfig], tmp_path: Path):
    trainer = Trainer(configured(small))
    run(trainer, 4)
    trainer.save(tmp_path)
    export_run(tmp_path, tmp_path / "policy.onnx", episodes=4)
    assert (tmp_path / "policy.onnx").stat().st_size > 1000
