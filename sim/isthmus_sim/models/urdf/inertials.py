"""Masses in a URDF: what is welded together moves as one body, and only the whole's inertia counts.

So links without mass are welded to what carries them, and links that move without any mass are refused by name.
"""

from __future__ import annotations

import numpy as np

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.spatial_inertia import SpatialInertia, total
from isthmus_sim.models.urdf.tree import UrdfTree, read_inertial, write_inertial

NEGLIGIBLE_MASS = 1e-4  # kg: place-holders, such as 1e-6 kg on a root, are there for readers that ask for some mass
_ROUNDING = 0.01  # share of C by which moments may miss A + B >= C: many are published with two digits
_EXACT = 1e-9  # share of C that MuJoCo's own decomposition may lose


def is_negligible(body: SpatialInertia | None) -> bool:
    """Whether `body` weighs too little to move by itself, or has no inertia at all."""
    return body is None or body.mass < NEGLIGIBLE_MASS


def gather_inertials(tree: UrdfTree, floating: bool) -> list[str]:
    """Give each link that moves, and the root, the inertia of all that is welded to it; returns what was done.

    `floating`: the root moves, too. Raises ModelError naming the links that would move without mass, or with an
    inertia that no body has.
    """
    changes, faults = _shapes_without_mass(tree), []
    for head in tree.heads():
        welded = {link: (read_inertial(tree.links[link]), pose) for link, pose in tree.welded(head)}
        heavy = {link: body.in_parent(pose) for link, (body, pose) in welded.items() if body is not None}
        body = total(heavy.values()) if heavy else None
        if floating or head != tree.root:
            body, change, fault = _checked(head, body)
            changes += change
            faults += fault
            others = ", ".join(repr(link) for link in heavy if link != head)
            if others and is_negligible(welded[head][0]):
                changes.append(f"link {head!r} has no mass of its own and carries that of {others}, welded to it")
        for link in welded:
            write_inertial(tree.links[link], body if link == head else None)
    if faults:
        raise ModelError(f"links that cannot move: {'; '.join(faults)}. Correct their <inertial>")
    return changes


def _shapes_without_mass(tree: UrdfTree) -> list[str]:
    links = [name for name, link in tree.links.items() if link.find("collision") is not None]
    bare = [name for name in links if tree.links[name].find("inertial") is None]
    names = ", ".join(map(repr, bare))
    return [f"links with a collision and no <inertial> add no mass: {names}"] if bare else []


def _checked(link: str, body: SpatialInertia | None) -> tuple[SpatialInertia | None, list[str], list[str]]:
    """The inertia with which `link` can move, what was changed for that, and what stands against it."""
    if body is None:
        return None, [], [f"{link!r} 0 kg"]
    smallest, middle, largest = moments = body.principal
    missing = largest - smallest - middle
    numbers = ", ".join(f"{moment:.4g}" for moment in moments)
    if smallest <= np.finfo(float).eps * largest or smallest < 1e-15:
        return None, [], [f"{link!r} {body.mass:g} kg, whose principal moments of inertia are {numbers} kg·m²"]
    if missing > _ROUNDING * largest:
        return None, [], [f"{link!r}, whose principal moments {numbers} kg·m² miss A + B >= C"]
    if missing <= -_EXACT * largest:
        return body, [], []
    told = missing > 1e-6 * largest
    change = [f"link {link!r}: the principal moments {numbers} kg·m² are rounded up to A + B >= C"] if told else []
    return _raised(body, missing + _EXACT * largest), change, []


def _raised(body: SpatialInertia, missing: float) -> SpatialInertia:
    """The smaller two principal moments, each higher by half of `missing`."""
    moments, axes = np.linalg.eigh(body.inertia)
    moments[:2] += missing / 2
    return SpatialInertia(mass=body.mass, com=body.com, inertia=axes @ np.diag(moments) @ axes.T)
