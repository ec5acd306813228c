"""The simulated servo beside what is known by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isthmus_sim.identify.log import ServoLog
from isthmus_sim.identify.servo import GRAVITY, UNKNOWNS, Bench, Friction, names

TIME = np.arange(0.0, 4.0, 0.005)
HELD = ServoLog(
    name="held", time_s=TIME, goal=np.where(TIME > 0.0, 0.6, 0.6), position=0.3 * (TIME > 3.0), powered=TIME >= 0.0,
    firmware_gain=800.0, mass=0.4, length=0.1, supply=7.4,
)  # fmt: skip

MOTOR = ("torque_constant", "resistance", "armature", "duty_gain")


def candidate(friction: Friction, **changed: float) -> np.ndarray:
    """One candidate (1, parameters): nominal, without friction, delay, offset and curve but for what is given."""
    bare = dict.fromkeys(names(friction), 0.0)
    motor = {name: UNKNOWNS[name].parameter.nominal[0] for name in MOTOR}
    values = bare | motor | ({"stribeck_velocity": 0.5} if "stribeck_velocity" in bare else {}) | changed
    return np.array([[values[name] for name in names(friction)]])


def test_without_friction_an_arm_comes_to_rest_where_motor_and_weight_agree():
    values = candidate("coulomb", viscous=0.05)
    end = Bench([HELD], "coulomb").positions(values)[0, -1]
    duty = 800.0 * 3e-3 * (0.6 - end)
    assert 0.3 / 4.0 * 7.4 * duty == pytest.approx(0.4 * GRAVITY * 0.1 * np.sin(end), rel=1e-3)


def test_an_arm_that_is_switched_off_swings_at_the_frequency_of_a_pendulum():
    log = replace(HELD, position=np.where(TIME < 3.0, 0.1, 0.0), powered=TIME < 0.0)
    track = Bench([log], "coulomb").positions(candidate("coulomb", armature=2e-3))[0]
    crossings = TIME[1:][(track[1:] < 0) & (track[:-1] >= 0)]
    period = 2 * np.pi * np.sqrt((0.4 * 0.01 + 2e-3) / (0.4 * GRAVITY * 0.1))
    assert np.diff(crossings).mean() == pytest.approx(period, rel=2e-3)


def test_an_arm_within_dry_friction_stays_where_it_is():
    log = replace(HELD, position=np.where(TIME < 3.0, 0.3, 0.0), powered=TIME < 0.0)
    weight = 0.4 * GRAVITY * 0.1 * np.sin(0.3)
    track = Bench([log], "coulomb").positions(
        np.vstack([candidate("coulomb", coulomb=1.01 * weight), candidate("coulomb", coulomb=0.99 * weight)])
    )
    assert np.ptp(track[0]) == 0.0
    assert np.ptp(track[1]) > 1e-3


def test_the_kinds_of_friction_are_the_same_where_their_terms_are_nothing():
    kinds: tuple[Friction, ...] = ("coulomb", "stribeck", "load", "load-stribeck")
    tracks = [Bench([HELD], kind).positions(candidate(kind, coulomb=0.02))[0] for kind in kinds]
    for track in tracks[1:]:
        np.testing.assert_array_equal(track, tracks[0])


def test_gears_that_carry_a_load_hold_it_better():
    free, loaded = (
        Bench([HELD], "load").positions(candidate("load", coulomb=0.02, external_load=share))[0, -1]
        for share in (0.0, 0.3)
    )
    assert loaded < free, "the motor must lift the arm against the friction of its own weight"


def test_a_delay_moves_the_whole_motion():
    log = replace(HELD, goal=np.where(TIME < 1.0, 0.0, 0.5))
    soon, late = Bench([log], "coulomb").positions(
        np.vstack([candidate("coulomb", viscous=0.02), candidate("coulomb", viscous=0.02, delay=0.04)])
    )
    np.testing.assert_allclose(late[8:], soon[:-8], atol=2e-3)


def test_lanes_do_not_touch_each_other():
    other = replace(HELD, name="other", firmware_gain=100.0)
    values = np.vstack([candidate("load", coulomb=0.02), candidate("load", motor_load=0.2)])
    together = Bench([HELD, other], "load")
    apart = [Bench([log], "load").positions(values[[1]])[0] for log in (HELD, other)]
    for track, alone in zip(together.split(together.positions(values)[1]), apart, strict=True):
        np.testing.assert_array_equal(track, alone)


def test_a_simulation_that_leaves_all_bounds_is_named():
    bench = Bench([HELD], "coulomb")
    lost = bench.positions(candidate("coulomb", resistance=-1e-6))
    assert "held: the simulation diverges" in str(bench.diverged(lost[0]))
