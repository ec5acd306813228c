"""A MuJoCo model in a viser page."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import mujoco
import numpy as np
import viser
from mjviser.conversions import create_primitive_mesh, mujoco_mesh_to_trimesh
from numpy.typing import ArrayLike, NDArray

_DRAWN_GROUPS = 3
"""Geoms of groups 0, 1, 2 are drawn, as MuJoCo's own viewer begins with."""


class View:
    """Every geom is sent once; then only poses of bodies that have changed.

    Args:
        server: Of the page.
        model: What is shown.
    """

    def __init__(self, server: viser.ViserServer, model: mujoco.MjModel) -> None:
        self._server, self._model, self._data = server, model, mujoco.MjData(model)
        self._bodies: dict[int, viser.FrameHandle] = {}
        self.meshes = [self._add(geom) for geom in range(model.ngeom) if _seen(model, geom)]
        """Of the geoms that are drawn."""
        self.show(model.qpos0)

    def _add(self, geom: int) -> viser.MeshHandle:
        model, body = self._model, int(self._model.geom_bodyid[geom])
        frame = f"/world/{body}"
        if body not in self._bodies:
            self._bodies[body] = self._server.scene.add_frame(frame, show_axes=False)
        is_mesh = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
        mesh = (mujoco_mesh_to_trimesh if is_mesh else create_primitive_mesh)(model, geom)
        rgba = _rgba(model, geom)
        return self._server.scene.add_mesh_simple(
            f"{frame}/{geom}",
            np.asarray(mesh.vertices),
            np.asarray(mesh.faces),
            color=tuple(rgba[:3]),
            opacity=None if rgba[3] >= 1.0 else float(rgba[3]),
            flat_shading=not is_mesh,
            cast_shadow=False,
            receive_shadow=False,
            position=model.geom_pos[geom],
            wxyz=model.geom_quat[geom],
        )

    def show(self, qpos: ArrayLike) -> None:
        """Joint positions (nq,), as MuJoCo has them."""
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        with self._server.atomic():
            for body, frame in self._bodies.items():
                frame.position, frame.wxyz = self._data.xpos[body], self._data.xquat[body]


def _rgba(model: mujoco.MjModel, geom: int) -> NDArray[np.float64]:
    """(4,) 0..1: of its material, or else its own."""
    material = model.geom_matid[geom]
    return np.array(model.geom_rgba[geom] if material < 0 else model.mat_rgba[material], np.float64)


def _seen(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_group[geom] < _DRAWN_GROUPS and _rgba(model, geom)[3] > 0.0)
