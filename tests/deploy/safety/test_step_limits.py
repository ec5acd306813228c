"""How far commands move: whatever is asked, all limits are kept together, and what is asked is reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_arm import PERIOD_S, arm_limits

from isthmus_deploy.safety.commands.filter import SafetyFilter
from isthmus_deploy.safety.commands.step_limits import StepLimits

FAST = {"max_acceleration": (20.0, 50.0)}  # changes of a step of 0.008 and 0.02 rad; steps are at most 0.1
SOFT = {"approach_rate": 5.0, "soft_minimum": (-1.5, -1.0), "soft_maximum": (1.0, 1.5)}  # a tenth of the way


def run(chain: SafetyFilter, wanted) -> np.ndarray:
    return np.array([chain.apply({"target": np.array(row, float)})["target"] for row in wanted])


def test_it_speeds_up_and_brakes_within_its_acceleration_and_does_not_overshoot():
    sent = run(SafetyFilter(arm_limits(**FAST), PERIOD_S), [(0.5, 0.0)] * 60)[:, 0]
    assert sent[:3] == pytest.approx([0.008, 0.024, 0.048])
    assert sent[-1] == 0.5, "it arrives"
    assert sent.max() == 0.5
    assert np.abs(np.diff(np.diff(sent))).max() <= 0.008 + 1e-12


def test_a_steady_motion_is_followed_without_lag():
    """At 2 rad/s, once it has caught up; when it stands still, it is overshot by the braking distance at most."""
    wanted = [(0.04 * t, 0.0) for t in range(40)] + [(1.56, 0.0)] * 40
    sent = run(SafetyFilter(arm_limits(**FAST), PERIOD_S), wanted)[:, 0]
    assert sent[30:40] == pytest.approx([row[0] for row in wanted[30:40]], abs=1e-9)
    assert 1.56 < sent.max() <= 1.56 + 0.04**2 / (2 * 0.008)
    assert sent[-1] == 1.56


def test_a_soft_end_is_approached_by_a_share_of_what_is_left():
    chain = SafetyFilter(arm_limits(**SOFT), PERIOD_S)
    sent = run(chain, [(2.0, 0.0)] * 300)[:, 0]
    assert sent[0] == pytest.approx(0.1)
    assert sent[1:4] == pytest.approx([0.19, 0.271, 0.3439])
    assert 0.999999 < sent[-1] <= 1.0


def test_beyond_a_soft_end_it_may_only_come_back():
    """Somebody has put it between the soft end at 1 rad and the hard one at 2."""
    chain = SafetyFilter(arm_limits(**SOFT), PERIOD_S)
    chain.reset({"target": np.array([1.7, 0.0])})
    assert run(chain, [(2.0, 0.0)] * 3)[:, 0] == pytest.approx([1.7] * 3)
    assert run(chain, [(0.0, 0.0)] * 3)[:, 0] == pytest.approx([1.6, 1.5, 1.4])


def test_after_a_reset_it_starts_from_rest():
    chain = SafetyFilter(arm_limits(**FAST), PERIOD_S)
    run(chain, [(2.0, 2.0)] * 10)
    chain.reset({"target": np.array([0.0, 0.0])})
    assert run(chain, [(2.0, 2.0)])[0] == pytest.approx([0.008, 0.02])


HELD = st.sampled_from([{}, FAST, SOFT, {**FAST, **SOFT}, {**FAST, "approach_rate": 50.0}, {**SOFT, **FAST}])
ASKED = st.floats(-1e30, 1e30) | st.floats(-2.5, 2.5) | st.sampled_from([-2.0, 2.0, 1.0, -1.5, 0.0])


@settings(deadline=None, max_examples=60)
@given(held=HELD, wanted=st.lists(st.tuples(ASKED, ASKED), min_size=1, max_size=60), repeats=st.integers(1, 30))
def test_whatever_is_asked_all_limits_are_kept_together(held, wanted, repeats: int):
    """From rest at zero; the same wish may come several times in a row."""
    chain = SafetyFilter(arm_limits(**held), PERIOD_S)
    sent = run(chain, [row for row in wanted for _ in range(repeats)])
    steps = np.diff(np.concatenate((np.zeros((1, 2)), sent)), axis=0)
    changes = np.diff(np.concatenate((np.zeros((1, 2)), steps)), axis=0)
    assert (np.abs(sent) <= 2.0).all()
    assert (np.abs(steps) <= 0.1 + 1e-12).all()
    if "max_acceleration" in held:
        assert (np.abs(changes) <= np.array([0.008, 0.02]) + 1e-12).all()
    if "soft_maximum" in held:
        assert ((sent >= (-1.5, -1.0)) & (sent <= (1.0, 1.5))).all()
        before = np.concatenate((np.zeros((1, 2)), sent[:-1]))
        assert (steps <= 0.1 * ((1.0, 1.5) - before) + 1e-12).all()
        assert (steps >= -0.1 * (before - (-1.5, -1.0)) - 1e-12).all()


@settings(deadline=None, max_examples=40)
@given(held=HELD, start=st.lists(st.tuples(ASKED, ASKED), max_size=20), goal=st.tuples(*[st.floats(-0.9, 0.9)] * 2))
def test_what_is_asked_for_long_is_reached(held, start, goal):
    """Exactly; a soft end takes a while when it is near."""
    sent = run(SafetyFilter(arm_limits(**held), PERIOD_S), [*start, *[goal] * 400])
    assert sent[-1].tolist() == list(goal)


@settings(deadline=None)
@given(
    held=st.sampled_from([{}, FAST, SOFT, {**FAST, **SOFT}]),
    start=st.floats(-2.0, 2.0),
    asked=st.sampled_from([-9.0, 9.0]),
)
def test_from_rest_the_largest_step_is_what_the_barrier_the_rate_and_the_acceleration_allow(held, start, asked: float):
    """What is written out in `hold` is `BrakingBarrier`, and a tool's window is the same."""
    steps = StepLimits(arm_limits(**held), PERIOD_S)
    steps.reset([start, 0.0])
    *_, (sent, _) = steps.hold([asked, 0.0])
    element = steps.elements[0]
    left = element.high - start if asked > 0.0 else start - element.low
    expected = min(element.barrier(left), element.largest, element.change)
    assert abs(sent - start) == pytest.approx(expected, abs=1e-12)
    least, most, before = (column[0] for column in steps.window([0]))
    assert (most if asked > 0.0 else -least) == pytest.approx(expected, abs=1e-12)
    assert before == 0.0


def test_whole_numbers_are_commands_too():
    sent = SafetyFilter(arm_limits(), PERIOD_S).apply({"target": np.array([0, 0])})["target"]
    assert sent.dtype == np.float64
