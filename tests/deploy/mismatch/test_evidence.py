"""What a log is judged by: where it ends, about what commands are scaled, and how surely a sum is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.mismatch.motion import Motion
from isthmus_deploy.mismatch.shapes import Shapes
from isthmus_deploy.mismatch.suspects import suspects
from isthmus_deploy.mismatch.world import variance_of_sum

HOVER = np.array([100.0, 110.0])


@pytest.fixture
def rotors(noisy: Contract) -> Contract:
    """The contract with a command that nothing measures, as that of rotors is."""
    return dataclasses.replace(noisy, commands=(dataclasses.replace(noisy.commands[0], unit="rad/s"),))


def hovering(ticks: int, *, begins: int, stops: int) -> Motion:
    """Level, with rotors that turn from one tick to another."""
    commands = np.zeros((ticks, 2))
    commands[begins:stops] = HOVER
    level = np.tile([1.0, 0.0, 0.0, 0.0], (ticks, 1))
    signals = {"joint_position": np.zeros((ticks, 2)), "orientation": level}
    return Motion(signals=signals, commands={"joint_command": commands})


@pytest.mark.parametrize(("stops", "ticks"), [(200, 200), (300, 300)])
def test_a_log_ends_where_rotors_that_turned_stop(rotors: Contract, stops: int, ticks: int):
    assert len(Shapes(rotors).standing(hovering(300, begins=50, stops=stops))) == ticks


@pytest.mark.parametrize(("upright", "ticks"), [(0.95, 150), (0.5, 300)])
def test_a_log_ends_where_the_body_leans_further_than_it_may(rotors: Contract, upright: float, ticks: int):
    motion = hovering(300, begins=0, stops=300)
    leaning = motion.signals["orientation"].copy()
    leaning[150:] = np.cos(0.25), np.sin(0.25), 0.0, 0.0  # half a radian, whose cosine is 0.88
    motion = Motion(signals={**motion.signals, "orientation": leaning}, commands=motion.commands)
    shapes = Shapes(rotors)
    assert shapes.upright(motion) == pytest.approx(np.cos(0.5))
    assert len(shapes.standing(motion, upright)) == ticks


def test_rotors_are_scaled_about_what_carries_a_sound_robot(rotors: Contract):
    shapes, motion = Shapes(rotors, 0.05), hovering(300, begins=50, stops=300)
    level = shapes.level(motion)
    np.testing.assert_allclose(level, HOVER)
    scales = [each for each in suspects(rotors, 0.05, level) if each.kind == "action scale"]
    undone = np.stack([each.undo(motion).commands["joint_command"][100] for each in scales])
    np.testing.assert_allclose(undone, np.tile(HOVER, (len(scales), 1)))


def test_every_weak_rotor_is_tried_nearly_as_weak_as_it_is(rotors: Contract):
    motion = hovering(300, begins=0, stops=300)
    motion = motion.with_commands(joint_command=np.full((300, 2), 10.0))
    weak = [each for each in suspects(rotors, 0.05, HOVER) if each.kind == "saturated actuator"]
    reached = np.unique([each.undo(motion).commands["joint_command"][0].min() for each in weak])
    assert reached.min() <= 0.45
    assert np.diff(reached[reached <= 0.9]).max() <= 0.026


def test_errors_that_are_alike_for_a_while_count_once():
    """Sums of terms that stay the same for eight ticks vary eight times as much as those of independent ones."""
    random, ticks, draws = np.random.default_rng(1), 400, 500
    alike = np.repeat(random.normal(size=(ticks // 8, draws)), 8, axis=0)
    real = float(np.var(alike.sum(axis=0)))
    assert real == pytest.approx(8.0 * ticks, rel=0.2)
    assert variance_of_sum(alike, 64).mean() == pytest.approx(real, rel=0.25)
    independent = random.normal(size=(ticks, draws))
    assert variance_of_sum(independent, 64).mean() == pytest.approx(ticks, rel=0.25)
