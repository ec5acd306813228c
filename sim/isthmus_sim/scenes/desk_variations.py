"""What may differ from one desk to the next: the size of the cube, colors, light, cameras."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus_sim.scenes.desk import (
    CAMERAS,
    CUBE,
    CUBE_EDGE,
    FLOOR,
    LAMP,
    LAMP_AMBIENT,
    LAMP_DIRECTION,
    LAMP_RGB,
    PATTERNS,
    RGB,
    TABLE,
    ZONE,
)
from isthmus_sim.specs import Parameter, scalar
from isthmus_sim.variations import Array, rows

_COLORED = (CUBE, ZONE, TABLE, FLOOR)


@dataclass(frozen=True, kw_only=True)
class CubeEdge:
    """cube_edge (1) m; the cube's density stays."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (scalar("cube_edge", "m", CUBE_EDGE, (0.026, 0.034), (0.005, 0.1)),)

    def fields(self, model: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        edge, geom, body = values["cube_edge"], model.geom(CUBE).id, model.body(CUBE).id
        scale = edge / (2 * float(model.geom(CUBE).size[0]))
        names = ("geom_size", "geom_rbound", "geom_aabb", "body_mass", "body_inertia")
        size, bound, box, mass, inertia = (rows(model, name, edge) for name in names)
        size[:, geom] *= scale
        bound[:, geom] *= scale[:, 0]
        box[:, geom] *= scale.reshape(-1, *(1,) * (box.ndim - 2))
        mass[:, body] *= scale[:, 0] ** 3
        inertia[:, body] *= scale**5
        return dict(zip(names, (size, bound, box, mass, inertia), strict=True))


def _vector(name: str, unit: str, order: tuple[str, ...], nominal: tuple[float, ...], around: float) -> Parameter:
    return Parameter(
        name=name, unit=unit, order=order, nominal=nominal, minimum=tuple(value - around for value in nominal),
        maximum=tuple(value + around for value in nominal),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DeskLooks:
    """Colors from 0 to 1; table_pattern: number in `PATTERNS`; the lamp's direction is where its light goes, and its
    ambient light is white; for each camera its shift m and turn rad (a rotation vector), both in its own axes (x right,
    y up, z back), from where the model has it, and the factor of its field of view."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        rgb, xyz = ("r", "g", "b"), ("x", "y", "z")
        cameras = [
            parameter
            for camera in CAMERAS
            for parameter in (
                _vector(f"{camera}_camera_shift", "m", xyz, (0.0,) * 3, 0.015),
                _vector(f"{camera}_camera_turn", "rad", xyz, (0.0,) * 3, 0.035),
                scalar(f"{camera}_camera_zoom", "1", 1.0, (0.95, 1.05), (0.1, 10.0)),
            )
        ]
        return (
            *(_vector(f"{name}_rgb", "1", rgb, RGB[name], 0.1) for name in _COLORED),
            scalar("table_pattern", "1", 0.0, (0.0, len(PATTERNS) - 1.0)),
            _vector("lamp_direction", "1", xyz, LAMP_DIRECTION, 0.2),
            _vector("lamp_rgb", "1", rgb, LAMP_RGB, 0.1),
            scalar("lamp_ambient", "1", LAMP_AMBIENT, (0.05, 0.3), (0.0, 1.0)),
            *cameras,
        )

    def fields(self, model: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        return _color_fields(model, values) | _camera_fields(model, values)


def _color_fields(model: Any, values: Mapping[str, Array]) -> dict[str, Array]:
    lamp = model.light(LAMP).id
    names = ("geom_rgba", "geom_matid", "light_dir", "light_diffuse", "light_ambient")
    rgba, material, direction, diffuse, ambient = (rows(model, name, values["lamp_rgb"]) for name in names)
    for name in _COLORED:
        rgba[:, model.geom(name).id, :3] = values[f"{name}_rgb"]
    material[:, model.geom(TABLE).id] = model.geom(TABLE).matid[0] + values["table_pattern"][:, 0]
    lit = values["lamp_direction"]
    direction[:, lamp] = lit / np.linalg.norm(lit, axis=-1, keepdims=True)
    diffuse[:, lamp] = values["lamp_rgb"]
    ambient[:, lamp] = values["lamp_ambient"]
    return dict(zip(names, (rgba, material, direction, diffuse, ambient), strict=True))


def _camera_fields(model: Any, values: Mapping[str, Array]) -> dict[str, Array]:
    import mujoco  # here, as a desk can be described where there is no MuJoCo

    names = ("cam_pos", "cam_quat", "cam_fovy")
    place, quaternion, fovy = (rows(model, name, values["lamp_rgb"]) for name in names)
    for camera in CAMERAS:
        shift, turn, zoom = (values[f"{camera}_camera_{kind}"] for kind in ("shift", "turn", "zoom"))
        i = model.camera(camera).id
        fovy[:, i] *= zoom[:, 0]
        for row, vector in enumerate(shift):
            moved = np.zeros(3)
            mujoco.mju_rotVecQuat(moved, vector, model.cam_quat[i])
            place[row, i] += moved
            mujoco.mju_quatIntegrate(quaternion[row, i], turn[row], 1.0)
    return dict(zip(names, (place, quaternion, fovy), strict=True))
