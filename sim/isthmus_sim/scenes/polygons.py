"""Polygons in the plane, batched: turned, and the area that they have in a box."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation(angle: Tensor) -> Tensor:
    """(...) rad -> (..., 2, 2): turns column vectors from x towards y."""
    c, s = angle.cos(), angle.sin()
    return torch.stack((c, -s, s, c), dim=-1).unflatten(-1, (2, 2))


def area_in_box(polygon: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Area (...) of simple polygons (..., k, 2), convex or not, inside boxes with corners `low` and `high` (..., 2).

    Inside the box d(clamp x)/dx · d(clamp y)/dy is one and outside it is none. By Green's theorem its integral over the
    polygon is that of clamp(y) d(clamp x) around it, side by side: no corner of the intersection has to be found, and
    sides that lie on each other are no special case.
    """
    (x, y), (next_x, next_y) = polygon.unbind(-1), polygon.roll(-1, -2).unbind(-1)
    (left, bottom), (right, top) = low.unsqueeze(-2).unbind(-1), high.unsqueeze(-2).unbind(-1)
    begins, ends = x.clamp(left, right), next_x.clamp(left, right)
    # Heights where the part of a side begins and ends that is neither left nor right of the box.
    slope = (next_y - y) / (next_x - x).where(next_x != x, 1.0)
    first, last = y + slope * (begins - x), y + slope * (ends - x)
    return ((ends - begins) * _mean_clamped(first, last, bottom, top)).sum(-1).abs()


def _mean_clamped(first: Tensor, last: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Mean of clamp(y, low, high) while y goes evenly from `first` to `last`."""
    least, most = first.minimum(last), first.maximum(last)
    length = (most - least).where(most != least, 1.0)
    below = ((low - least) / length).clamp(0.0, 1.0)
    above = ((most - high) / length).clamp(0.0, 1.0)
    between = 0.5 * (first.clamp(low, high) + last.clamp(low, high))
    return below * low + above * high + (1 - below - above) * between
