"""What decisions of different lengths were worth, by hand."""

from __future__ import annotations

import torch

from isthmus_policies.chunks.finetune.experience import Table


def test_advantages_of_decisions_that_take_different_times():
    """World 0 decides twice and goes on; world 1's episode ends in success in its first step, then it decides again and
    runs out of time two steps later; discount 0.5, lam 0.5."""
    table, both = Table(2, 4, torch.device("cpu")), torch.arange(2)
    table.decide(both, value=torch.tensor([1.0, 2.0]), noise=torch.tensor([[10.0], [20.0]]))
    table.earn(torch.tensor([1.0, 8.0]), 0.5)
    table.end(torch.tensor([1]), torch.tensor([0.0]))
    table.decide(both[1:], value=torch.tensor([3.0]), noise=torch.tensor([[21.0]]))
    table.earn(torch.tensor([2.0, 1.0]), 0.5)  # world 0: 1 + 0.5 * 2 = 2, and 0.25 of what follows
    table.decide(both[:1], value=torch.tensor([4.0]), noise=torch.tensor([[11.0]]))
    table.earn(torch.tensor([0.0, 4.0]), 0.5)  # world 1: 1 + 0.5 * 4 = 3
    table.end(torch.tensor([1]), torch.tensor([12.0]))
    advantage, value = table.advantages(torch.tensor([6.0, 100.0]), lam=0.5)
    # World 0: second 0 + 0.5 * 6 - 4 = -1; first 2 + 0.25 * 4 - 1 + 0.25 * 0.5 * -1 = 1.875.
    # World 1: first 8 - 2 = 6; second 3 + 0.25 * 12 - 3 = 3, whatever its next episode is worth.
    torch.testing.assert_close(advantage, torch.tensor([1.875, -1.0, 6.0, 3.0]))
    torch.testing.assert_close(value, torch.tensor([2.875, 3.0, 8.0, 6.0]))
    assert table.kept("noise").flatten().tolist() == [10.0, 11.0, 20.0, 21.0]
