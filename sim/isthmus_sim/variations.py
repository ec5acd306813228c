"""How physical parameters change a model: each kind of variation names its parameters and gives model fields for them.

A variation is data: it says what is changed, and works on whatever has a compiled model's arrays (`body_mass`,
`geom_friction` …) and gives names to its elements. Values may be NumPy arrays or torch tensors, on any device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from isthmus_sim.specs import Parameter, scalar

Array = Any
"""A NumPy array or a torch tensor."""


class Variation(Protocol):
    """Parameters of a scene's bodies, and what they are in its model."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What may differ."""
        ...

    def fields(self, model: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        """Model fields (n, ...) of n worlds with these parameters (n, size). Raises ValueError where there is no such
        body."""
        ...


def rows(model: Any, field: str, like: Array) -> Array:
    """A model's field once for each row of `like`: (n, ...), float64, of the same library and on the same device."""
    one = np.asarray(getattr(model, field), np.float64)[None]
    if isinstance(like, np.ndarray):
        return np.repeat(one, len(like), axis=0)
    return like.double().new_tensor(one).repeat(len(like), *(1,) * (one.ndim - 1))


@dataclass(frozen=True, kw_only=True)
class GroundFriction:
    """friction (1): sliding friction of the geom that the robot stands on."""

    geom: str = "ground"
    nominal: float = 1.0
    bounds: tuple[float, float] = (0.4, 1.0)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (scalar("friction", "1", self.nominal, self.bounds, (0.01, 5.0)),)

    def fields(self, model: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        friction = rows(model, "geom_friction", values["friction"])
        friction[:, model.geom(self.geom).id, 0] = values["friction"][:, 0]
        return {"geom_friction": friction}


@dataclass(frozen=True, kw_only=True)
class Load:
    """payload (1) kg, which makes the body heavier as it is, and com_offset (3) m of its centre of mass."""

    body: str
    payload: tuple[float, float] = (-1.0, 3.0)
    com_offset: float = 0.03

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        offset = (self.com_offset,) * 3
        return (
            scalar("payload", "kg", 0.0, self.payload),
            Parameter(
                name="com_offset", unit="m", order=("x", "y", "z"), nominal=(0.0,) * 3,
                minimum=tuple(-value for value in offset), maximum=offset,
            ),
        )  # fmt: skip

    def fields(self, model: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        body, payload = model.body(self.body).id, values["payload"][:, 0]
        nominal = float(model.body_mass[body])
        if not bool((payload > -nominal).all()):
            raise ValueError(f"a payload of {float(payload.min()):g} kg leaves nothing of the base's {nominal:g} kg")
        mass, inertia, centre = (rows(model, name, payload) for name in ("body_mass", "body_inertia", "body_ipos"))
        mass[:, body] += payload
        inertia[:, body] *= (mass[:, body] / nominal)[:, None]
        centre[:, body] += values["com_offset"]
        return {"body_mass": mass, "body_inertia": inertia, "body_ipos": centre}
