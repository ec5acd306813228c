"""A saved environment goes on bit for bit; another seed gives another world."""

from __future__ import annotations

import torch
from beads import Bead, Line, pushed
from torch import Tensor

from isthmus_sim.env import Env
from isthmus_sim.sensors import SensorModel


def test_a_saved_environment_goes_on_bit_for_bit():
    """Ages, ends, sums, memory, commands and sensors on their way included, across ends of episodes."""
    late = Bead()
    late.sensors = {"place": SensorModel(rate_hz=7.0, latency_s=(0.0, 0.2), jitter_s=0.02, drop=0.1)}
    late.command_delay_steps = (0, 2)
    first, second = (Env(late, Line(8), seed, random_initial_age=True) for seed in (0, 9))
    rows = 2 * torch.rand(60, 8, 1, generator=torch.Generator().manual_seed(1)) - 0.8
    first.reset()
    second.reset()
    for row in rows[:5]:
        first.step(row)
    second.step(rows[0])
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    ends = 0
    for row in rows[5:]:
        ours, theirs = first.step(row), second.step(row)
        for name in ("reward", "terminated", "truncated", "succeeded", "ended", "episode_length"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
        for name in ("observations", "final", "commands", "episode_terms"):
            mine, other = getattr(ours, name), getattr(theirs, name)
            assert all(torch.equal(mine[key], other[key]) for key in mine), name
        ends += len(ours.ended)
    assert ends > 20


def test_worlds_of_another_seed_differ():
    def places(seed: int) -> Tensor:
        task = Bead()
        task.sensors = {"place": SensorModel(latency_s=(0.0, 0.2))}
        env = Env(task, Line(4), seed)
        env.reset()
        return torch.stack([pushed(env, 0.1, 0.2, 0.3, 0.4).observations["actor"] for _ in range(5)])

    assert torch.equal(places(3), places(3))
    assert not torch.equal(places(3), places(4))
