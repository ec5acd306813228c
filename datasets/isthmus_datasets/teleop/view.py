"""A MuJoCo model in a viser page."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import mujoco
import numpy as np
import viser
from mjviser.conversions import merge_geoms
from numpy.typing import ArrayLike

_DRAWN_GROUPS = 3
"""Geoms of groups 0, 1, 2 are drawn, as MuJoCo's own viewer begins with."""


class View:
    """Every body is sent once, as one mesh; then only poses that have changed.

    Args:
        server: Of the page.
        model: What is shown.
    """

    def __init__(self, server: viser.ViserServer, model: mujoco.MjModel) -> None:
        self._server, self._model, self._data = server, model, mujoco.MjData(model)
        self.bodies = {
            body: server.scene.add_mesh_trimesh(f"/world/{model.body(body).name or body}", merge_geoms(model, geoms))
            for body, geoms in _drawn(model).items()
        }
        """Body's number -> its mesh."""
        self.show(model.qpos0)

    def show(self, qpos: ArrayLike) -> None:
        """Joint positions (nq,), as MuJoCo has them."""
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        with self._server.atomic():
            for body, mesh in self.bodies.items():
                mesh.position, mesh.wxyz = self._data.xpos[body], self._data.xquat[body]


def _drawn(model: mujoco.MjModel) -> dict[int, list[int]]:
    """Body -> those of its geoms that can be seen."""
    opaque = (
        np.where(model.geom_matid >= 0, model.mat_rgba[model.geom_matid, 3], model.geom_rgba[:, 3])
        if model.nmat
        else model.geom_rgba[:, 3]
    )
    seen = np.flatnonzero((model.geom_group < _DRAWN_GROUPS) & (opaque > 0.0))
    return {
        int(body): [int(geom) for geom in seen if model.geom_bodyid[geom] == body]
        for body in np.unique(model.geom_bodyid[seen])
    }
