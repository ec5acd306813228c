"""Samplers of levels: where something is learned, what went badly, and what an Env tells them."""

from __future__ import annotations

import math

import pytest
import torch
from beads import Bead, Line, pushed
from torch import Tensor

from isthmus_sim.env import Env
from isthmus_sim.resets.levels.alp_gmm import AlpGmm
from isthmus_sim.resets.levels.mixture import Mixture, best_fit, fit
from isthmus_sim.resets.levels.prioritised import Prioritised
from isthmus_sim.resets.levels.sampler import LevelSampler
from isthmus_sim.resets.snapshots import take
from isthmus_sim.resets.stored import Stored


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Far(Bead):
    """Begins where the level says, and reads it as `start`."""

    graded = {"start": (1.0, 2.0)}

    def start(self, ids, level, params, generator):
        return {"x": params["start"]}


class Told(LevelSampler):
    """Draws given levels, and keeps what it is told."""

    def __init__(self, *levels: float) -> None:
        self._levels, self.told = torch.tensor(levels).unsqueeze(1), []

    def draw(self, n, size, generator):
        return self._levels[:n]

    def tell(self, levels, returns, failed, generator):
        self.told += list(zip(levels[:, 0].tolist(), returns.tolist(), failed.tolist(), strict=True))


def test_episodes_begin_at_their_level_and_the_sampler_is_told_how_they_went():
    told = Told(0.0, 0.5, 1.0)
    env = Env(Far(), Line(3), seed=0, levels=told)
    env.reset()
    assert env.signals["place"][:, 0].tolist() == [1.0, 1.5, 2.0]
    for _ in range(4):
        pushed(env, -1.0, 0.0, 1.0)  # succeeds below -2 m, goes on, fails beyond 3 m in the second step
    levels = [level for level, _, _ in told.told]
    assert levels == [1.0, 0.0]  # world 2 first; then world 0, whose fourth step is the first one below -2 m
    assert [failed for _, _, failed in told.told] == [True, False]
    assert told.told[0][1] == pytest.approx(2.0 - 2.9), "a step: 2 for being there, less 3 - 0.1"


def test_what_began_in_a_snapshot_says_nothing_of_its_level():
    told = Told(0.0, 0.5)
    env = Env(Far(), Line(2), seed=0, levels=told)
    env.reset()
    env.starts = Stored(take(env, torch.arange(2)), share=1.0)
    env.reset()
    pushed(env, 1.0, 1.0)
    pushed(env, 1.0, 1.0)
    pushed(env, 1.0, 1.0)
    assert told.told == []


def test_levels_are_drawn_evenly_where_nobody_chooses():
    env = Env(Far(), Line(4000), seed=0)
    env.reset()
    place = env.signals["place"]
    assert 1.0 <= float(place.min()) < 1.01
    assert 1.99 < float(place.max()) <= 2.0
    assert float(place.mean()) == pytest.approx(1.5, abs=0.02)


def test_the_density_of_a_mixture_is_the_known_one():
    """By hand: a standard normal distribution in two dimensions at the origin and at distance 2."""
    unit = torch.eye(2).double().unsqueeze(0)
    one = Mixture(weight=torch.ones(1).double(), mean=torch.zeros(1, 2).double(), covariance=unit)
    points = torch.tensor([[0.0, 0.0], [2.0, 0.0]]).double()
    expected = [-math.log(2 * math.pi), -math.log(2 * math.pi) - 2.0]
    assert one.log_density(points)[:, 0].tolist() == pytest.approx(expected)
    assert one.aic(points) == pytest.approx(2 * 5 - 2 * sum(expected)), "two means, three covariances"


def test_expectation_and_maximisation_find_the_parts_and_their_number():
    means = torch.tensor([[0.2, 0.2], [0.8, 0.3], [0.5, 0.9]]).double()
    which = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 600, replacement=True, generator=generator())
    points = means[which] + 0.03 * torch.randn(600, 2, generator=generator(1), dtype=torch.float64)
    three = fit(points, 3, generator(3))
    apart = torch.cdist(three.mean, means)
    torch.testing.assert_close(apart.amin(1), torch.zeros(3).double(), atol=0.01, rtol=0)
    order = apart.argmin(0)
    torch.testing.assert_close(three.weight[order], torch.tensor([0.5, 0.3, 0.2]).double(), atol=0.05, rtol=0)
    torch.testing.assert_close(
        three.covariance, 9e-4 * torch.eye(2).double().expand(3, 2, 2), atol=3e-4, rtol=0
    )
    best = min((best_fit(points, 6, generator(seed)) for seed in range(3)), key=lambda mixture: mixture.aic(points))
    assert best.aic(points) <= three.aic(points)
    assert len(best.weight) >= 3, "Akaike is generous, but two parts explain far less"


