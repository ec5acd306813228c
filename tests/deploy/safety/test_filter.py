"""Plausibility of readings and limits of commands."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.safety.commands.filter import GoalLimiter, SafetyFilter, UnsafeCommand
from isthmus_deploy.safety.readings.signal_guard import SignalGuard

FRESH = {"joint_position": 0.0, "orientation": 0.0}
AXES = {"x": 1, "y": 2, "z": 3}


@pytest.fixture
def guard(contract):
    return SignalGuard(contract)


def turned(signals, angle, axis="z"):
    """The signals with the robot turned about one axis (rad)."""
    quaternion = np.zeros(4, np.float32)
    quaternion[0], quaternion[AXES[axis]] = np.cos(angle / 2), np.sin(angle / 2)
    return {**signals, "orientation": quaternion}


# --- guard ---


def test_plausible_readings_pass(guard, make_signals):
    for position in (0.0, 0.2, 0.1):
        assert guard.check(make_signals(position, -position), FRESH) is None


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (np.nan, "joint_position.knee: not finite (nan)"),
        (np.inf, "joint_position.knee: not finite (inf)"),
        (-np.inf, "joint_position.knee: not finite (-inf)"),
        (3.5, "joint_position.knee: 3.5 is outside [-3, 3]"),
        (-3.5, "joint_position.knee: -3.5 is outside [-3, 3]"),
    ],
)
def test_an_implausible_value_is_named(guard, make_signals, value, cause):
    assert guard.check(make_signals(0.0, value), FRESH) == cause


def test_not_a_number_is_found_in_every_signal(guard, make_signals):
    for name, value in make_signals(0.0, 0.0).items():
        wrong = value.copy()
        wrong[-1] = np.nan
        assert "not finite" in guard.check({**make_signals(0.0, 0.0), name: wrong}, FRESH)


def test_a_jump_is_found_and_the_last_accepted_reading_stays_the_reference(guard, make_signals):
    assert guard.check(make_signals(0.0, 0.0), FRESH) is None
    cause = guard.check(make_signals(0.0, 0.3), FRESH)
    assert cause == "joint_position.knee: jumped by 0.3 (at most 0.25 a period)"
    assert guard.check(make_signals(0.0, 0.3), FRESH) == cause
    assert guard.check(make_signals(0.4, 0.2), FRESH) is None


def test_the_first_reading_after_a_reset_may_be_anywhere(guard, make_signals):
    assert guard.check(make_signals(2.0, 2.0), FRESH) is None
    guard.reset()
    assert guard.check(make_signals(-2.0, -2.0), FRESH) is None


def test_a_reading_after_a_gap_may_have_moved_further(guard, make_signals):
    """Three periods lie between the two readings, so three times the jump of one period is plausible."""
    assert guard.check(make_signals(0.0, 0.0), FRESH) is None
    for age in (0.01, 0.02):
        assert guard.check(make_signals(0.0, 0.0), {**FRESH, "joint_position": age}) is None
    assert "jumped by 0.8" in guard.check(make_signals(0.0, 0.8), FRESH)
    assert guard.check(make_signals(0.0, 0.7), FRESH) is None


def test_a_reading_that_came_early_may_move_as_far_as_one_period_allows(guard, make_signals):
    """The joints come three periods after their last reading, the orientation 6 ms after its own."""
    ages = {"joint_position": 0.02, "orientation": 0.0}
    assert guard.check(turned(make_signals(0.0, 0.0), 0.0), ages) is None
    ages = {"joint_position": 0.0, "orientation": 0.004}
    assert guard.check(turned(make_signals(0.0, 0.7), 0.3), ages) is None


@pytest.mark.parametrize(
    ("ages", "cause"),
    [
        ({"joint_position": 0.051, "orientation": 0.0}, "joint_position: stale, 0.051 s old (at most 0.05 s)"),
        ({"joint_position": 0.0}, "orientation: stale, inf s old (at most 0.05 s)"),
        ({"joint_position": float("nan"), "orientation": 0.0}, "joint_position: stale, nan s old (at most 0.05 s)"),
    ],
)
def test_a_stale_reading_is_named(guard, make_signals, ages, cause):
    assert guard.check(make_signals(0.0, 0.0), ages) == cause


def test_age_at_its_limit_and_the_age_of_a_goal_pass(guard, make_signals):
    ages = {"joint_position": 0.05, "orientation": 0.05, "goal": 3600.0}
    assert guard.check(make_signals(0.0, 0.0), ages) is None


def test_a_missing_reading_or_another_shape_is_a_cause(guard, make_signals):
    signals = make_signals(0.0, 0.0)
    assert guard.check({**signals, "goal": np.zeros(2)}, FRESH) == "goal: shape (2,), the contract says (1,)"
    del signals["goal"]
    assert guard.check(signals, FRESH) == "goal: no reading"


@pytest.mark.parametrize(("scale", "plausible"), [(1.009, True), (0.991, True), (1.02, False), (0.98, False)])
def test_a_quaternion_has_unit_norm(guard, make_signals, scale, plausible):
    signals = turned(make_signals(0.0, 0.0), 0.7)
    cause = guard.check({**signals, "orientation": signals["orientation"] * np.float32(scale)}, FRESH)
    assert (cause is None) == plausible
    assert plausible or cause.startswith("orientation: not a unit quaternion, norm")


def test_a_quaternion_may_change_its_sign_but_not_jump(guard, make_signals):
    signals = turned(make_signals(0.0, 0.0), 0.7)
    assert guard.check(signals, FRESH) is None
    assert guard.check({**signals, "orientation": -signals["orientation"]}, FRESH) is None
    assert guard.check(turned(signals, 0.8), FRESH) is None
    assert "orientation" in guard.check(turned(signals, 2.0), FRESH)


def test_a_signal_of_several_axes_is_named_by_its_last(change, make_signals):
    rows = change("signals", 0, shape=(2, 2))
    rows = SignalGuard(dataclasses.replace(rows, memory=()))
    signals = {**make_signals(0.0, 0.0), "joint_position": np.array([[0.0, 0.0], [0.0, 9.0]])}
    assert rows.check(signals, FRESH) == "joint_position.knee: 9 is outside [-3, 3]"


@given(values=st.lists(st.floats(width=32), min_size=7, max_size=7))
def test_what_passes_the_guard_is_finite_and_in_range(contract, values):
    signals = {
        "joint_position": np.array(values[:2], np.float32),
        "orientation": np.array(values[2:6], np.float32),
        "goal": np.array(values[6:], np.float32),
    }
    flat = np.array(values)
    limit = np.array([3.0, 3.0, 1.1, 1.1, 1.1, 1.1, 1.0])
    plausible = np.isfinite(flat).all() and (np.abs(flat) <= limit).all()
    if SignalGuard(contract).check(signals, FRESH) is None:
        assert plausible


# --- goals ---


@pytest.fixture
def limiter(change):
    return GoalLimiter(change("signals", 2, trained_minimum=(-0.25,), trained_maximum=(0.1,)))


@pytest.mark.parametrize(
    ("asked", "held", "counted"), [(0.0, 0.0, 0), (0.9, 0.1, 1), (-1.0, -0.25, 1), (-0.2, -0.2, 0)]
)
def test_a_goal_is_held_to_what_was_asked_in_training(limiter, make_signals, asked, held, counted):
    signals = make_signals(0.2, 0.3, goal=asked)
    given = limiter.apply(signals)
    assert given["goal"] == pytest.approx([held])
    assert given["joint_position"] is signals["joint_position"]
    assert signals["goal"] == pytest.approx([asked]), "the reading itself stays"
    assert limiter.clamped_steps == counted


def test_a_goal_at_the_end_of_its_range_is_no_count_for_a_rounding(limiter, make_signals):
    """0.1 in float32 is above 0.1."""
    assert limiter.apply(make_signals(0.0, 0.0, goal=0.1))["goal"][0] <= 0.1
    assert limiter.clamped_steps == 0


def test_without_a_trained_range_goals_pass(contract, make_signals):
    signals = make_signals(0.0, 0.0, goal=0.9)
    limiter = GoalLimiter(contract)
    assert limiter.apply(signals)["goal"] == pytest.approx([0.9])
    assert limiter.clamped_steps == 0


def test_a_range_about_a_reading_is_about_what_that_was_at_the_start(contract, make_signals):
    position, orientation, _ = contract.signals
    pose = dataclasses.replace(
        position, name="pose", max_age_s=None, trained_minimum=(-0.25, -0.25), trained_maximum=(0.5, 0.5),
        trained_around="joint_position",
    )  # fmt: skip
    limiter = GoalLimiter(dataclasses.replace(contract, signals=(position, orientation, pose)))

    def held(hip, knee, asked):
        return limiter.apply({**make_signals(hip, knee), "pose": np.array(asked)})["pose"].tolist()

    assert held(1.0, -1.0, [0.0, 0.0]) == [0.75, -0.5]
    assert held(2.0, 2.0, [1.25, -1.125]) == [1.25, -1.125], "it does not move with the robot"
    assert limiter.clamped_steps == 1
    limiter.reset()
    assert held(2.0, 2.0, [0.0, 3.0]) == [1.75, 2.5]
    assert limiter.clamped_steps == 2


# --- filter ---


def commands(hip, knee):
    return {"joint_command": np.array([hip, knee], np.float32)}


def sent(safety_filter, hip, knee):
    return safety_filter.apply(commands(hip, knee))["joint_command"].tolist()


def test_commands_are_clipped_and_rate_limited(contract):
    """Range ±2 and ±1 rad, rate 20 and 10 rad/s: 0.2 and 0.1 rad in a period of 0.01 s."""
    safety_filter = SafetyFilter(contract, contract.control_period_s)
    assert sent(safety_filter, 0.125, -0.0625) == [0.125, -0.0625]
    assert (safety_filter.clipped_steps, safety_filter.rate_limited_steps) == (0, 0)
    assert sent(safety_filter, 0.5, -0.0625) == pytest.approx([0.325, -0.0625])
    assert (safety_filter.clipped_steps, safety_filter.rate_limited_steps) == (0, 1)
    safety_filter.reset({"joint_command": np.array([1.9, 0.95])})
    assert sent(safety_filter, 5.0, 1.0) == [2.0, 1.0]
    assert (safety_filter.clipped_steps, safety_filter.rate_limited_steps) == (1, 1)
    assert sent(safety_filter, -5.0, -5.0) == pytest.approx([1.8, 0.9])
    assert (safety_filter.clipped_steps, safety_filter.rate_limited_steps) == (2, 2)


def test_it_starts_from_the_safe_command(contract, change):
    safety_filter = SafetyFilter(change("commands", 0, safe=(1.0, -0.5)), contract.control_period_s)
    assert sent(safety_filter, -2.0, 1.0) == pytest.approx([0.8, -0.4])


def test_a_limit_rounded_to_float32_is_kept_but_not_counted(change):
    """2272.63 becomes 2272.6299 or 2272.6301 in float32; what is sent is never past the limit."""
    limit = 2272.63
    contract = change("commands", 0, minimum=(-limit, -limit), maximum=(limit, limit), max_rate=(1e6, 1e6))
    safety_filter = SafetyFilter(contract, contract.control_period_s)
    for value in (np.float32(limit), np.nextafter(np.float32(limit), np.float32(np.inf))):
        assert max(sent(safety_filter, value, value)) <= limit
    assert safety_filter.clipped_steps == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_command_that_is_not_finite_is_refused(contract, value):
    safety_filter = SafetyFilter(contract, contract.control_period_s)
    with pytest.raises(UnsafeCommand, match=rf"joint_command.knee: asked for {value}"):
        safety_filter.apply(commands(0.1, value))
    assert sent(safety_filter, 2.0, 0.0) == pytest.approx([0.2, 0.0])


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(sequence=st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30))
def test_whatever_is_asked_what_is_sent_is_finite_in_range_and_within_rate(contract: Contract, sequence):
    command = contract.commands[0]
    step = np.array(command.max_rate) * contract.control_period_s
    safety_filter, last = SafetyFilter(contract, contract.control_period_s), np.array(command.safe)
    for hip, knee in sequence:
        now = safety_filter.apply(commands(hip, knee))["joint_command"]
        assert np.isfinite(now).all()
        assert (now >= command.minimum).all()
        assert (now <= command.maximum).all()
        assert (np.abs(now - last) <= step * (1 + 1e-12)).all()
        last = now.copy()


@given(hip=st.floats(-2.0, 2.0), knee=st.floats(-1.0, 1.0))
def test_a_constant_command_in_range_is_reached(contract: Contract, hip, knee):
    safety_filter = SafetyFilter(contract, contract.control_period_s)
    wanted = np.array([hip, knee])
    for _ in range(11):
        now = safety_filter.apply({"joint_command": wanted})["joint_command"]
    np.testing.assert_array_equal(now, wanted)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"joint_command": np.array([0.1])}, r"shape \(1,\), the contract says \(2,\)"),
        ({"joint_command": np.array(0.1)}, r"shape \(\)"),
        ({"joint_command": np.zeros((1, 2))}, r"shape \(1, 2\)"),
        ({}, "joint_command: nothing is asked for"),
    ],
)
def test_a_command_of_another_shape_or_none_is_refused(contract: Contract, asked, named: str):
    """One number would go to every motor."""
    chain = SafetyFilter(contract, contract.control_period_s)
    with pytest.raises(UnsafeCommand, match=named):
        chain.apply(asked)
    assert chain.last["joint_command"].tolist() == [0.0, 0.0]
