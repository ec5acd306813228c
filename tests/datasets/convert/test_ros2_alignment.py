"""Which action stands beside which observation, where it is known what was decided on what, in every phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_bags import joints, make, write_bag

from isthmus_datasets.convert.importers.bags.capture_times import SECOND
from isthmus_datasets.convert.importers.bags.grid import Grid, make_grid
from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.convert.importers.source import ImportOptions

FPS = 50
PERIOD = SECOND // FPS


def times(rate: int, *, phase: float = 0.0, jitter: float = 0.0, seconds: float = 2.0) -> np.ndarray:
    """Of readings, ns; phase and jitter in their periods."""
    random = np.random.default_rng(0)
    count = round(rate * seconds)
    noise = jitter * random.uniform(-0.5, 0.5, count)
    return ((np.arange(count) + phase + noise) * SECOND / rate).astype(np.int64) + SECOND


def off(grid: Grid, observed: np.ndarray, decided_at: np.ndarray) -> np.ndarray:
    """By how much of a period the reading that a row's action was decided on is from the one that it observes."""
    newest = observed[grid.rows["observation.state"]]
    return np.abs(decided_at[grid.rows["action"]] - newest) / PERIOD


@settings(max_examples=60, deadline=None)
@given(latency=st.floats(0.02, 0.95), phase=st.floats(0.0, 1.0), jitter=st.floats(0.0, 0.3), camera=st.booleans())
def test_an_action_stands_beside_the_reading_that_it_was_decided_on(
    latency: float, phase: float, jitter: float, camera: bool
):
    """A policy that runs at the rate of its sensor and takes so much of a period, beside a camera in another phase."""
    state = times(FPS, jitter=jitter)
    recorded = {"observation.state": state, "action": state + int(latency * PERIOD)}
    if camera:
        recorded["observation.images.scene"] = times(30, phase=phase)
    grid = make_grid(recorded, FPS, "it")
    assert (off(grid, state, state)[2:-2] <= 0.5).all()
    assert camera or (off(grid, state, state)[1:-1] == 0).all(), "with the sensor alone it is that very one"


@settings(max_examples=40, deadline=None)
@given(
    latency=st.floats(0.02, 0.48), phase=st.floats(0.0, 1.0), rate=st.sampled_from([100, 150, 200, 500]),
    jitter=st.floats(0.0, 0.2),
)  # fmt: skip
def test_beside_a_faster_sensor_a_policy_of_its_own_clock_is_at_most_half_a_period_off(
    latency: float, phase: float, rate: int, jitter: float
):
    """When it wakes, nobody can see: at most a quarter of a period off, or one reading where these are slower. In the
    sensor's own time: its jitter is no error of the import."""
    state = times(rate, jitter=jitter)
    ticks = times(FPS, phase=phase)
    used = (np.searchsorted(state, ticks, side="right") - 1).clip(0)
    grid = make_grid({"observation.state": state, "action": ticks + int(latency * PERIOD)}, FPS, "it")
    readings = np.abs(used[grid.rows["action"]] - grid.rows["observation.state"])[2:-2]
    assert readings.max() * FPS / rate <= 0.5
    assert readings.max() <= max(1, 0.25 * rate / FPS + 1)


@settings(max_examples=40, deadline=None)
@given(latency=st.floats(0.02, 0.95), every=st.sampled_from([2, 4, 10]), noise=st.floats(0.0, 0.02))
def test_a_policy_that_waits_for_some_of_a_faster_sensors_readings_repeats_their_jitter(
    latency: float, every: int, noise: float
):
    """So it is known which they are, even where several more have come before the command."""
    state = times(every * FPS, jitter=0.4)
    used = state[every :: every][:-1]
    sent = used + (latency * PERIOD + noise * (used[0] - state[0]) * np.random.default_rng(1).uniform(size=len(used)))
    grid = make_grid({"observation.state": state, "action": sent.astype(np.int64)}, FPS, "it")
    assert (off(grid, state, used)[2:-2] == 0).all()


def test_a_policy_that_waits_for_its_camera_follows_no_faster_sensor():
    """The newest reading of that one is always near, which makes it no leader."""
    camera, imu = times(FPS, jitter=0.3), times(1000, phase=0.4, jitter=0.1)
    taken = PERIOD * np.random.default_rng(2).uniform(0.6, 0.9, len(camera))  # ns; longer than many of its readings
    recorded = {"observation.state": camera, "observation.imu": imu, "action": np.sort(camera + taken.astype(np.int64))}
    grid = make_grid(recorded, FPS, "it")
    assert (off(grid, camera, camera)[1:-1] == 0).all()


