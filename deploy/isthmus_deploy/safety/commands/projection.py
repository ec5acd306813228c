"""A step that keeps linear bounds: a quadratic program of a few variables, solved within a control period."""

from collections.abc import Sequence
from operator import mul

_ENOUGH = 1e-9  # by which a bound may be missed
_SWEEPS = 8

Row = Sequence[float]


def project(wanted: Row, least: Row, most: Row, gradients: Sequence[Row], room: Row) -> list[float]:
    """A step near to `wanted` that lies between `least` and `most`, with gradient·step >= -room for each gradient, as
    far as a few sweeps get.

    Hildreth's dual coordinate ascent (Naval Research Logistics Quarterly 4, 1957), always on the worst bound, with the
    box kept in the primal. For one gradient the step is the nearest one; when no side of the box is active it is found
    in one sweep, in the closed form wanted + gradient·max(0, -room - gradient·wanted)/|gradient|². For several the
    sweeps end as soon as all bounds are kept, which may be a little beyond the nearest step.

    Args:
        wanted: Between `least` and `most`, as long as they.
        gradients: A row for each bound.
        room: A number for each bound.
    """
    step, weights = list(wanted), [0.0] * len(room)
    for _ in range(_SWEEPS):
        spare = [sum(map(mul, row, step), left) for row, left in zip(gradients, room)]
        least_spare = min(spare)
        if least_spare >= -_ENOUGH:
            break
        worst = spare.index(least_spare)
        strength = _strength(gradients[worst], step, least, most)
        if strength <= 0.0:
            break
        weights[worst] -= least_spare / strength
        pushes = [sum(map(mul, weights, column)) for column in zip(*gradients)]
        step = [
            min(max(value + push, low), high)
            for value, push, low, high in zip(wanted, pushes, least, most)
        ]
    return step


def _strength(gradient: Row, step: Row, least: Row, most: Row) -> float:
    """|gradient|² of those elements that may still move along it."""
    strength = 0.0
    for slope, value, low, high in zip(gradient, step, least, most):
        if value < high if slope > 0.0 else value > low:
            strength += slope * slope
    return strength
