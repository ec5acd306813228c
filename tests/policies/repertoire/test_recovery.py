"""The look-up tries what is most promising and takes what it has seen into account."""

from __future__ import annotations

import math

import pytest
import torch

from isthmus_policies.repertoire.archive import Archive
from isthmus_policies.repertoire.recovery import RecoveryConfig, recover


@pytest.fixture
def archive() -> Archive:
    """Ten cells in a row, the better the farther right: 0.1 to 1.0."""
    archive, along = Archive((10,), 1), torch.arange(10) / 10 + 0.05
    archive.add(along.unsqueeze(1), along.unsqueeze(1), along + 0.05)
    return archive


def test_what_still_works_is_found_at_once(archive: Archive):
    found = recover(archive, lambda cell: float(archive.quality[cell]), RecoveryConfig())
    assert (found.cells, found.best) == ([9], pytest.approx(1.0))


def test_where_one_fails_those_beside_it_are_expected_to_fail_too(archive: Archive):
    found = recover(archive, lambda cell: 0.0 if cell >= 5 else float(archive.quality[cell]), RecoveryConfig())
    assert found.cells[0] == 9
    assert found.cells[1] < 8, "not its neighbour, which was second best"
    assert found.best >= 0.4
    assert len(found.cells) < 10
    assert found.best == max(found.quality)


def test_a_trial_that_is_not_finite_counts_as_nothing_and_trials_are_limited(archive: Archive):
    found = recover(archive, lambda _: math.nan, RecoveryConfig(trials=4, enough=2.0))
    assert found.quality == [0.0] * 4


def test_the_second_trial_is_the_one_that_hand_computation_chooses():
    # Two cells beside the best: distance 0.2 and 0.8 of it. The best gives 0 instead of 1, so that of the near one
    # (prior 0.9) Matérn 5/2 at 5 ** 0.5 * 0.2 / 0.4 = 1.118 takes 0.828 away, of the far one (0.5) at 4.472 0.139.
    archive = Archive((10,), 1)
    places = torch.tensor([[0.05], [0.25], [0.85]])
    archive.add(places, places, torch.tensor([1.0, 0.9, 0.5]))
    found = recover(archive, lambda cell: {0: 0.0, 2: 0.9, 8: 0.5}[cell], RecoveryConfig())
    assert found.cells == [0, 8]
    assert found.best == 0.5
