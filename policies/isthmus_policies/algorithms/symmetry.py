"""Left-right symmetry: what a robot that is its own mirror image learns on one side holds on the other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from isthmus_policies.networks.actor_critic import ACTION, UNITS, VALUE, ActorCritic, Elements, Wire
from isthmus_sim.task import Mirror

Place = tuple[Tensor, Tensor]
"""For each of some numbers in a row: which other one its mirror image is, and with what sign."""


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

    def place(self, elements: Elements) -> Place:
        """How these numbers of a group are mirrored. Raises ValueError where an image is not among them."""
        index, sign = (table[elements.name][elements.first : elements.end] for table in (self._index, self._sign))
        index = index - elements.first
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(index):
            raise ValueError(
                f"numbers {elements.first} to {elements.first + len(index)} of {elements.name!r} have mirror images "
                "that are not among them; choose others, or train without symmetry"
            )
        return index, sign

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
        """Raises ValueError for a layer with an odd number of hidden units, and a network that cannot be tied."""
        index, sign = reflection.place(ACTION)
        places = {policy.log_std: (index, torch.ones_like(sign))}
        for wire in policy.wires():
            places |= _places(wire, reflection)
        begin, indices, signs = 0, [], []
        for name, parameter in policy.named_parameters():
            if parameter not in places:
                raise ValueError(f"nothing says how the policy's {name} is mirrored; train it without symmetry")
            place, sign = places[parameter]
            indices.append((begin + place).flatten())
            signs.append(sign.flatten())
            begin += parameter.numel()
        self._index, self._sign = torch.cat(indices), torch.cat(signs)

    @torch.no_grad()
    def project_(self, values: Tensor) -> None:
        """Make each of all parameters, or of their gradients, the mean of itself and its image; they come one after the
        other as `policy.parameters()` gives them. What is symmetric already stays the same to the bit."""
        values.add_(values[self._index] * self._sign).mul_(0.5)


def _places(wire: Wire, reflection: Reflection) -> dict[Tensor, Place]:
    """Tell for each parameter of a network where in it, flat, the images of its numbers are, and their signs."""
    if isinstance(wire.network, nn.GRUCell):
        units, device = wire.network.hidden_size, wire.network.weight_hh.device
        return _cell_places(wire.network, _side(wire.reads, reflection, units, device))
    layers = [layer for layer in wire.network.modules() if isinstance(layer, nn.Linear)]
    first, last = layers[0], layers[-1]
    read = _side(wire.reads, reflection, first.in_features, first.weight.device)
    places: dict[Tensor, Place] = {}
    for layer in layers:
        kept = (wire.gives,) if layer is last else (UNITS,)
        given = _side(kept, reflection, layer.out_features, layer.weight.device)
        places |= {layer.weight: _matrix(given, read), layer.bias: given}
        read = given
    return places


def _cell_places(cell: nn.GRUCell, read: Place) -> dict[Tensor, Place]:
    """The three gates of a recurrent unit are mirrored alike, as is what it remembers."""
    index, sign = units = _pairs(cell.hidden_size, cell.weight_hh.device)
    gates = torch.cat([index + gate * cell.hidden_size for gate in range(3)]), sign.repeat(3)
    return {
        cell.weight_ih: _matrix(gates, read),
        cell.weight_hh: _matrix(gates, units),
        cell.bias_ih: gates,
        cell.bias_hh: gates,
    }


def _matrix(given: Place, read: Place) -> Place:
    """A weight matrix from what it reads to what it gives."""
    return given[0].unsqueeze(1) * len(read[0]) + read[0], given[1].unsqueeze(1) * read[1]


def _side(elements: tuple[Elements, ...], reflection: Reflection, size: int, device: torch.device) -> Place:
    """All numbers, `size` of them, that a network reads or gives."""
    if elements == (UNITS,):
        return _pairs(size, device)
    if elements == (VALUE,):
        return torch.zeros(1, dtype=torch.long, device=device), torch.ones(1, device=device)
    places = [reflection.place(some) for some in elements]
    begins = [sum(len(index) for index, _ in places[:i]) for i in range(len(places))]
    index = torch.cat([begin + index for begin, (index, _) in zip(begins, places, strict=True)])
    return index, torch.cat([sign for _, sign in places])


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
