"""Parameters in one piece of memory, and an optimiser's state as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def in_one_piece(parameters: list[nn.Parameter]) -> tuple[nn.Parameter, Tensor]:
    """One parameter that holds all of them, and its gradient: they become views of it, their gradients of its. So one
    operation reaches everything."""
    whole = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    whole.grad = torch.zeros_like(whole)
    sizes = [parameter.numel() for parameter in parameters]
    values, gradients = whole.detach().split(sizes), whole.grad.split(sizes)
    for parameter, value, gradient in zip(parameters, values, gradients, strict=True):
        parameter.data = value.view_as(parameter)
        parameter.grad = gradient.view_as(parameter)
    return whole, whole.grad


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors: `INDEX.NAME`."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for key, value in tensors.items():
        index, name = key.split(".")
        whole["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(whole)
