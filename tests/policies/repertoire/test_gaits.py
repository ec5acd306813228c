"""Gaits in simulation: one that does not move stands, and a motor without torque changes what a gait does."""

from __future__ import annotations

import pytest
import torch

from isthmus_policies.repertoire.gaits import GaitConfig, Gaits
from isthmus_sim.robots import ROBOTS


@pytest.fixture(scope="module")
def gaits() -> Gaits:
    return Gaits(ROBOTS["quadruped"], GaitConfig(seconds=1.0), worlds=4)


def test_who_does_not_move_stands_on_all_feet_where_it_was(gaits: Gaits):
    stood, forward = gaits.evaluate(torch.zeros(1, gaits.size))
    assert stood.tolist() == [pytest.approx([1.0] * 4, abs=0.1)]
    assert forward.item() == pytest.approx(0.0, abs=0.03)


def test_what_is_tried_does_not_depend_on_what_is_tried_beside_it(gaits: Gaits):
    many = 0.5 * torch.rand(6, gaits.size, generator=torch.Generator().manual_seed(0))
    stood, forward = gaits.evaluate(many)
    assert (stood.shape, forward.shape) == ((6, 4), (6,))
    alone = [gaits.evaluate(gait.unsqueeze(0)) for gait in many]
    torch.testing.assert_close(torch.cat([each[1] for each in alone]), forward, equal_nan=True)
    torch.testing.assert_close(torch.cat([each[0] for each in alone]), stood)


def test_without_torque_it_falls_and_the_next_trial_is_sound_again(gaits: Gaits):
    still = torch.zeros(1, gaits.size)
    assert gaits.evaluate(still, torch.zeros(1, 12))[1].isnan().all()
    assert gaits.evaluate(still)[1].isfinite().all()
