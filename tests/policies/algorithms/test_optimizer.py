"""The optimiser's state as tensors, and parameters in one piece."""

from __future__ import annotations

import torch

from isthmus_policies.algorithms.optimizer import in_one_piece, load_optimizer, optimizer_tensors


def test_an_optimiser_goes_on():
    def trained(steps: int, resume_at: int | None = None) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.Adam([weight], lr=0.1)
        for step in range(steps):
            if step == resume_at:
                saved = {name: value.clone() for name, value in optimizer_tensors(optimizer).items()}
                optimizer = torch.optim.Adam([weight], lr=0.1)
                load_optimizer(optimizer, saved)
            optimizer.zero_grad()
            (weight * torch.tensor([1.0, 2.0, 3.0])).square().sum().backward()
            optimizer.step()
        return weight.detach()

    assert torch.equal(trained(10, resume_at=5), trained(10))


def test_one_piece_holds_all_parameters_and_their_gradients():
    network = torch.nn.Linear(3, 2)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    whole, gradient = in_one_piece(list(network.parameters()))
    assert [torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True)] == [True, True]
    network(torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert gradient.tolist() == [1, 2, 3, 1, 2, 3, 1, 1]
    with torch.no_grad():
        whole.zero_()
    assert not network.weight.any()
