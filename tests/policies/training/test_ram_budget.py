"""Too many worlds are refused before anything is made of them."""

from __future__ import annotations

import pytest

from isthmus_policies.training.ram_budget import COPIES, available_bytes, refuse_too_many_worlds, rollout_bytes
from isthmus_policies.training.trainer import TrainConfig, Trainer
from isthmus_sim.tasks import make_task


def test_what_fits_is_the_limit():
    task = make_task("quadrotor")
    each = rollout_bytes(task, horizon=16)
    assert each == 4 * 16 * (sum(group.size for group in task.groups.values()) + 2 * 4 + 3)
    refuse_too_many_worlds(task, 100, 16, available=100 * COPIES * each)
    with pytest.raises(ValueError, match=r"num_envs 100: .* at most 99 fit, fewer steps in a roll-out \(horizon 16\)"):
        refuse_too_many_worlds(task, 100, 16, available=100 * COPIES * each - 1)


def test_a_training_that_no_machine_holds_is_refused():
    assert 2**26 < available_bytes() < 2**50
    with pytest.raises(
        ValueError, match=r"num_envs 10000000000: a training of so many worlds of quadruped needs about"
    ):
        Trainer(TrainConfig(task="quadruped", num_envs=10_000_000_000))
