"""The same training where worlds and networks are on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus_policies.algorithms.ppo import PPOConfig
from isthmus_policies.evaluation.evaluate import PolicyActor, evaluate
from isthmus_policies.networks.actor_critic import NetworkConfig
from isthmus_policies.training.trainer import TrainConfig, Trainer
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks.quadruped import Quadruped, QuadrupedConfig

CONFIG = TrainConfig(
    task="quadruped",
    engine="warp",
    num_envs=64,
    iterations=3,
    episode_steps=20,
    network=NetworkConfig(actor=(16,), critic=(16,)),
    ppo=PPOConfig(horizon=8, minibatches=2, symmetry=True),
)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_a_training_goes_on_from_its_checkpoint_and_is_evaluated(tmp_path: Path):
    trainer = Trainer(CONFIG)
    assert trainer.policy.log_std.is_cuda
    for _ in range(2):
        row = trainer.iterate()
        assert 0 < row["learner/std"] < 2
    trainer.save(tmp_path)
    resumed = Trainer.resume(tmp_path)
    for name, value in trainer.policy.state_dict().items():
        assert torch.equal(resumed.policy.state_dict()[name], value)
    assert resumed.iterate()["iteration"] == 2
    task = Quadruped(QuadrupedConfig(episode_steps=10))
    result = evaluate(task, lambda env: PolicyActor(resumed.policy, env), 16, seed=1, engine="warp")
    assert result.success[1] > 0.5, "nobody falls within 0.2 s"


def test_every_tensor_of_the_learner_names_its_device(monkeypatch: pytest.MonkeyPatch):
    """What does not is made on the default device: here one without memory, where any use together is an error."""

    def on_cpu(call: Callable) -> Callable:
        def wrapped(*args: Any, **options: Any) -> Any:
            with torch.device("cpu"):
                return call(*args, **options)

        return wrapped

    ppo = PPOConfig(horizon=8, minibatches=2)
    trainer = Trainer(TrainConfig(task="quadrotor", num_envs=16, iterations=2, episode_steps=4, ppo=ppo))
    for name in ("__init__", "reset", "step"):  # the worlds' own tensors are their own affair
        monkeypatch.setattr(Env, name, on_cpu(getattr(Env, name)))
    monkeypatch.setattr("isthmus_policies.evaluation.evaluate.make_engine", on_cpu(make_engine))
    with torch.device("meta"):
        rows = [trainer.iterate() for _ in range(2)]
        result = evaluate(trainer.task, lambda env: PolicyActor(trainer.policy, env), 4, seed=1)
    assert rows[-1]["learner/std"] > 0
    assert result.episodes == 4
