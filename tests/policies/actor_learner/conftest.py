"""A small run by "sac-robot" in the pusher's task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isthmus_policies.files import write_json
from isthmus_policies.networks.squashed import SquashedConfig
from isthmus_policies.training.config import TrainConfig, default_config


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainConfig[Any, Any, Any]]:
    """The run's configuration, with changes of its algorithm's."""

    def made(**algorithm: object) -> TrainConfig[Any, Any, Any]:
        usual = default_config("push_t", algorithm="sac-robot")
        settings = {"exchange": tmp_path / "exchange", "replay_steps": 500, "batch_size": 16, "warm_up": 5}
        settings |= {"collect_steps": 5, "patience_s": 0.01} | algorithm
        small = SquashedConfig(actor=(8,), critic=(8,), critic_groups=("actor",))
        return replace(usual, policy=small, algorithm=replace(usual.algorithm, **settings))

    return made


@pytest.fixture
def run(tmp_path: Path, config: Callable[..., TrainConfig[Any, Any, Any]]) -> Callable[..., Path]:
    """The run's folder, as a learner leaves it when it begins."""

    def made(**algorithm: object) -> Path:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        write_json(folder / "config.json", config(**algorithm))
        return folder

    return made
