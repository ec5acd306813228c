"""What a person is told of a busy machine, and how busy it is found to be."""

from __future__ import annotations

import pytest

from isthmus_deploy.timing.machine_load import MachineLoad, machine_load, runnable


@pytest.mark.parametrize(("enough", "too_much", "cores"), [(1.5, 1.6, 2), (7.5, 7.6, 8)])
def test_real_time_wants_half_a_core(enough: float, too_much: float, cores: int):
    assert MachineLoad(others=enough, cores=cores).real_time_note() is None
    note = MachineLoad(others=too_much, cores=cores).real_time_note()
    assert note is not None
    assert f"{too_much} threads" in note
    assert f"{cores} cores" in note


@pytest.mark.parametrize(("enough", "too_much", "cores"), [(0.5, 0.6, 2), (2.0, 2.1, 8)])
def test_a_speed_wants_three_quarters_of_the_cores(enough: float, too_much: float, cores: int):
    assert MachineLoad(others=enough, cores=cores).speed_note() is None
    assert f"{too_much} threads" in (MachineLoad(others=too_much, cores=cores).speed_note() or "")


def test_the_load_is_the_mean_of_some_looks_without_ones_own_threads():
    counts, waited = iter([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), []
    load = machine_load(own=2, look=lambda: next(counts), wait=waited.append)
    assert load.others == pytest.approx((0 + 0 + 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8) / 10)
    assert sum(waited) == pytest.approx(0.2)
    assert load.cores >= 1


def test_whoever_looks_is_running():
    assert runnable() >= 1