def test_a_policy_on_a_busy_machine_is_often_late():
    """Readings every 20 ms; commands 5 ms behind, but two of four 13 and 19: no jitter about a mean."""
    late = np.tile([5, 5, 13, 19], 20) * 10**6
    state = SECOND + np.arange(80) * PERIOD
    grid = make_grid({"observation.state": state, "action": state + late}, FPS, "it")
    assert len(grid.ticks) >= 79
    assert grid.rows["action"].tolist() == grid.rows["observation.state"].tolist()


def test_a_command_two_periods_late_is_its_readings_where_no_other_came_before_it():
    """At 100, 120, … ms, then none until 240; the command of 200 ms comes at 239 ms. Of 240 ms there is none."""
    state = np.array([100, 120, 140, 160, 180, 200, 240, 260, 280, 300]) * 10**6
    sent = np.array([105, 125, 145, 165, 185, 239, 265, 285, 305]) * 10**6
    grid = make_grid({"observation.state": state, "action": sent}, FPS, "it")
    beside = dict(zip(grid.rows["observation.state"].tolist(), grid.rows["action"].tolist(), strict=True))
    assert {k: beside[k] for k in (3, 4, 5, 7, 8)} == {3: 3, 4: 4, 5: 5, 7: 6, 8: 7}


def test_commands_from_before_the_first_reading_are_not_its():
    """Commands at 5, 25, … 985 ms; readings from 500 ms on, every 20 ms: command 25, at 505 ms, is the first one's."""
    sent, state = (np.arange(50) * 20 + 5) * 10**6, np.arange(500, 1000, 20) * 10**6
    grid = make_grid({"observation.state": state, "action": sent}, FPS, "it")
    assert (grid.rows["action"] - grid.rows["observation.state"]).tolist() == [25] * len(grid.ticks)


@pytest.mark.parametrize("behind_ms", [0, 300])
def test_what_was_decided_on_is_told_by_when_it_came(tmp_path: Path, behind_ms: int):
    """Reading k, stamped 20 k ms by a clock that is behind, comes 5 ms later, or 21 where k is odd: after reading k + 1
    was taken. Its command has no stamp, and comes a millisecond after it."""
    came = [20.0 * k + (21 if k % 2 else 5) for k in range(80)]
    stamped = [joints(20 * k - behind_ms, ["a"], [float(k)]) for k in range(80)]
    layout = make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
    numbers = [make("std_msgs/msg/Float64MultiArray", layout=layout, data=np.array([float(k)])) for k in range(80)]
    states = [(round(ms), message) for ms, message in zip(came, stamped, strict=True)]
    sent = [(round(ms) + 1, message) for ms, message in zip(came, numbers, strict=True)]
    bag = write_bag(
        tmp_path / "bag",
        ("/state", "sensor_msgs/msg/JointState", states),
        ("/cmd", "std_msgs/msg/Float64MultiArray", sent),
    )
    topics = {"observation.state": "/state:position", "action": "/cmd:data"}
    (episode,) = open_source(bag, ImportOptions(fps=FPS, task="count", topics=topics)).episodes
    assert episode.length > 60
    np.testing.assert_array_equal(episode.columns["action"], episode.columns["observation.state"])


def test_commands_that_come_less_often_or_pause_hold():
    state = times(FPS)
    sent = state[::5] + PERIOD // 4
    grid = make_grid({"observation.state": state, "action": sent}, FPS, "it")
    holding = sent[grid.rows["action"]] - state[grid.rows["observation.state"]]
    assert (np.diff(grid.rows["action"]) >= 0).all()
    assert np.bincount(grid.rows["action"])[1:-1].tolist() == [5] * (len(sent) - 2)
    assert holding.max() <= PERIOD * 2.5
    paused = np.concatenate([state[:20], state[60:]]) + PERIOD // 4
    grid = make_grid({"observation.state": state, "action": paused}, FPS, "it")
    assert (grid.rows["action"][25:55] == 19).all()


@pytest.mark.parametrize("latency", [0.1, 0.9])
def test_without_observations_nothing_is_moved(latency: float):
    recorded = {"state": times(FPS), "command": times(FPS, phase=latency)}
    grid = make_grid(recorded, FPS, "it")
    ages = grid.ticks - recorded["command"][grid.rows["command"]]
    assert (ages >= 0).all()
    assert (ages < PERIOD).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_commands_or_bursts_of_them_make_a_grid(count: int):
    state, burst = times(FPS, jitter=0.2), np.repeat(times(FPS, jitter=0.2)[::10], count)
    for sent in (burst[:count], burst):
        rows = make_grid({"observation.state": state, "action": sent}, FPS, "it").rows["action"]
        assert (np.diff(rows) >= 0).all()
    assert make_grid({"observation.state": np.sort(burst), "action": state}, FPS, "it").ticks.size
