"""The control loop on a fake clock: grid, phase lock, missed readings, overruns."""

import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_deploy.timing.loop import ControlLoop, ReadingEvent, SectionTimer

PERIOD_NS = 10_000_000
SLACK_NS = 2_000_000
MS = 1_000_000


class World:
    """A clock that only waiting and working move, and a sensor whose readings arrive at given times."""

    def __init__(self, arrivals=(), work=()):
        self.now = 0
        self.arrivals = iter(arrivals)
        self.next_arrival = next(self.arrivals, None)
        self.work = iter(work)
        self.ticks = []
        self.loop = ControlLoop(period_s=0.01, tick=self.tick, wait=self.wait, clock=lambda: self.now)

    def wait(self, timeout_s):
        limit = self.now + round(timeout_s * 1e9)
        if self.next_arrival is None or self.next_arrival > limit:
            self.now = limit
            return False
        self.now = max(self.now, self.next_arrival)
        while self.next_arrival is not None and self.next_arrival <= self.now:
            self.next_arrival = next(self.arrivals, None)
        return True

    def tick(self, now_ns):
        assert now_ns == self.now
        self.ticks.append(now_ns)
        self.now += next(self.work, 0)

    def run(self, cycles):
        count = itertools.count()
        self.loop.run(lambda: next(count) < cycles)
        return self

    @property
    def spacing(self):
        return np.diff(self.ticks)


def sensor(start=3 * MS, period=PERIOD_NS, jitter=None):
    """Endless arrival times; `jitter` is a generator of offsets in nanoseconds."""
    for index in itertools.count():
        yield round(start + index * period + (next(jitter) if jitter else 0))


def normal(sigma_ns, seed=0):
    generator = np.random.default_rng(seed)
    while True:
        yield float(generator.normal(0.0, sigma_ns))


# --- a steady sensor ---


def test_ticks_come_with_the_readings():
    world = World(sensor(), work=itertools.repeat(300_000)).run(100)
    assert world.ticks == [3 * MS + index * PERIOD_NS for index in range(100)]
    loop = world.loop
    assert (loop.cycles, loop.missed_readings, loop.early_readings, loop.overruns) == (100, 0, 0, 0)
    assert loop.period_error.max_ns == 0


def test_without_readings_the_grid_never_drifts():
    world = World(work=itertools.cycle([0, 4 * MS, 9 * MS])).run(10_000)
    assert world.ticks[0] == PERIOD_NS
    assert set(world.spacing[1:]) == {PERIOD_NS}
    assert world.loop.missed_readings == 10_000


@pytest.mark.parametrize("drift", [-1e-3, 1e-3, 1e-4])
def test_a_clock_that_drifts_is_followed(drift):
    """20,000 cycles at one in a thousand are 20 periods: a grid of its own would lose the sensor 20 times."""
    period = PERIOD_NS * (1 + drift)
    world = World(sensor(period=period)).run(20_000)
    assert world.loop.missed_readings == world.loop.early_readings == 0
    assert world.ticks[-1] == round(3 * MS + 19_999 * period)


def test_a_jittering_sensor_is_followed_on_average():
    world = World(sensor(jitter=normal(0.5 * MS))).run(5_000)
    assert world.loop.missed_readings < 5
    assert world.spacing.mean() == pytest.approx(PERIOD_NS, rel=1e-3)
    assert world.spacing.min() >= PERIOD_NS / 2


@pytest.mark.parametrize("shift_ms", [-4.5, -3, 2.5, 3, 4, 5, 6, 7, 8, 9])
def test_a_sensor_that_changes_its_phase_is_found_again(shift_ms):
    before = itertools.islice(sensor(), 50)
    after = itertools.islice(sensor(start=3 * MS + round(shift_ms * MS)), 51, None)
    world = World(itertools.chain(before, after)).run(150)
    missed = world.loop.missed_readings
    assert missed <= 40
    assert world.spacing.min() >= PERIOD_NS / 2
    world.run(500)
    assert world.loop.missed_readings == missed
    assert (world.ticks[-1] - 3 * MS - shift_ms * MS) % PERIOD_NS == 0


# --- readings that are missing, early or of another rate ---


def test_a_dropped_reading_is_ticked_at_the_deadline():
    arrivals = [time for index, time in enumerate(itertools.islice(sensor(), 20)) if index != 10]
    world = World(arrivals).run(20)
    expected = [3 * MS + index * PERIOD_NS for index in range(20)]
    expected[10] += SLACK_NS
    assert world.ticks == expected
    assert world.loop.missed_readings == 1


def test_a_reading_soon_after_a_tick_triggers_no_other():
    arrivals = sorted([*itertools.islice(sensor(), 20), 3 * MS + 10 * PERIOD_NS + 4 * MS])
    world = World(arrivals).run(20)
    assert world.ticks == [3 * MS + index * PERIOD_NS for index in range(20)]
    assert world.loop.early_readings == 1


def test_a_late_reading_does_not_tick_twice():
    """The reading of cycle 10 comes 4 ms late: ticked at the deadline, and not again when it comes."""
    arrivals = [time + (4 * MS if index == 10 else 0) for index, time in enumerate(itertools.islice(sensor(), 20))]
    world = World(arrivals).run(20)
    assert len(world.ticks) == 20
    assert world.ticks[10] == 3 * MS + 10 * PERIOD_NS + SLACK_NS
    assert (world.loop.missed_readings, world.loop.early_readings) == (1, 1)


