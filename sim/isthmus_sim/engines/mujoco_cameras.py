"""What cameras of the model see, drawn for every world: images as observations.

A world is drawn by putting its state and looks into one model per thread. Software rendering is bound by vertices at
these sizes: spheres and cylinders of a few faces are drawn four times as fast as MuJoCo's default ones, and look the
same in 64 pixels.
"""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_sim.rendering.renderer import open_renderer
from isthmus_sim.scene import Quantity

LOOKS = (
    "geom_rgba", "geom_matid", "geom_size", "light_dir", "light_diffuse", "light_ambient", "cam_pos", "cam_quat",
    "cam_fovy",
)  # fmt: skip
"""Model fields that change how a world looks."""
_SLICES, _STACKS, _QUADS = 8, 4, 1


class WorldImages:
    """Images of all worlds, (num_envs, height, width, 3) uint8 by quantity; a world that is not drawn keeps its image.

    Args:
        model: Compiled.
        quantities: Quantities of kind "camera", all of one size.
        num_envs: Worlds.
        num_threads: Each draws with a context of its own.

    Raises:
        ValueError: images of different sizes.
        NoRendererError: there is no off-screen OpenGL on this machine.
    """

    def __init__(self, model: Any, quantities: Sequence[Quantity], num_envs: int, num_threads: int) -> None:
        shapes = {quantity.shape for quantity in quantities}
        if len(shapes) > 1:
            raise ValueError(f"images of different sizes: {', '.join(map(str, sorted(shapes)))}; give all cameras one")
        self.images = {q.name: torch.zeros(num_envs, *q.shape, dtype=torch.uint8) for q in quantities}
        self._cameras = {q.name: q.of[0] for q in quantities}
        self._painters = [_Painter(model, next(iter(shapes)), self._cameras) for _ in range(min(num_threads, num_envs))]
        # A context belongs to one thread: a painter is only ever used by its own.
        self._pools = [ThreadPoolExecutor(1) for _ in self._painters]

    def draw(self, ids: Tensor, qpos: Tensor, mocap: Tensor, looks: Mapping[str, Tensor]) -> None:
        """Draw worlds `ids` (k,) as they are now: qpos (num_envs, nq), mocap (num_envs, nmocap, 3); `looks`: fields of
        `LOOKS` that differ, (num_envs, ...) each."""
        fields = {name: value.numpy() for name, value in looks.items() if name in LOOKS}
        images = {name: image.numpy() for name, image in self.images.items()}
        worlds = np.array_split(ids.numpy(), len(self._painters))
        work = [
            pool.submit(painter.paint, part, qpos.numpy(), mocap.numpy(), fields, images)
            for pool, painter, part in zip(self._pools, self._painters, worlds, strict=True)
            if len(part)
        ]
        for done in work:
            done.result()

    def close(self) -> None:
        """Release the contexts, each by its thread."""
        for pool, painter in zip(self._pools, self._painters, strict=True):
            pool.submit(painter.close).result()
            pool.shutdown()


class _Painter:
    """Draws one world after the other. Everything but its making happens in one thread."""

    def __init__(self, model: Any, shape: tuple[int, ...], cameras: Mapping[str, str]) -> None:
        height, width, _ = shape
        self._model = copy.copy(model)  # painters change theirs
        visual = self._model.vis
        visual.quality.numslices, visual.quality.numstacks, visual.quality.numquads = _SLICES, _STACKS, _QUADS
        visual.global_.offheight, visual.global_.offwidth = height, width
        self._data = mujoco.MjData(self._model)
        self._size = (height, width)
        self._cameras = {name: self._model.camera(camera).id for name, camera in cameras.items()}
        self._renderer: mujoco.Renderer | None = None

    def paint(
        self,
        worlds: NDArray[np.int64],
        qpos: NDArray[np.float64],
        mocap: NDArray[np.float64],
        looks: Mapping[str, NDArray[Any]],
        images: Mapping[str, NDArray[np.uint8]],
    ) -> None:
        model, data = self._model, self._data
        renderer = self._renderer = self._renderer or open_renderer(model, *self._size, 2 * model.ngeom + 100)
        for world in worlds:
            for name, values in looks.items():
                getattr(model, name)[:] = values[world]
            data.qpos[:], data.mocap_pos[:] = qpos[world], mocap[world]
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            for name, camera in self._cameras.items():
                renderer.update_scene(data, camera)
                renderer.render(out=images[name][world])

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
