"""The same training where worlds and networks are on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.networks.actor_critic import ActorCriticConfig
from isthmus_policies.networks.averaging_estimator import AveragingEstimatorConfig
from isthmus_policies.networks.estimator import EstimatorConfig
from isthmus_policies.networks.gru import GruConfig
from isthmus_policies.training.config import default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.env import Env
from isthmus_sim.tasks import make_task

POLICIES = {
    "mlp": ActorCriticConfig(actor=(16,), critic=(16,)),
    "gru": GruConfig(actor=(16,), critic=(16,), units=8),
    "estimator": EstimatorConfig(actor=(16,), critic=(16,), estimator=(8,)),
    "averaging_estimator": AveragingEstimatorConfig(actor=(16,), critic=(16,), estimator=(8,), end=4),
}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("policy", POLICIES)
def test_a_training_goes_on_from_its_checkpoint_and_is_evaluated(policy: str, tmp_path: Path):
    config = replace(
        default_config("quadruped"), engine="warp", num_envs=64, iterations=3, episode_steps=20, policy_name=policy,
        policy=POLICIES[policy], algorithm=PPOConfig(num_steps=8, minibatches=2, symmetry=True),
    )  # fmt: skip
    trainer = Trainer(config)
    assert next(trainer.policy.parameters()).is_cuda
    for _ in range(2):
        row = trainer.iterate()
        assert 0 < row["learner/std"] < 2
    trainer.save(tmp_path)
    resumed = Trainer.resume(tmp_path)
    for name, value in trainer.policy.state_dict().items():
        assert torch.equal(resumed.policy.state_dict()[name], value)
    assert resumed.iterate()["iteration"] == 2
    task = make_task("quadruped", replace(config.task, episode_steps=10))
    result = evaluate(task, lambda env: NetworkRunner(resumed.policy, env), 16, seed=1, engine="warp")
    assert result.success[1] > 0.5, "nobody falls within 0.2 s"


@pytest.mark.parametrize("policy", POLICIES)
def test_every_tensor_of_the_learner_names_its_device(policy: str, monkeypatch: pytest.MonkeyPatch):
    """What does not is made on the default device: here one without memory, where any use together is an error."""

    def on_cpu(call: Callable) -> Callable:
        def wrapped(*args: Any, **options: Any) -> Any:
            with torch.device("cpu"):
                return call(*args, **options)

        return wrapped

    config = replace(
        default_config("quadrotor"), num_envs=16, iterations=2, episode_steps=4, policy_name=policy,
        policy=POLICIES[policy], algorithm=PPOConfig(num_steps=8, minibatches=2),
    )  # fmt: skip
    trainer = Trainer(config)
    for name in ("__init__", "reset", "step"):  # the worlds' own tensors are their own affair
        monkeypatch.setattr(Env, name, on_cpu(getattr(Env, name)))
    with torch.device("meta"):
        rows = [trainer.iterate() for _ in range(2)]
    assert rows[-1]["learner/std"] > 0
