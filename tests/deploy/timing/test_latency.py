"""How late readings reach commands, and when that stops a robot."""

from __future__ import annotations

import dataclasses

import pytest

from isthmus_deploy.timing.latency import SensorLatency, allowed_latency_s

MS = 1_000_000


def run(latencies_ms: list[float], every_ms: int = 10) -> str | None:
    """What is wrong after commands every 10 ms on readings that are so late; 25 ms are allowed."""
    sensor = SensorLatency("imu", 0.025, 0.0)
    for index, latency in enumerate(latencies_ms):
        now = 10**15 + index * every_ms * MS
        sensor.record(now - round(latency * MS), now)
    return sensor.problem(10**15 + (len(latencies_ms) - 1) * every_ms * MS)


def test_a_sensor_that_is_always_late_is_a_fault_after_a_fifth_of_a_second():
    assert run([30.0] * 20) is None
    assert run([1.0] + [30.0] * 21) == (
        "imu: for 0.2 s no reading came to a command within 25 ms, the fastest took 30 ms (trained for 0 ms)"
    )


def test_a_latency_that_grows_is_a_fault():
    growing = [0.5 * index for index in range(100)]  # 50 ms a second
    assert run(growing[:60]) is None
    assert run(growing[:75]) is not None


@pytest.mark.parametrize("period", [2, 7, 15])
def test_a_busy_machine_that_delays_most_readings_is_none(period: int):
    assert run([3.0 if index % period == 0 else 90.0 for index in range(300)]) is None


def test_a_slow_sensor_is_judged_by_several_readings():
    assert run([40.0] * 19, every_ms=100) is None
    assert run([40.0] * 20, every_ms=100) is not None


def test_what_this_machine_was_late_by_is_not_the_sensors():
    sensor = SensorLatency("imu", 0.025, 0.0)
    for index in range(100):
        sensor.record(10**15 + (index * 10 - 60) * MS, 10**15 + index * 10 * MS, 40 * MS)
    assert sensor.problem(10**15 + 1000 * MS) is None
    assert sensor.histogram.percentile_ns(50) >= 60 * MS, "it is late all the same"


def test_what_is_allowed_is_what_was_trained_and_two_periods_and_5_ms(contract):
    position, orientation, goal = contract.signals
    assert allowed_latency_s((position, goal), 0.012, 0.01) == pytest.approx(0.012 + 0.025)
    assert allowed_latency_s((position,), 0.040, 0.01) == position.max_age_s == 0.05
    trained = dataclasses.replace(orientation, trained_latency_s=0.002)
    assert allowed_latency_s((position, trained), 0.012, 0.01) == pytest.approx(0.027), "the strictest of a message"
