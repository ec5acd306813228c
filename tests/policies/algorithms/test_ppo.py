"""The algorithm as the trainer sees it: it learns with every kind of policy, from every kind of group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from signs import GROUPS, Signs
from torch import Tensor

from isthmus_policies.algorithms.ppo import COPIES, PPO, world_bytes
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig, CnnPolicyConfig
from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.networks.estimator import EstimatorConfig, EstimatorPolicy
from isthmus_policies.networks.gru import GruConfig, GruPolicy
from isthmus_policies.networks.policy import Policy
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.task import Group


def learned(policy: ActorCritic, updates: int, **config: object) -> tuple[PPO, list[dict[str, float]]]:
    """PPO with a policy in these worlds, and what it logged."""
    settings = {"num_steps": 8, "epochs": 4, "minibatches": 2, "gamma": 0.5, "learning_rate": 1e-2}
    settings |= {"kl_target": (0.1, 0.05)} | config
    generator = torch.Generator().manual_seed(1)
    ppo = PPO(Signs(), policy, PPOConfig(**settings), generator)  # pyright: ignore
    rows = []
    for i in range(updates):
        ppo.collect()
        rows.append(ppo.update(i / updates))
    return ppo, rows


def error(ppo: PPO) -> float:
    """Mean distance of the mean action from the sign over a roll-out, without noise."""
    with torch.no_grad():
        ppo.learner.policy.log_std.fill_(-10.0)
    ppo.collect()
    assert ppo._rollout is not None
    return float((ppo._rollout.mean[..., 0] - ppo._rollout.observations["critic"][..., 0]).abs().mean())


def test_a_recurrent_policy_remembers_what_it_saw_and_a_plain_one_cannot():
    """Only the first of four steps shows the sign."""
    torch.manual_seed(0)
    recurrent, _ = learned(GruPolicy(GROUPS, 2, GruConfig(actor=(16,), critic=(16,), units=16, initial_std=0.5)), 15)
    assert error(recurrent) < 0.25
    plain, _ = learned(ActorCritic(GROUPS, 2, ActorCriticConfig(actor=(16,), critic=(16,), initial_std=0.5)), 15)
    assert error(plain) > 0.6, "three quarters of the steps show nothing"


def test_a_policy_learns_from_images():
    torch.manual_seed(0)
    image = CnnConfig(patch=2, channels=(8, 8))
    config = CnnPolicyConfig(actor_groups=("image",), actor=(16,), critic=(16,), initial_std=0.5, image=image)
    ppo, _ = learned(ActorCritic(GROUPS, 2, config, image=image), 10)
    assert ppo.collector._buffers["image"].dtype == torch.uint8
    assert set(ppo.collector._buffers) == {"image", "critic"}, "nobody reads the rest"
    assert error(ppo) < 0.25


def test_an_estimator_learns_what_the_robot_cannot_measure():
    """The sign, which is ±1 and so has a variance of 1: known in one step of four, nothing is in the others."""
    torch.manual_seed(0)
    config = EstimatorConfig(actor=(16,), critic=(16,), estimator=(16,), first=0, end=1, initial_std=0.5)
    policy = EstimatorPolicy(GROUPS, 2, config)
    _, rows = learned(policy, 12)
    assert rows[-1]["learner/estimate"] == pytest.approx(0.75, abs=0.06)
    seen = {"actor": torch.tensor([[1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]])}
    with torch.no_grad():
        estimate = policy.estimator(policy.actor_encoder(seen)).squeeze(-1)
    torch.testing.assert_close(estimate, torch.tensor([1.0, -1.0, 0.0]), rtol=0, atol=0.3)


def test_rows_have_the_columns_that_were_announced():
    ppo, rows = learned(EstimatorPolicy(GROUPS, 2, EstimatorConfig()), 1)
    assert tuple(rows[0]) == ppo.columns


@pytest.mark.parametrize("kind", ["plain", "gru"])
def test_it_goes_on_bit_for_bit_from_its_state(kind: str):
    def policy() -> ActorCritic:
        torch.manual_seed(0)
        return ActorCritic(GROUPS, 2, ActorCriticConfig()) if kind == "plain" else GruPolicy(GROUPS, 2, GruConfig())

    first, _ = learned(policy(), 2)
    second, _ = learned(policy(), 0)
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    second.learner.policy.load_state_dict(first.learner.policy.state_dict())
    second.load_state_dict(saved)
    worlds, others = first.collector.env, second.collector.env
    assert isinstance(worlds, Signs)
    assert isinstance(others, Signs)
    others._generator.set_state(worlds._generator.get_state())
    others._sign = worlds._sign.clone()
    for ppo in (first, second):
        ppo.collect()
    assert first.update(0.5) == second.update(0.5)
    assert torch.equal(first.learner.parameters, second.learner.parameters)


def test_a_policy_without_a_value_is_refused():
    class Still(Policy):
        """Stands still."""

        def act(self, observations: dict, memory: dict, noise: dict) -> tuple[Tensor, dict]:
            return torch.zeros(len(observations["actor"]), 2), {}

    for refusing in (
        lambda: PPO(Signs(), Still(), PPOConfig(), torch.Generator()),  # pyright: ignore
        lambda: world_bytes(Still(), GROUPS, 2, PPOConfig()),
    ):
        with pytest.raises(ValueError, match="must be an ActorCritic, this is a Still"):
            refusing()


def test_a_policy_that_wants_noise_is_refused():
    policy = ActorCritic(GROUPS, 2, ActorCriticConfig())
    policy.noise = {"z": Group(shape=(2,))}
    with pytest.raises(ValueError, match=r"ppo explores by noise of its own .*; this policy draws z"):
        PPO(Signs(), policy, PPOConfig(), torch.Generator())  # pyright: ignore


@pytest.mark.parametrize(("policy", "rows"), [("mlp", "8 rows"), ("gru", "4 worlds")])
def test_too_few_rows_or_worlds_for_the_minibatches_are_refused(policy: str, rows: str):
    made = ActorCritic(GROUPS, 2, ActorCriticConfig()) if policy == "mlp" else GruPolicy(GROUPS, 2, GruConfig())
    with pytest.raises(ValueError, match=f"4 worlds x 2 steps have {rows} for 9 minibatches"):
        PPO(Signs(4), made, PPOConfig(num_steps=2, minibatches=9), torch.Generator())  # pyright: ignore


def test_memory_counts_each_dtype():
    """Per step: 2 + 3 float32, 8 x 8 x 3 uint8, 2 x 2 numbers of action and mean, 3 of reward and flags."""
    policy = ActorCritic(GROUPS, 2, CnnPolicyConfig(), image=CnnConfig())
    expected = COPIES * 10 * (4 * 5 + 192 + 4 * 7)
    assert world_bytes(policy, GROUPS, 2, PPOConfig(num_steps=10)) == expected
    plain = ActorCritic(GROUPS, 2, ActorCriticConfig())
    assert world_bytes(plain, GROUPS, 2, PPOConfig(num_steps=10)) == expected - COPIES * 10 * 192


def test_it_learns_to_fly(small: Callable[..., TrainConfig]):
    """30 small roll-outs with the reward held at its first weights: the return per episode more than doubles."""
    ppo = PPOConfig(num_steps=32, epochs=3, minibatches=4, learning_rate=3e-3, learning_rate_range=(1e-4, 1e-2))
    policy = ActorCriticConfig(actor=(32, 32), critic=(32, 32))
    config = small(num_envs=128, iterations=30, policy=policy, algorithm=ppo)
    trainer = Trainer(replace(config, curriculum_end=0.0))
    returns = [trainer.iterate()["episode/return"] for _ in range(30)]
    early, late = sum(returns[3:9]) / 6, sum(returns[-6:]) / 6
    assert late > 2 * early, (early, late)
