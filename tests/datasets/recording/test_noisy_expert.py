"""Scripted operators that are less than perfect: how often they succeed, and in what their errors consist."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from refusals import refused

from isthmus_datasets.recording.noisy_expert import NoisyExpert
from isthmus_datasets.recording.operator import Event
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.recording.scripted import ScriptedOperator


class Threader(ScriptedOperator):
    """Wants to be at (1, -1)."""

    def plan(self, observation: Observation, step: int) -> NDArray[np.float32]:
        return np.array([1.0, -1.0], np.float32)


def succeeds(operator: ScriptedOperator, seed: int) -> bool:
    """A needle's eye of 0.25 that must be kept for six steps; the hand's target is followed at 0.1 per step."""
    operator.reset(seed)
    place, kept = np.zeros(2), 0
    while True:
        done = kept >= 6
        columns = {"place": place}
        decision = operator.decide(Observation(columns=columns, capture_time_ns={"place": 0}, success=done))
        if decision.event in (Event.SUCCESS, Event.TIME):
            return decision.event is Event.SUCCESS
        place = place + np.clip(decision.action - place, -0.1, 0.1)
        kept = kept + 1 if np.abs(place - (1.0, -1.0)).max() < 0.25 else 0


def test_the_less_skill_the_fewer_episodes_succeed():
    rates = []
    for skill in (1.0, 0.7, 0.4, 0.0):
        operator = Threader(steps=25, skill=skill, stray=0.8)
        rates.append(np.mean([succeeds(operator, seed) for seed in range(200)]))
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert min(-np.diff(rates)) > 0.05, rates
    assert rates[-1] < 0.5


def actions(hand: NoisyExpert, steps: int = 20_000) -> NDArray[np.float64]:
    return np.array([hand.act(np.array([2.0, -3.0])) for _ in range(steps)])


def test_full_skill_is_the_plan():
    assert np.array_equal(actions(NoisyExpert(skill=1.0, stray=5.0), 100), [(2.0, -3.0)] * 100)


def test_the_hand_drifts_around_the_plan_by_its_lack_of_skill():
    done = actions(NoisyExpert(skill=0.5, stray=4.0))
    np.testing.assert_allclose(done.mean(axis=0), (2.0, -3.0), atol=0.2)
    np.testing.assert_allclose(done.std(axis=0), 2.0, rtol=0.1)
    apart = [np.corrcoef(done[steps:, 0], done[:-steps, 0])[0, 1] for steps in (1, 40)]
    assert apart[0] > 0.8
    assert abs(apart[1]) < 0.1


@pytest.mark.parametrize(("skill", "share"), [(0.0, 0.06 / (0.06 + 1 / 6)), (0.5, 0.03 / (0.03 + 1 / 6))])
def test_it_lapses_by_its_lack_of_skill(skill: float, share: float):
    done = actions(NoisyExpert(skill=skill, stray=1.0))
    held = np.all(np.diff(done, axis=0) == 0.0, axis=1)
    assert held.mean() == pytest.approx(share, abs=0.02)


def test_a_seed_errs_the_same_and_another_otherwise():
    operator = Threader(steps=50, noise=0.1, skill=0.3, stray=1.0)
    seen = Observation(columns={}, capture_time_ns={})
    episodes = []
    for seed in (7, 8, 7):
        operator.reset(seed)
        episodes.append(np.array([operator.decide(seen).action for _ in range(50)]))
    assert np.array_equal(episodes[0], episodes[2])
    assert not np.array_equal(episodes[0], episodes[1])
    assert episodes[0].dtype == np.float32


@pytest.mark.parametrize(("skill", "stray"), [(1.1, 0.0), (-0.1, 0.0), (0.5, -1.0), (float("nan"), 1.0)])
def test_what_is_no_skill_is_refused(skill: float, stray: float):
    with refused("skill | stray", ValueError):
        Threader(steps=1, skill=skill, stray=stray)
