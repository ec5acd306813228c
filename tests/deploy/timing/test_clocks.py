"""Ages by stamps: late messages, clocks that differ, drift and are set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.timing.clocks import RunningMinimum, StampClock, WallClock

MS, S = 1_000_000, 1_000_000_000
EPOCH = 1_800_000_000 * S


class Machine:
    """A computer whose clocks a test sets, ns."""

    now = 5 * S
    ahead = EPOCH

    def clock(self) -> int:
        return self.now

    def wall(self) -> int:
        return self.now + self.ahead

    def view(self) -> WallClock:
        return WallClock(clock=self.clock, wall=self.wall)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine) -> StampClock:
    return StampClock(machine.view(), [])


def come(machine: Machine, clock: StampClock, latency: int, ahead: int) -> int:
    """A message comes 10 ms after the one before, of a sensor whose clock is `ahead` of monotonic time; its age."""
    machine.now += 10 * MS
    stamp = machine.now - latency + ahead
    clock.follow(stamp, machine.now)
    return clock.latency_ns(stamp, machine.now)


def test_where_clocks_agree_the_whole_latency_is_known(machine, clock):
    assert [come(machine, clock, late * MS, EPOCH) for late in (30, 31, 30, 70, 30)] == [
        late * MS for late in (30, 31, 30, 70, 30)
    ]
    assert clock.agrees


@pytest.mark.parametrize("hours", [-1, 1])
def test_where_they_do_not_only_what_is_later_than_the_fastest_is_known(machine, clock, hours: int):
    ahead = EPOCH + hours * 3600 * S
    assert [come(machine, clock, late * MS, ahead) for late in (30, 31, 30, 70, 28, 30)] == [
        late * MS for late in (0, 1, 0, 40, 0, 2)
    ]
    assert clock.agrees is False
    assert clock.ahead_s == pytest.approx(hours * 3600, abs=0.1)


def test_one_sensor_that_is_late_is_seen_beside_another_by_the_same_clock(machine):
    sensors: list[StampClock] = []
    odom, imu = (StampClock(machine.view(), sensors) for _ in range(2))
    for _ in range(3):
        assert come(machine, odom, 1 * MS, 77 * S) == 0
        latency = come(machine, imu, 91 * MS, 77 * S)
    assert latency == 90 * MS
    assert come(machine, StampClock(machine.view(), sensors), 91 * MS, 11 * S) == 0, "another clock"


def test_a_sensor_that_is_stamped_a_little_ahead_was_taken_now(machine, clock):
    assert come(machine, clock, -2 * MS, EPOCH) == 0
    assert clock.agrees


def test_drift_is_forgotten(machine, clock):
    latencies = [come(machine, clock, index * MS // 1000, 77 * S) for index in range(6000)]  # 100 ppm for a minute
    assert max(latencies) < 2.1 * MS, "without forgetting it would be 6"


@pytest.mark.parametrize("ahead", [EPOCH, 77 * S], ids=["agree", "do not agree"])
def test_a_sensor_whose_own_clock_is_set_forward_is_not_late(machine, clock, ahead: int):
    assert [come(machine, clock, 2 * MS, ahead) for _ in range(3)][-1] == (2 * MS if ahead == EPOCH else 0)
    ahead += 3600 * S
    assert come(machine, clock, 2 * MS, ahead) == 0
    assert come(machine, clock, 3 * MS, ahead - 3600 * S) <= 3 * MS, "it was under way"
    assert come(machine, clock, 4 * MS, ahead) == 2 * MS
    assert clock.agrees is False


def test_a_clock_that_was_set_back_begins_anew(machine, clock):
    come(machine, clock, 2 * MS, EPOCH + 3600 * S)
    clock.forget()  # as `Stamps` says
    assert come(machine, clock, 2 * MS, EPOCH) == 2 * MS
    assert clock.agrees


latencies = st.lists(st.integers(0, 300 * MS), min_size=1, max_size=60)
jumps = st.integers(-7200 * S, 7200 * S).filter(lambda jump: abs(jump) > 20 * MS + 300 * MS)


@given(latencies, st.lists(st.integers(-S, 3 * S), max_size=5), st.integers(-(10**19), 10**19))
def test_an_age_is_never_negative(late: list[int], early: list[int], ahead: int):
    machine = Machine()
    clock = StampClock(machine.view(), [])
    assert all(come(machine, clock, -by, ahead) >= 0 for by in early)
    assert all(come(machine, clock, by, ahead) >= 0 for by in late)


@given(latencies, jumps, st.integers(0, 60), st.booleans(), st.sampled_from([EPOCH, EPOCH + 5 * S]))
def test_setting_this_machines_clock_changes_no_age(late: list[int], jump: int, at: int, same: bool, ahead: int):
    """Neither where the sensor is stamped by another machine, nor where by the same."""
    ages = []
    for set_at in (len(late), at):
        machine, ages_then = Machine(), []
        clock, sensor = StampClock(machine.view(), []), ahead
        for index, by in enumerate([0, *late]):
            if index == set_at + 1:
                machine.ahead += jump
                sensor += jump if same else 0
            ages_then.append(come(machine, clock, by, sensor))
        ages.append(ages_then)
        agreed = clock.agrees
    assert ages[0] == ages[1]
    assert agreed == (ahead == EPOCH)


def test_a_clock_that_is_set_is_counted_and_one_that_is_slewed_is_not(machine):
    wall = machine.view()
    for _ in range(1000):
        machine.now += 10 * MS
        machine.ahead += 5_000  # 500 ppm
        wall.look()
    assert wall.steps == 0
    machine.ahead -= 3600 * S
    wall.look()
    assert (wall.steps, wall.set_by_ns) == (1, -3600 * S)


def test_an_interrupted_look_sees_nothing(machine):
    wall = machine.view()
    moments = iter((0, 100 * MS))  # the process slept in between
    wall._clock = lambda: machine.now + next(moments)
    wall._wall = lambda: machine.wall() + 100 * MS
    wall.look()
    assert wall.steps == 0


@given(st.lists(st.tuples(st.integers(0, 15 * S), st.integers(-100, 100)), min_size=1, max_size=50))
def test_a_running_minimum_is_of_one_to_two_windows(steps: list[tuple[int, int]]):
    minimum, now, seen = RunningMinimum(10 * S), 0, []
    for passed, value in steps:
        now += passed
        minimum.add(value, now)
        seen.append((now, value))
        assert minimum.value is not None
        assert minimum.value <= min(value for then, value in seen if now - then <= 10 * S)
        assert minimum.value in [value for _, value in seen]
