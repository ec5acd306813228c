"""Left-right symmetry: what a robot that is its own mirror image learns on one side holds on the other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_sim.task import Mirror

Place = tuple[Tensor, Tensor]
"""Of some numbers in a row: which other ones their mirror images are, and with what signs."""


class Reflection:
    """Mirror images of rows, by what they are: "actor", "critic" or "action"."""

    def __init__(self, mirror: Mapping[str, Mirror], sizes: dict[str, int], device: torch.device) -> None:
        """Raises ValueError for a table that is missing, of another size than `sizes` says, or no mirror."""
        for name, size in sizes.items():
            _check(name, mirror, size)
        self._index = {name: torch.tensor(mirror[name].index, device=device) for name in sizes}
        self._sign = {name: torch.tensor(mirror[name].sign, device=device) for name in sizes}

    def __call__(self, name: str, rows: Tensor) -> Tensor:
        """(..., size) -> (..., size)."""
        return rows[..., self._index[name]] * self._sign[name]

    def of(self, name: str) -> Place:
        """How its numbers are mirrored."""
        return self._index[name], self._sign[name]

    def variance(self, name: str, variance: Tensor) -> Tensor:
        """The variance (size,) of the images of rows that have this one."""
        return variance[self._index[name]]


class Ties:
    """Holds a policy to its own mirror image: it answers the image of what it sees with the image of its answer, and
    values both alike.

    Hidden units are pairs that a reflection swaps: the first half of a layer with the second. A layer that reads x,
    whose image is P x, and gives y, whose image is Q y, keeps this up when its weights are W = Q W P: every weight is,
    but for its sign, another one. So one permutation of all parameters says it. With weights tied so, the gradient by
    a row is the mean of those by the row and by its image: both are learnt from at the price of one.
    """

    def __init__(self, policy: ActorCritic, reflection: Reflection) -> None:
        """Raises ValueError for a layer with an odd number of hidden units."""
        device = policy.log_std.device
        invariant = (torch.zeros(1, dtype=torch.long, device=device), torch.ones(1, device=device))
        places = {
            **_places(policy.actor, reflection.of("actor"), reflection.of("action")),
            **_places(policy.critic, reflection.of("critic"), invariant),
            policy.log_std: (reflection.of("action")[0], torch.ones_like(policy.log_std)),
        }
        parameters, begin, index, sign = list(policy.parameters()), 0, [], []
        for parameter in parameters:
            place, signs = places[parameter]
            index.append((begin + place).flatten())
            sign.append(signs.flatten())
            begin += parameter.numel()
        self._index, self._sign = torch.cat(index), torch.cat(sign)

    @torch.no_grad()
    def hold_(self, values: Tensor) -> None:
        """Of all parameters or their gradients, one after the other as `policy.parameters()` gives them: each becomes
        the mean of itself and its image. What is held already stays the same to the bit."""
        values.add_(values[self._index] * self._sign).mul_(0.5)


def _places(network: nn.Sequential, read: Place, given: Place) -> dict[Tensor, Place]:
    """Of an `mlp` that reads and gives what is mirrored so: parameter -> where in it, flat, its images are; signs."""
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    places: dict[Tensor, Place] = {}
    for layer in layers:
        index, sign = given if layer is layers[-1] else _pairs(layer.out_features, layer.weight.device)
        places[layer.weight] = (
            index.unsqueeze(1) * layer.in_features + read[0],
            sign.unsqueeze(1) * read[1],
        )
        places[layer.bias] = (index, sign)
        read = (index, sign)
    return places


def _pairs(units: int, device: torch.device) -> Place:
    if units % 2:
        raise ValueError(f"a hidden layer of {units} units has no pairs: a symmetric policy needs even numbers")
    return torch.arange(units, device=device).roll(units // 2), torch.ones(units, device=device)


def _check(name: str, mirror: Mapping[str, Mirror], size: int) -> None:
    if name not in mirror:
        raise ValueError(f"the task has no mirror image of {name!r}; train it without symmetry")
    index, sign = mirror[name].index, mirror[name].sign
    if sorted(index) != list(range(size)) or len(sign) != size:
        raise ValueError(f"the mirror image of {name!r} is of {len(index)} numbers, not of {size} in another order")
    if any(index[place] != i or sign[place] * sign[i] != 1.0 for i, place in enumerate(index)):
        raise ValueError(f"the mirror image of {name!r}, mirrored again, is not what it was")
