"""Frozen sensors, positions that drift away from their velocity, IMUs that feel gravity elsewhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import hand_made_quadrotor
import numpy as np
import pytest

from isthmus_deploy.contracts.consistency import InconsistentContract
from isthmus_deploy.safety.readings.gravity import gravity_problem
from isthmus_deploy.safety.readings.signal_guard import SignalGuard

PERIOD_S = 0.01

Change = Callable[[dict[str, np.ndarray], float], None]


class Flight:
    """Readings of a quadrotor that flies a circle of 0.5 m with 1 m/s and turns, one a control period."""

    def __init__(self, *, noise: float = 1e-3, **changed: float | None) -> None:
        limits = hand_made_quadrotor.limits()
        signals = tuple(dataclasses.replace(item, **changed) if item.max_age_s else item for item in limits.signals)
        self.guard = SignalGuard(dataclasses.replace(limits, signals=signals))
        self.random, self.noise, self.step = np.random.default_rng(3), noise, 0

    def read(self) -> dict[str, np.ndarray]:
        self.step += 1
        t = self.step * PERIOD_S
        angle, yaw = 2.0 * t, 0.7 * t
        velocity = np.array([-math.sin(angle), math.cos(angle), 0.0])
        c, s = math.cos(yaw), math.sin(yaw)
        body = np.array([c * velocity[0] + s * velocity[1], -s * velocity[0] + c * velocity[1], 0.0])
        readings = {
            "position": np.array([0.5 * math.cos(angle), 0.5 * math.sin(angle), 1.0]),
            "orientation": np.array([math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]),
            "linear_velocity": body,
            "angular_velocity": np.array([0.0, 0.0, 0.7]),
        }
        return {name: (value + self.random.normal(0, self.noise, value.shape)) for name, value in readings.items()} | {
            "reference_position": np.zeros(3),
            "reference_velocity": np.zeros(3),
        }

    def fly(self, seconds: float, change: Change = lambda readings, time_s: None) -> tuple[str | None, float]:
        """The first cause and when it came, s; None at the end."""
        for index in range(round(seconds / PERIOD_S)):
            readings = self.read()
            change(readings, index * PERIOD_S)
            cause = self.guard.check(readings, dict.fromkeys(readings, 0.0), PERIOD_S)
            if cause:
                return cause, index * PERIOD_S
        return None, seconds


def test_a_flight_is_plausible():
    assert Flight().fly(20.0)[0] is None


@pytest.mark.parametrize("signal", ["position", "orientation", "linear_velocity", "angular_velocity"])
def test_a_sensor_that_freezes_is_found_after_its_time(signal: str):
    kept = {}

    def freeze(readings: dict[str, np.ndarray], time_s: float) -> None:
        readings[signal] = kept.setdefault(signal, readings[signal])

    cause, time_s = Flight().fly(2.0, freeze)
    assert cause is not None
    assert cause.startswith(f"{signal}: frozen, the same for 0.25 s (at most 0.25 s)")
    assert time_s == pytest.approx(0.25, abs=0.011)


def test_one_element_that_moves_is_enough():
    def nearly_freeze(readings: dict[str, np.ndarray], time_s: float) -> None:
        readings["angular_velocity"][:2] = 0.0

    assert Flight().fly(2.0, nearly_freeze)[0] is None


def test_what_may_stand_still_may():
    def freeze(readings: dict[str, np.ndarray], time_s: float) -> None:
        readings["angular_velocity"][:] = 0.0

    assert Flight(max_still_s=None).fly(2.0, freeze)[0] is None
    assert "frozen" in str(Flight().fly(2.0, freeze)[0])


def test_silence_is_not_frozen():
    """The same reading, older and older, is stale when it is."""
    flight = Flight(max_age_s=0.6)
    readings = flight.read()
    for index in range(60):
        assert flight.guard.check(readings, dict.fromkeys(readings, index * PERIOD_S), PERIOD_S) is None


@pytest.mark.parametrize(("speed", "found_s"), [(2.0, 0.5), (1.0, 0.8), (0.2, None)])
def test_a_position_that_drifts_is_found(speed: float, found_s: float | None):
    def drift(readings: dict[str, np.ndarray], time_s: float) -> None:
        readings["position"][0] += speed * max(0.0, time_s - 1.0)

    cause, time_s = Flight().fly(3.0, drift)
    if found_s is None:
        assert cause is None
    else:
        assert "position and linear_velocity contradict each other" in str(cause)
        assert time_s < 1.0 + found_s


def test_a_velocity_in_other_axes_is_found():
    def swap(readings: dict[str, np.ndarray], time_s: float) -> None:
        readings["linear_velocity"][:] = -readings["linear_velocity"]

    assert "contradict" in str(Flight().fly(2.0, swap)[0])


def test_a_late_velocity_and_lost_readings_are_none():
    """A velocity of 30 ms ago, and every third message lost."""
    late: list[np.ndarray] = []

    def delay(readings: dict[str, np.ndarray], time_s: float) -> None:
        late.append(readings["linear_velocity"])
        readings["linear_velocity"] = late[max(0, len(late) - 4)]

    assert Flight(max_still_s=None).fly(10.0, delay)[0] is None


def test_a_correction_of_the_position_within_its_largest_jump_is_none():
    def correct(readings: dict[str, np.ndarray], time_s: float) -> None:
        readings["position"][1] += 0.2 if time_s > 1.0 else 0.0

    assert Flight().fly(3.0, correct)[0] is None


def test_only_a_sensors_numbers_must_not_stand_still(contract):
    signals = (*contract.signals[:2], dataclasses.replace(contract.signals[2], max_still_s=1.0))
    with pytest.raises(InconsistentContract, match=r"signals\[2\]\.max_still_s: given, but only numbers of a sensor"):
        dataclasses.replace(contract, signals=signals)


LEVEL = (1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("acceleration", "orientation", "angle"),
    [
        ((0.1, -0.2, 9.8), LEVEL, None),
        ((0.0, 0.0, -9.8), LEVEL, 180),  # upside down, or z down
        ((9.8, 0.0, 0.0), LEVEL, 90),
        ((0.0, 9.8, 0.0), (math.cos(math.pi / 4), math.sin(math.pi / 4), 0.0, 0.0), None),  # rolled to the right
        ((0.0, -9.8, 0.0), (math.cos(math.pi / 4), math.sin(math.pi / 4), 0.0, 0.0), 180),
        ((0.0, 0.0, 0.0), LEVEL, None),  # not given
        ((6.0, 0.0, 9.8), LEVEL, None),  # not at rest
    ],
)
def test_gravity_is_where_the_orientation_has_it(acceleration, orientation, angle: int | None):
    problem = gravity_problem(acceleration, orientation)
    assert problem is None if angle is None else f"gravity is {angle}° away" in str(problem)
