"""Too many worlds are refused before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.ram_budget import available_bytes, refuse_too_many_worlds
from isthmus_policies.training.trainer import Trainer


def test_what_fits_is_the_limit():
    refuse_too_many_worlds("quadrotor", 100, world_bytes=7, available=700)
    with pytest.raises(ValueError, match=r"num_envs 100: .* worlds of quadrotor needs .* at most 99 fit"):
        refuse_too_many_worlds("quadrotor", 100, world_bytes=7, available=699)


def test_a_training_that_no_machine_holds_is_refused(small: Callable[..., TrainConfig]):
    assert 2**26 < available_bytes() < 2**50
    with pytest.raises(ValueError, match="num_envs 10000000000: a training of so many worlds of quadruped needs about"):
        Trainer(small("quadruped", num_envs=10_000_000_000))
