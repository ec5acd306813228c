"""Mass, centre of mass and inertia of a link, and what becomes of them when links are mirrored or joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus_sim.description import Vector3


@dataclass(frozen=True, kw_only=True)
class Inertial:
    """Mass kg, centre of mass (3,) m and inertia about it (xx, yy, zz, xy, xz, yz) kg·m², in the link's frame."""

    mass: float
    com: Vector3
    inertia: tuple[float, ...]

    def mirrored(self, x: float, y: float) -> Inertial:
        """The same link on another leg: `x`, `y` are 1, or -1 for a reflection of that axis."""
        xx, yy, zz, xy, xz, yz = self.inertia
        com = (x * self.com[0], y * self.com[1], self.com[2])
        return Inertial(mass=self.mass, com=com, inertia=(xx, yy, zz, x * y * xy, x * xz, y * yz))


def merged(a: Inertial, b: Inertial) -> Inertial:
    """Two links that are one body."""
    mass = a.mass + b.mass
    com = (a.mass * np.array(a.com) + b.mass * np.array(b.com)) / mass
    inertia = np.zeros(6)
    for part in (a, b):
        x, y, z = np.array(part.com) - com
        shift = np.array((y * y + z * z, x * x + z * z, x * x + y * y, -x * y, -x * z, -y * z))
        inertia += np.array(part.inertia) + part.mass * shift
    return Inertial(mass=mass, com=tuple(com), inertia=tuple(inertia))
