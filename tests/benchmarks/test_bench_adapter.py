"""stable-baselines3 is told the same as gymnasium: where an episode ended, how, and with what in sight."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
FALLING, HOVERING = -1.0, 0.334


@pytest.fixture(scope="module")
def adapter() -> Any:
    """The benchmark, where stable-baselines3 is installed."""
    pytest.importorskip("stable_baselines3", reason="not installed; `make bench-adapter` does that")
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module("adapter")
    sys.path.remove(BENCHMARKS)


def ends(adapter: Any, action: float, steps: int) -> tuple[np.ndarray, list[dict[str, Any]], np.ndarray]:
    """The first ends of four worlds that all do the same, what is told of them, and the observations then."""
    env = adapter.AdapterVecEnv(adapter.quadrotors(4, steps))
    env.seed(3)
    env.reset()
    for _ in range(steps):
        observations, _, dones, infos = env.step(np.full((4, 4), action, np.float32))
        if dones.any():
            break
    return dones, infos, observations


def test_a_failure_is_no_timeout_and_its_last_observation_is_told(adapter: Any):
    dones, infos, observations = ends(adapter, FALLING, 100)
    for world, (done, info) in enumerate(zip(dones, infos, strict=True)):
        assert bool(info) is bool(done)
        if done:
            assert info["TimeLimit.truncated"] is False
            assert np.abs(info["terminal_observation"][:3]).max() == pytest.approx(0.6)
            assert np.abs(observations[world, :3]).max() <= 0.25


def test_out_of_time_is_told(adapter: Any):
    dones, infos, _ = ends(adapter, HOVERING, 5)
    assert dones.all()
    assert all(info["TimeLimit.truncated"] for info in infos)


def test_the_curriculum_goes_as_in_our_own_training(adapter: Any):
    """Nothing at first, half of where it goes after half of the share that it takes, and no further at the end."""
    worlds = adapter.quadrotors(2, 10)
    curriculum = adapter.Curriculum(worlds, steps=1000)
    ours = adapter.default_config("quadrotor")
    for steps, share in ((0, 0.0), (500 * ours.curriculum_share, 0.5), (1000, 1.0)):
        curriculum.num_timesteps = steps
        curriculum._on_rollout_start()
        assert worlds._env.progress == pytest.approx(share * ours.curriculum_end)
