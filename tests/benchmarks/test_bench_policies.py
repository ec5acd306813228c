"""What the estimator of `make bench-policies` is told is what it says."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from isthmus_policies.training.config import default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.task import BaseMotion

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def bench() -> Any:
    """benchmarks/policies.py."""
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module("policies")
    sys.path.remove(BENCHMARKS)


def test_the_estimate_is_of_the_bases_velocity_and_height_and_the_feet(bench: Any):
    config = replace(default_config("quadruped"), num_envs=4)
    first, end = bench.unmeasured(config)
    trainer = Trainer(config)
    trainer.iterate()
    step = trainer.env.step(torch.zeros(4, 12))
    still_going = [world for world in range(4) if world not in step.ended.tolist()]
    state = trainer.env.state
    expected = torch.cat((BaseMotion.of(state).velocity, state["position"][:, 2:]), dim=-1)
    found = step.observations["critic"][:, first:end]
    torch.testing.assert_close(found[still_going, :4], expected[still_going])
    assert found.shape == (4, 3 + 1 + 4 + 4)
    torch.testing.assert_close(found[still_going, 8:], state["foot_position"][still_going, :, 2])


def test_arms_differ_in_what_they_know_of_the_past_alone(bench: Any):
    arms = bench.arms(bench.Options())
    assert {name: config.task.history for name, config in arms.items()} == {
        "one step": 1, "history": 3, "gru": 1, "estimator": 3,
    }  # fmt: skip
    for config in arms.values():
        assert replace(config.task, history=3) == arms["history"].task
        assert config.algorithm == arms["history"].algorithm
        assert config.policy.critic == arms["history"].policy.critic
