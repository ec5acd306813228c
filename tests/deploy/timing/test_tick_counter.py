"""Control periods of monotonic time."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.timing.tick_counter import TickCounter

PERIOD_NS = 10_000_000


def counted(*times_ns: int) -> list[int]:
    """The tick at each of these times."""
    counter = TickCounter(0.01)
    ticks = []
    for now_ns in times_ns:
        counter.count(now_ns)
        ticks.append(counter.tick)
    return ticks


def test_skipped_periods_are_counted():
    assert counted(*(5 + PERIOD_NS * period for period in (0, 1, 2, 5, 6, 106))) == [0, 1, 2, 5, 6, 106]


def test_it_says_how_many_have_passed():
    counter = TickCounter(0.01)
    assert [counter.count(PERIOD_NS * period) for period in (3, 4, 7, 7)] == [0, 1, 3, 0]


def test_a_reset_begins_again():
    counter = TickCounter(0.01)
    counter.count(0)
    counter.count(3 * PERIOD_NS)
    counter.reset()
    assert (counter.count(9 * PERIOD_NS), counter.tick) == (0, 0)


@given(phase=st.floats(-0.2, 0.2), jitter=st.lists(st.floats(-0.25, 0.25), min_size=2, max_size=50))
def test_jitter_neither_repeats_nor_skips_a_tick_wherever_in_the_period_it_falls(phase: float, jitter: list[float]):
    times = [0, *(round(PERIOD_NS * (i + 1 + phase + each)) for i, each in enumerate(jitter))]
    assert counted(*times) == list(range(len(times)))


@given(drift=st.floats(0.97, 1.03), jitter=st.floats(0.0, 0.2))
def test_a_clock_that_runs_away_is_followed_by_single_steps(drift: float, jitter: float):
    times = [round(PERIOD_NS * (i * drift + (jitter if i % 2 else 0.0))) for i in range(500)]
    ticks = counted(*times)
    assert all(abs(time / PERIOD_NS - tick) <= 1.0 for time, tick in zip(times, ticks, strict=True))
    corrections = sum(after - before != 1 for before, after in itertools.pairwise(ticks))
    assert corrections <= 500 * abs(drift - 1.0) / 0.75 + 1
