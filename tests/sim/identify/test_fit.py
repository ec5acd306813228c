"""A servo whose parameters are known is found again from its logs, with intervals that hold them."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus_sim.identify.fit import Fit, duty_gain, fit
from isthmus_sim.identify.log import ServoLog
from isthmus_sim.identify.made import made_log
from isthmus_sim.identify.servo import Bench, DivergedError, names
from isthmus_sim.identify.uncertainty import Knowledge, band, chi_square_95, know, remarks

TRUTH = {
    "torque_constant": 0.45, "resistance": 5.5, "armature": 1.5e-3, "duty_gain": 2.88e-3, "duty_curve": 0.3,
    "delay": 8e-3, "offset": 0.015, "coulomb": 0.02, "viscous": 4e-3,
}  # fmt: skip


def logs_of(*goals: str, gains: tuple[float, ...] = (200.0, 800.0)) -> list[ServoLog]:
    random = np.random.default_rng(4)
    return [made_log(TRUTH, "coulomb", goal, gain, random) for goal in goals for gain in gains]


@pytest.fixture(scope="module")
def learnt() -> list[ServoLog]:
    return logs_of("two_sines", "lift_and_drop")


@pytest.fixture(scope="module")
def found(learnt: list[ServoLog]) -> Knowledge:
    return know(fit(learnt, "coulomb"), Bench(learnt, "coulomb"))


def test_the_parameters_are_found_again(found: Knowledge):
    truth = np.array([TRUTH[name] for name in names("coulomb")])
    assert np.sqrt(np.mean(found.fit.residual**2)) < 2e-3, "what is left is the encoder's noise"
    assert found.contains(truth)
    for name, (low, high) in found.intervals().items():
        assert low <= found.fit.values[found.fit.names.index(name)] <= high
        assert high - low < 0.2 * abs(TRUTH[name]) + 2e-3, f"{name} is known well"


def test_another_servo_is_outside_the_region(found: Knowledge):
    other = TRUTH | {"armature": 2.5e-3}
    assert not found.contains(np.array([other[name] for name in names("coulomb")]))


def test_an_arm_that_sticks_is_found_from_far_away():
    """Whole logs of it have many places in which a fit comes to rest: of this one 30 mrad off, by whole logs alone."""
    truth = TRUTH | {
        "torque_constant": 0.2678, "resistance": 3.246, "armature": 1.24e-3, "duty_curve": 0.135, "delay": 0.0101,
        "coulomb": 0.0191, "viscous": 5.8e-3, "motor_load": 0.1447, "external_load": 0.1458,
    }  # fmt: skip
    random = np.random.default_rng(4)
    logs = [
        made_log(truth, "load", goal, gain, random)
        for goal in ("two_sines", "chirp", "lift_and_drop")
        for gain in (100.0, 800.0)
    ]
    known = know(fit(logs, "load"), Bench(logs, "load"))
    assert np.sqrt(np.mean(known.fit.residual**2)) < 1.3e-3, "what is left is the encoder's noise"
    assert known.contains(np.array([truth[name] for name in names("load")]))


def test_where_a_log_began_is_fitted_within_its_noise(found: Knowledge, learnt: list[ServoLog]):
    exact = -np.array([log.position[0] for log in learnt])  # they began at 0
    assert np.abs(found.fit.starts - exact).max() < 1e-3
    assert np.abs(exact).max() > 1e-3


def test_the_gain_of_the_duty_is_read_off_the_logs(learnt: list[ServoLog]):
    assert duty_gain(learnt) == pytest.approx(TRUTH["duty_gain"], rel=1e-3)
    assert duty_gain([*learnt, _without_duty(learnt[0])]) is None


def _without_duty(log: ServoLog) -> ServoLog:
    return ServoLog(**{**vars(log), "duty": None})


def test_what_was_not_learnt_from_is_within_the_band(found: Knowledge):
    bench = Bench(logs_of("chirp", "up_and_down"), "coulomb")
    predicted, half = band(found, bench)
    inside = np.abs(predicted - bench.measured) <= half
    assert 0.9 <= inside.mean() <= 0.995


def test_too_little_motion_is_said_with_what_would_help():
    logs = logs_of("up_and_down", gains=(200.0,))
    lines = remarks(know(fit(logs, "coulomb"), Bench(logs, "coulomb")))
    said = {line.split(":")[0]: line for line in lines}
    assert "viscous" in said, "an arm that is only held says nothing of fast friction"
    assert "what would help: lift the arm, switch the motor off, and let it swing out" in said["viscous"]


def test_a_fit_that_cannot_be_simulated_ends_in_words(learnt: list[ServoLog]):
    start = Fit(
        friction="coulomb", values=np.array([0.45, -1e-6, *[TRUTH[n] for n in names("coulomb")[2:]]]),
        fixed=frozenset(), starts=np.zeros(2), residual=np.zeros(1), jacobian=np.zeros((1, 1)),
    )  # fmt: skip
    with pytest.raises(DivergedError, match=r"two_sines_200: the simulation diverges 0\.\d\d s after its start"):
        fit(learnt, "coulomb", start)


@pytest.mark.parametrize(("n", "bound"), [(3, 7.815), (9, 16.919), (14, 23.685)])
def test_the_bound_of_the_region_is_that_of_the_tables(n: int, bound: float):
    assert chi_square_95(n) == pytest.approx(bound, rel=1e-2)
