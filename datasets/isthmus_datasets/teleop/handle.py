"""What a person drags in the 3-D view: the guide's target."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import trimesh.creation
import viser
from numpy.typing import ArrayLike, NDArray

from isthmus_datasets.teleop.operators.teleop_controller import ToolPose

Dragged = Callable[[ArrayLike, ArrayLike], None]
"""Is told position (3,) m and orientation (4,) wxyz in the world; called from the server's thread."""

ORANGE = (255, 120, 0)
_UPRIGHT = (1.0, 0.0, 0.0, 0.0)  # wxyz


class Handle(Protocol):
    """Drawn where the target is, unless somebody holds it elsewhere."""

    def show(self, target: ToolPose, *, visible: bool = True) -> None:
        """The target is there now."""
        ...

    def release(self) -> None:
        """Whoever held it is gone."""
        ...


class PlaneHandle:
    """A ring on a level plane. It goes to wherever the mouse is pressed on it, or on one of `meshes`.

    Args:
        server: The page's server.
        dragged: Told the place under the mouse.
        height_m: Height of the plane.
        radius_m: Radius of the ring.
        meshes: What else can be pressed, such as the table and what lies on it.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        dragged: Dragged,
        *,
        height_m: float,
        radius_m: float,
        meshes: Iterable[viser.MeshHandle] = (),
    ) -> None:
        self._dragged, self._height_m = dragged, height_m
        ring = trimesh.creation.annulus(r_min=0.8 * radius_m, r_max=radius_m, height=0.002)
        dot = trimesh.creation.cylinder(radius=0.18 * radius_m, height=0.002)
        self._grip = server.scene.add_cylinder(
            "/target", radius=radius_m, height=0.001, color=ORANGE, opacity=0.25, cast_shadow=False
        )
        for name, part in (("ring", ring), ("dot", dot)):
            server.scene.add_mesh_simple(f"/target/{name}", part.vertices, part.faces, color=ORANGE, cast_shadow=False)
        for mesh in (self._grip, *meshes):
            mesh.on_drag("left")(self._follow)

    async def _follow(self, event: viser.SceneNodeDragEvent) -> None:
        place = on_plane(event.client.camera.position, event.end_position, self._height_m)
        if place is not None and event.phase != "end":
            self._dragged(place, _UPRIGHT)

    def show(self, target: ToolPose, *, visible: bool = True) -> None:
        """At the target, on the plane."""
        self._grip.position = (*target[0][:2], self._height_m)
        self._grip.visible = visible

    def release(self) -> None:
        """It is nobody's at any time."""


class SpaceHandle:
    """Arrows and arcs that move and turn the target in space.

    Args:
        server: The page's server.
        dragged: Told the target's pose.
        size_m: Length of the arrows.
    """

    def __init__(self, server: viser.ViserServer, dragged: Dragged, *, size_m: float) -> None:
        self._gizmo = server.scene.add_transform_controls("/target", scale=size_m, depth_test=False)
        self._dragged, self._held = dragged, False
        self._gizmo.on_update(self._follow)

    async def _follow(self, event: viser.TransformControlsEvent) -> None:
        self._held = event.phase != "end"
        self._dragged(np.array(event.target.position), np.array(event.target.wxyz))

    def show(self, target: ToolPose, *, visible: bool = True) -> None:
        """At the target; where somebody holds it, it stays in their hand."""
        self._gizmo.visible = visible
        if not self._held:
            self._gizmo.position, self._gizmo.wxyz = target

    def release(self) -> None:
        """Nobody holds it."""
        self._held = False


def on_plane(eye: ArrayLike, point: ArrayLike, height_m: float) -> NDArray[np.float64] | None:
    """(3,) m: where the ray from `eye` (3,) through `point` (3,) meets the level plane; None where it does not."""
    begin = np.asarray(eye, np.float64)
    way = np.asarray(point, np.float64) - begin
    far = (height_m - begin[2]) / way[2] if way[2] else -1.0
    return begin + far * way if far > 0.0 else None