def skilled(levels: Tensor, episodes: int) -> Tensor:
    """Returns of a learner who gets better where the first number of the level is below a half, and never elsewhere."""
    learned = min(1.0, episodes / 4000)
    return torch.where(levels[:, 0] < 0.5, learned * (1 - levels[:, 1]), 0.0)


def drawn_by(sampler: LevelSampler, rounds: int = 150, n: int = 20) -> Tensor:
    draws, random = [], generator()
    for i in range(rounds):
        levels = sampler.draw(n, 2, random)
        assert levels.dtype == torch.float32
        assert 0.0 <= float(levels.min()) <= float(levels.max()) <= 1.0
        returns = skilled(levels, i * n)
        sampler.tell(levels, returns, returns < 0.3, random)
        draws.append(levels)
    return torch.cat(draws)


def test_learning_progress_leaves_alone_what_nobody_learns():
    """A fifth is drawn evenly, a half of it where nothing is learned."""
    late = drawn_by(AlpGmm(random_share=0.2, window=100))[-1000:]
    assert float((late[:, 0] < 0.5).float().mean()) > 0.8
    even = drawn_by(LevelSampler())[-1000:]
    assert float((even[:, 0] < 0.5).float().mean()) == pytest.approx(0.5, abs=0.07)


def test_without_any_progress_levels_are_drawn_evenly():
    sampler, random = AlpGmm(window=40), generator()
    for _ in range(10):
        levels = sampler.draw(20, 1, random)
        sampler.tell(levels, torch.zeros(20), torch.ones(20, dtype=torch.bool), random)
    assert sampler._mixture is not None
    assert float(sampler.draw(4000, 1, random).mean()) == pytest.approx(0.5, abs=0.02)


def test_what_fails_comes_again():
    late = drawn_by(Prioritised(random_share=0.2))[-1000:]
    assert float((skilled(late, 3000) < 0.3).float().mean()) > 0.7
    sampler, random = Prioritised(random_share=0.0, stale_share=0.0, temperature=0.1), generator()
    levels = torch.tensor([[0.1], [0.2], [0.3]])
    sampler.tell(levels, torch.zeros(3), torch.tensor([False, True, False]), random)
    assert float((sampler.draw(1000, 1, random) == 0.2).float().mean()) > 0.99
    sampler.tell(levels[1:2].repeat(4, 1), torch.zeros(4), torch.zeros(4, dtype=torch.bool), random)
    sampler.tell(levels[2:], torch.zeros(1), torch.ones(1, dtype=torch.bool), random)
    assert float((sampler.draw(1000, 1, random) == 0.3).float().mean()) > 0.99
    assert len(sampler._levels) == 3, "a level that is known is not taken in again"


def test_what_nobody_tried_for_long_comes_again():
    sampler, random = Prioritised(random_share=0.0, stale_share=1.0), generator()
    levels = torch.tensor([[0.1], [0.2]])
    sampler.tell(levels, torch.zeros(2), torch.ones(2, dtype=torch.bool), random)
    sampler.tell(levels[1:].repeat(8, 1), torch.zeros(8), torch.ones(8, dtype=torch.bool), random)
    assert float((sampler.draw(1000, 1, random) == 0.1).float().mean()) > 0.99


def test_levels_that_promise_least_are_forgotten():
    sampler = Prioritised(room=2, stale_share=0.0)
    levels = torch.tensor([[0.1], [0.2], [0.3]])
    sampler.tell(levels, torch.zeros(3), torch.tensor([True, False, True]), generator())
    assert sampler._levels[:, 0].tolist() == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize("make", [lambda: AlpGmm(window=40), Prioritised])
def test_a_saved_sampler_goes_on_bit_for_bit(make):
    first, second = make(), make()
    random = generator()
    for i in range(8):
        levels = first.draw(20, 2, random)
        first.tell(levels, skilled(levels, 100 * i), levels[:, 0] > 0.5, random)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    ours, theirs = generator(4), generator(4)
    for i in range(8):
        levels = first.draw(20, 2, ours)
        assert torch.equal(levels, second.draw(20, 2, theirs))
        for sampler, its in ((first, ours), (second, theirs)):
            sampler.tell(levels, skilled(levels, 100 * i), levels[:, 0] > 0.5, its)
