"""What may differ from one world of the arm to the next: size of the cube, colors, light, cameras."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco
import torch
from torch import Tensor

from isthmus_sim.robots.so101.mjcf import CAMERAS, CUBE, FLOOR, LAMP, TABLE, ZONE

Params = dict[str, Tensor]
_COLORED = {f"{name}_rgb": name for name in (CUBE, ZONE, TABLE, FLOOR)}

SIZES: dict[str, int] = {
    "cube_edge": 1,
    **dict.fromkeys(_COLORED, 3),
    "table_pattern": 1,
    "lamp_direction": 3,
    "lamp_rgb": 3,
    "lamp_ambient": 1,
    **{
        f"{camera}_camera_{kind}": size for camera in CAMERAS for kind, size in (("shift", 3), ("turn", 3), ("zoom", 1))
    },
}
"""Parameter -> how many numbers. Edge in m; colors from 0 to 1; pattern: number in `PATTERNS`; the lamp's direction is
where its light goes, its ambient light white; of a camera: shift m and turn rad (a rotation vector), both in its own
axes (x right, y up, z back), from where it is in the model, and the factor of its field of view."""


def nominal(model: mujoco.MjModel, n: int) -> Params:
    """n rows of the model's own values."""
    lamp = model.light(LAMP)
    rows: dict[str, list[float]] = {name: [0.0] * size for name, size in SIZES.items()}
    rows |= {name: model.geom(geom).rgba[:3].tolist() for name, geom in _COLORED.items()}
    rows |= {f"{camera}_camera_zoom": [1.0] for camera in CAMERAS}
    rows["cube_edge"] = [2 * float(model.geom(CUBE).size[0])]
    rows["lamp_direction"], rows["lamp_rgb"] = lamp.dir.tolist(), lamp.diffuse.tolist()
    rows["lamp_ambient"] = [float(lamp.ambient[0])]
    return {name: torch.tensor(row, dtype=torch.float32).repeat(n, 1) for name, row in rows.items()}


def model_fields(model: mujoco.MjModel, params: Params) -> dict[str, Tensor]:
    """What parameters (n, k) are in MuJoCo's model: field -> (n, ...)."""
    params = {name: value.double() for name, value in params.items()}
    return _cube_fields(model, params) | _color_fields(model, params) | _camera_fields(model, params)


def _rows(model: mujoco.MjModel, field: str, n: int) -> Tensor:
    values = torch.from_numpy(getattr(model, field).copy())
    return values.repeat(n, *(1,) * values.ndim)


def _cube_fields(model: mujoco.MjModel, params: Params) -> dict[str, Tensor]:
    edge, geom, body = params["cube_edge"], model.geom(CUBE).id, model.body(CUBE).id
    scale = edge / (2 * float(model.geom(CUBE).size[0]))
    names = ("geom_size", "geom_rbound", "geom_aabb", "body_mass", "body_inertia")
    size, bound, box, mass, inertia = (_rows(model, name, len(edge)) for name in names)
    size[:, geom] *= scale
    bound[:, geom] *= scale[:, 0]
    box[:, geom] *= scale
    mass[:, body] *= scale[:, 0] ** 3
    inertia[:, body] *= scale**5
    return dict(zip(names, (size, bound, box, mass, inertia), strict=True))


def _color_fields(model: mujoco.MjModel, params: Params) -> dict[str, Tensor]:
    n, lamp = len(params["lamp_rgb"]), model.light(LAMP).id
    names = ("geom_rgba", "geom_matid", "light_dir", "light_diffuse", "light_ambient")
    rgba, material, direction, diffuse, ambient = (_rows(model, name, n) for name in names)
    for name, geom in _COLORED.items():
        rgba[:, model.geom(geom).id, :3] = params[name].to(rgba.dtype)
    first = model.geom(TABLE).matid[0]
    material[:, model.geom(TABLE).id] = first + params["table_pattern"][:, 0].to(material.dtype)
    direction[:, lamp] = torch.nn.functional.normalize(params["lamp_direction"], dim=-1).to(direction.dtype)
    diffuse[:, lamp] = params["lamp_rgb"].to(diffuse.dtype)
    ambient[:, lamp] = params["lamp_ambient"].to(ambient.dtype)
    return dict(zip(names, (rgba, material, direction, diffuse, ambient), strict=True))


def _camera_fields(model: mujoco.MjModel, params: Params) -> dict[str, Tensor]:
    names = ("cam_pos", "cam_quat", "cam_fovy")
    place, quaternion, fovy = (_rows(model, name, len(params["cube_edge"])) for name in names)
    for camera in CAMERAS:
        shift, turn, zoom = (params[f"{camera}_camera_{kind}"].numpy() for kind in ("shift", "turn", "zoom"))
        i = model.camera(camera).id
        fovy[:, i] *= torch.from_numpy(zoom[:, 0]).to(fovy.dtype)
        for row, vector in enumerate(shift):
            moved = torch.zeros(3, dtype=torch.float64)
            mujoco.mju_rotVecQuat(moved.numpy(), vector, model.cam_quat[i])
            place[row, i] += moved
            mujoco.mju_quatIntegrate(quaternion[row, i].numpy(), turn[row], 1.0)
    return dict(zip(names, (place, quaternion, fovy), strict=True))
