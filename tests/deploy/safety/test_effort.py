"""Targets within what actuators can give. Stiffness 20 N·m/rad, damping 2 N·m·s/rad, at most 6 N·m: 0.3 rad."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planar_arm import PERIOD_S, arm_limits

from isthmus_deploy.safety.commands.effort import EffortLimit
from isthmus_deploy.safety.commands.filter import SafetyFilter


def limited(limit: EffortLimit, target: float, angle: float, speed: float) -> float:
    signals = {"angle": np.array([angle, 0.0], np.float32), "speed": np.array([speed, 0.0], np.float32)}
    return limit.hold([target, 0.0], signals)[0]


@pytest.mark.parametrize(
    ("target", "angle", "speed", "expected"),
    [
        (0.25, 0.0, 0.0, 0.25),
        (1.0, 0.0, 0.0, 0.3),
        (-1.0, 0.5, 0.0, 0.2),
        (1.0, 0.0, 2.0, 0.5),  # damping takes 4 of what the spring gives
        (-1.0, 0.0, 2.0, -0.1),
    ],
)
def test_by_hand(target: float, angle: float, speed: float, expected: float):
    limit = EffortLimit(arm_limits(limit_effort=True))
    assert limited(limit, target, angle, speed) == pytest.approx(expected)


@given(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0), st.floats(-5.0, 5.0))
def test_it_binds_only_where_the_actuator_saturates(target: float, angle: float, speed: float):
    held = limited(EffortLimit(arm_limits(limit_effort=True)), target, angle, speed)
    effort, wanted = (20.0 * (position - angle) - 2.0 * speed for position in (held, target))
    assert effort == pytest.approx(np.clip(wanted, -6.0, 6.0), abs=1e-4), "readings come in float32"


def test_it_gives_way_to_the_rate():
    """Pushed 1 rad away, the target may only follow by 0.1 rad a period."""
    chain = SafetyFilter(arm_limits(limit_effort=True), PERIOD_S)
    signals = {"angle": np.array([1.0, 0.0]), "speed": np.zeros(2)}
    sent = [chain.apply({"target": np.zeros(2)}, signals)["target"][0] for _ in range(9)]
    assert sent[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert sent[6:] == pytest.approx([0.7, 0.7, 0.7])


def test_nothing_is_held_unless_the_robot_asks_for_it():
    assert not EffortLimit(arm_limits()).any
    assert EffortLimit(arm_limits(limit_effort=True)).any
