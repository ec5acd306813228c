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
_UNSAID = (0.5, 0.5, 0.5, 1.0)
"""The colour of a geom that none was given."""


class View:
    """Every geom is sent once, and again if it looks different in another episode; else only poses that have changed.

    Args:
        server: The page's server.
        model: What is shown.
    """

    def __init__(self, server: viser.ViserServer, model: mujoco.MjModel) -> None:
        self._server, self._data = server, mujoco.MjData(model)
        self._bodies: dict[int, viser.FrameHandle] = {}
        self._looks: dict[int, list[float]] = {}
        self.meshes: dict[int, viser.MeshHandle] = {}
        """Geom's number -> what is drawn of it."""
        self.renew(model)
        self.show(model.qpos0)

    def renew(self, model: mujoco.MjModel) -> None:
        """The same model, with sizes and colours of geoms that may be others."""
        self._model = model
        for geom in range(model.ngeom):
            looks = _looks(model, geom)
            if _seen(model, geom) and looks != self._looks.get(geom):
                self.meshes[geom], self._looks[geom] = self._add(geom), looks

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

    def show(self, qpos: ArrayLike, mocap: ArrayLike = ()) -> None:
        """Joint positions (nq,) and places of mocap bodies (nmocap, 3), as MuJoCo has them."""
        self._data.qpos[:] = qpos
        if np.size(mocap):
            self._data.mocap_pos[:] = mocap
        mujoco.mj_kinematics(self._model, self._data)
        with self._server.atomic():
            for body, frame in self._bodies.items():
                frame.position, frame.wxyz = self._data.xpos[body], self._data.xquat[body]


def _looks(model: mujoco.MjModel, geom: int) -> list[float]:
    parts = (model.geom_size, model.geom_pos, model.geom_quat)
    return [*np.concatenate([part[geom] for part in parts]).tolist(), *_rgba(model, geom).tolist()]


def _rgba(model: mujoco.MjModel, geom: int) -> NDArray[np.float64]:
    """(4,) 0..1: its own where it has one, or else its material's, as MuJoCo's renderer takes it."""
    own, material = np.array(model.geom_rgba[geom], np.float64), model.geom_matid[geom]
    return np.array(model.mat_rgba[material], np.float64) if material >= 0 and np.allclose(own, _UNSAID) else own


def _seen(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_group[geom] < _DRAWN_GROUPS and _rgba(model, geom)[3] > 0.0)
