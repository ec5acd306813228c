"""Small training runs that the tests of learning share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.networks.actor_critic import ActorCriticConfig
from isthmus_policies.training.config import TrainConfig, default_config
from isthmus_policies.training.trainer import Trainer


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread_again(one_thread: None) -> None:
    """Programs that a test before this one has called take two."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written into the working tree."""
    monkeypatch.chdir(tmp_path)


def _small(name: str = "quadrotor", **changes: object) -> TrainConfig:
    algorithm = PPOConfig(num_steps=16, epochs=2, minibatches=4)
    policy = ActorCriticConfig(actor=(16, 16), critic=(16, 16))
    values = {"num_envs": 32, "iterations": 6, "algorithm": algorithm, "policy": policy, "episode_steps": 100}
    return dataclasses.replace(default_config(name), **{**values, **changes})  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="session")
def small() -> Callable[..., TrainConfig]:
    """A configuration that trains in a fraction of a second."""
    return _small


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run: look, do not touch."""
    folder = tmp_path_factory.mktemp("run")
    trainer = Trainer(_small())
    for _ in range(6):
        trainer.iterate()
    trainer.save(folder)
    return folder