@pytest.mark.parametrize("per_period", [1.3, 2, 2.5, 3, 5, 7.7, 10])
@pytest.mark.parametrize("sigma_ms", [0.0, 0.1])
def test_a_faster_sensor_does_not_make_the_loop_faster(per_period, sigma_ms):
    world = World(sensor(period=PERIOD_NS / per_period, jitter=normal(sigma_ms * MS))).run(2_000)
    assert world.spacing.mean() == pytest.approx(PERIOD_NS, rel=2e-3)
    assert world.spacing.min() >= PERIOD_NS / 2
    if per_period in (2, 5, 10):
        assert world.loop.missed_readings == 0
        assert np.abs(world.spacing[10:] - PERIOD_NS).max() <= 12 * sigma_ms * MS


def test_a_slower_sensor_does_not_make_the_loop_slower():
    world = World(sensor(period=2 * PERIOD_NS)).run(1_000)
    assert world.loop.missed_readings == 500
    assert world.spacing.mean() == pytest.approx(PERIOD_NS, rel=1e-3)


def test_one_odd_reading_hardly_moves_the_grid():
    """A reading 3 ms early moves the next deadline by the limit of 2 % of a period, not by 10 % of the error."""
    arrivals = list(itertools.islice(sensor(), 11))
    arrivals[10] -= 3 * MS
    world = World(arrivals).run(12)
    assert world.ticks[11] == 3 * MS + 11 * PERIOD_NS + SLACK_NS - 0.02 * PERIOD_NS


# --- overruns ---


def test_an_overrun_skips_periods_and_keeps_the_phase():
    """Work of 35 ms in cycle 5 ends 3 ms after the deadline of cycle 8: cycles 6 to 8 are lost, 9 is on time."""
    work = [35 * MS if index == 5 else 0 for index in range(20)]
    world = World(sensor(), work=work).run(20)
    lost = (6, 7, 8)
    assert world.ticks == [3 * MS + index * PERIOD_NS for index in range(23) if index not in lost]
    assert (world.loop.overruns, world.loop.skipped_periods) == (1, 3)


def test_work_that_ends_before_the_next_deadline_is_no_overrun():
    work = [11 * MS if index == 5 else 0 for index in range(20)]
    world = World(sensor(), work=work).run(20)
    assert (world.loop.overruns, world.loop.skipped_periods) == (0, 0)
    assert world.ticks[6] == world.ticks[5] + 11 * MS
    assert world.ticks[7] == pytest.approx(world.ticks[5] + 2 * PERIOD_NS, abs=0.3 * MS)


@settings(deadline=None, max_examples=200)
@given(
    gaps=st.lists(st.integers(0, 4 * PERIOD_NS), min_size=1, max_size=60),
    work=st.lists(st.integers(0, 5 * PERIOD_NS) | st.just(0), min_size=60, max_size=60),
)
def test_whatever_the_sensor_and_the_work_do_the_loop_never_bursts(gaps, work):
    world = World(itertools.accumulate(gaps), work=work).run(60)
    assert world.spacing.min() >= PERIOD_NS // 2
    ticks = np.array(world.ticks)
    for periods in range(1, 60):
        shortest = (ticks[periods:] - ticks[:-periods]).min()
        assert shortest >= 0.96 * periods * PERIOD_NS - PERIOD_NS / 2 - SLACK_NS


@pytest.mark.parametrize("slack_s", [-0.001, 0.005, float("nan")])
def test_a_slack_of_half_a_period_is_refused(slack_s):
    with pytest.raises(ValueError, match="slack_s must be at least 0 and below half a period"):
        ControlLoop(period_s=0.01, tick=print, wait=bool, slack_s=slack_s)


def test_the_summary_holds_every_counter():
    loop = World(sensor()).run(10).loop
    summary = loop.summary()
    assert summary["cycles"] == 10
    assert summary["work"] == loop.work_time.summary()
    assert loop.work_time.count == loop.wait_time.count == 10
    assert loop.period_error.count == 9


def test_it_keeps_time_on_the_real_clock():
    readings, ticks, counter = ReadingEvent(), [], itertools.count()
    loop = ControlLoop(period_s=0.002, slack_s=0.0005, tick=ticks.append, wait=readings.wait)
    begin = time.monotonic_ns()
    loop.run(lambda: next(counter) < 20)
    assert len(ticks) == loop.missed_readings == 20
    assert ticks[-1] - begin >= 20 * 2_000_000
    assert (np.diff(ticks) > 0).all()


# --- the reading event ---


def test_a_reading_is_used_up_by_one_wait():
    event = ReadingEvent()
    assert not event.wait(0.0)
    event.set()
    event.set()
    assert event.wait(0.0)
    assert not event.wait(0.0)


def test_a_reading_from_another_thread_wakes_the_loop():
    event = ReadingEvent()
    thread = threading.Thread(target=event.set)
    thread.start()
    assert event.wait(10.0)
    thread.join()


# --- timing ---


def test_sections_add_up_to_the_cycle():
    times = iter([0, 1_000_000, 1_002_000, 1_005_000, 1_010_000])
    timer = SectionTimer(("read", "policy", "publish"), clock=lambda: next(times))
    timer.begin()
    for section in ("read", "policy", "publish"):
        timer.end(section)
    means = {name: summary["mean_us"] for name, summary in timer.summary().items()}
    assert means == {"read": 2.0, "policy": 3.0, "publish": 5.0}
    with pytest.raises(KeyError):
        SectionTimer(("read",), clock=lambda: 0).end("write")
