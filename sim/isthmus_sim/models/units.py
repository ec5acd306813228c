"""Refuses lengths and inertias of a model that are in another unit than metres and kg·m², by link."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from isthmus_sim.models.errors import ModelError

_LONGEST = 20.0  # m: a link that is longer, or a shape that is larger, is given in millimetres
_WIDEST = 5.0  # times the model's extent: mass that lies further from a link's centre is not on the robot


def refuse_other_units(model: mujoco.MjModel) -> None:
    """Raise ModelError naming the links whose lengths look like millimetres, or whose inertia like kg·mm²."""
    far = [*_far_links(model), *_large_shapes(model)]
    if far:
        raise ModelError(
            f"lengths that look like millimetres: {', '.join(far)}. Write metres; for a mesh in millimetres, "
            'scale="0.001 0.001 0.001"'
        )
    wide = list(_wide_inertias(model))
    if wide:
        raise ModelError(
            f"inertias of mass that would lie far outside of the robot: {', '.join(wide)}. Write them in kg·m², about "
            "the centre of mass"
        )


def _far_links(model: mujoco.MjModel) -> Iterator[str]:
    for body in np.flatnonzero(model.body_parentid > 0):
        distance = np.linalg.norm(model.body_pos[body])
        if distance > _LONGEST:
            yield f"{model.body(body).name!r} {distance:.4g} m from what it hangs on"


def _large_shapes(model: mujoco.MjModel) -> Iterator[str]:
    for geom in np.flatnonzero((model.geom_bodyid > 0) & (model.geom_rbound > _LONGEST)):
        yield f"a shape of {model.body(model.geom_bodyid[geom]).name!r} {model.geom_rbound[geom]:.4g} m"


def _wide_inertias(model: mujoco.MjModel) -> Iterator[str]:
    for body in np.flatnonzero((model.body_mass > 0) & (model.body_weldid > 0)):
        gyration = float(np.sqrt(model.body_inertia[body].max() / model.body_mass[body]))
        if gyration > _WIDEST * model.stat.extent:
            yield f"{model.body(body).name!r}, on average {gyration:.4g} m from its centre"
