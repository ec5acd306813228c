"""Some episodes begin in states that were shown, the first ones and those that follow."""

from __future__ import annotations

import pytest
import torch
from beads import beads, near, pushed

from isthmus_sim.resets.shown import Shown

PLACES = torch.tensor([[1.0], [2.0], [2.5]])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_the_episodes_begins_where_was_shown(share: float):
    env = beads(4000, starts=Shown(shown={"x": PLACES}, share=share))
    begun = env.signals["place"]
    elsewhere = begun[begun != 0.0]
    assert len(elsewhere) == pytest.approx(4000 * share, abs=110)  # four deviations
    for place in PLACES if share else ():
        assert (elsewhere == place).float().mean() == pytest.approx(1 / 3, abs=0.07)


def test_an_episode_that_follows_begins_so_too():
    env = beads(2, starts=Shown(shown={"x": PLACES[2:]}, share=1.0))
    step = pushed(env, 1.0, 0.0)  # world 0 fails beyond 3 m
    assert step.ended.tolist() == [0]
    near(env.signals["place"], [[2.5], [2.5]])


def test_states_that_lack_what_the_task_starts_with_are_refused():
    with pytest.raises(ValueError, match="episodes start with x; shown is y"):
        beads(1, starts=Shown(shown={"y": PLACES}, share=0.5))
