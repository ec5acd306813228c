"""Which action belongs to which tick, whatever becomes of the chunks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.chunk_executor import ChunkError, ChunkExecutor, ExecutorConfig, NoAction


def executor(**settings) -> ChunkExecutor:
    return ChunkExecutor(ExecutorConfig(**{"horizon": 4, "execute": 2, **settings}), action_size=1)


def chunk(tick: int, horizon: int = 4) -> np.ndarray:
    """Each action is the tick that it is for."""
    return np.arange(tick, tick + horizon, dtype=np.float32)[:, None]


def infer(made: ChunkExecutor, tick: int, late: int = 0) -> None:
    made.add(made.request(tick), chunk(tick), tick + late)


def test_the_newest_chunk_is_executed_in_time():
    made = executor()
    done, asked = [], []
    for tick in range(7):
        if made.due(tick):
            asked.append(tick)
            infer(made, tick)
        done.append(float(made.action(tick)[0]))
    assert asked == [0, 2, 4, 6]
    assert done == [0, 1, 2, 3, 4, 5, 6]


@given(late=st.integers(0, 3), tick=st.integers(0, 1000))
def test_a_late_chunk_gives_the_action_of_now(late: int, tick: int):
    made = executor()
    infer(made, tick, late)
    assert made.action(tick + late) == tick + late


def test_until_a_chunk_comes_the_one_before_goes_on_and_then_nothing():
    made = executor()
    infer(made, 0)
    made.request(2)  # is lost
    assert [float(made.action(tick)[0]) for tick in (2, 3)] == [2, 3]
    with pytest.raises(NoAction, match="tick 4"):
        made.action(4)


def test_before_the_first_chunk_there_is_nothing():
    with pytest.raises(NoAction):
        executor().action(0)


def test_an_ensemble_is_the_weighted_mean_of_all_chunks():
    made = executor(strategy="ensemble", execute=1, decay=float(np.log(2)))
    for tick in range(3):
        made.add(made.request(tick), np.full((4, 1), float(tick), np.float32), tick)
    # The oldest weighs 1, then 1/2, 1/4.
    np.testing.assert_allclose(made.action(2), [(0 * 1 + 1 * 0.5 + 2 * 0.25) / 1.75])
    np.testing.assert_allclose(made.action(4), [(1 * 1 + 2 * 0.5) / 1.5])


def test_what_is_left_of_a_chunk_is_what_the_next_one_begins_near_to():
    made = executor(strategy="warm_start")
    first = made.request(0)
    made.add(first, chunk(0), 0)
    assert first.init is None
    left = made.request(2).init
    assert left is not None
    np.testing.assert_array_equal(left[:, 0], [2, 3, 3, 3])
    made.request(4)
    assert made.request(4).init is None  # nothing of it is left


def test_actions_that_are_executed_meanwhile_are_kept():
    made = executor(strategy="real_time", horizon=6, execute=2)
    made.add(made.request(0), chunk(0, 6), 1)
    assert made.expected_latency == 1
    kept = made.request(2).kept
    assert kept is not None
    assert kept[0] == 1
    assert all(a >= b for a, b in itertools.pairwise(kept))
    np.testing.assert_array_equal(kept[4:], 0)  # the chunk before had no actions for these
    # Equation 5 of Black et al. 2025: horizon 6, execute 2, delay 1, place 1: c = 3/4.
    np.testing.assert_allclose(kept[1], 0.75 * (np.exp(0.75) - 1) / (np.e - 1), rtol=1e-6)


def test_nothing_is_kept_that_the_chunk_before_does_not_have():
    """Asked at tick 4 of a chunk of 6: it has 2 more, however long the inference takes and whatever was planned."""
    made = executor(strategy="real_time", horizon=6, execute=2)
    made.add(made.request(0), chunk(0, 6), 4)
    request = made.request(4)
    assert request.init is not None
    np.testing.assert_array_equal(request.init[:2, 0], [4, 5])
    np.testing.assert_array_equal(request.kept, [1, 1, 0, 0, 0, 0])


def test_a_chunk_cannot_come_before_its_tick():
    made = executor()
    with pytest.raises(ChunkError, match="tick 5"):
        made.add(made.request(5), chunk(5), 4)
    assert made.empty


def test_no_chunk_is_used_that_should_not_be():
    made = executor()
    early, request = made.request(0), made.request(1)
    for wrong in (chunk(0)[:3], np.full((4, 1), np.nan)):
        with pytest.raises(ChunkError):
            made.add(request, wrong, 1)
    with pytest.raises(ChunkError, match="late"):
        made.add(request, chunk(1), 5)
    with pytest.raises(NoAction):
        made.action(1)
    made.add(request, chunk(1), 2)
    for again in (request, early):
        with pytest.raises(ChunkError, match="second time"):
            made.add(again, chunk(0), 2)
    assert made.action(2) == 2


def test_chunks_of_an_episode_that_is_over_are_refused():
    made = executor()
    request = made.request(0)
    infer(made, 1)
    made.reset()
    assert made.due(0)
    with pytest.raises(ChunkError, match="episode"):
        made.add(request, chunk(0), 0)
    with pytest.raises(NoAction):
        made.action(1)


def test_a_chunk_is_copied():
    made, values = executor(), chunk(0)
    made.add(made.request(0), values, 0)
    values[:] = 99
    assert made.action(1) == 1


@pytest.mark.parametrize("settings", [{"execute": 0}, {"execute": 5}, {"decay": -1.0}, {"decay": float("nan")}])
def test_settings_that_do_not_fit_are_refused(settings: dict):
    with pytest.raises(ValueError, match=r"execut|decay"):
        executor(**settings)
