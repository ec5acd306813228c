"""An off-screen OpenGL renderer for a model, or a word on why there is none."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os

import mujoco

from isthmus_sim.offscreen import NoRendererError


def open_renderer(model: mujoco.MjModel, *, height: int, width: int, max_geoms: int) -> mujoco.Renderer:
    """A renderer of pictures (height, width, 3), with room for `max_geoms` things. Whoever opens it closes it.

    Raises NoRendererError where there is no off-screen OpenGL on this machine.
    """
    if os.environ.get("MUJOCO_GL") is None and os.environ.get("DISPLAY") is None:
        raise NoRendererError("no off-screen OpenGL here; on Debian: apt-get install libegl1 libopengl0")
    try:
        return mujoco.Renderer(model, height, width, max_geom=max_geoms)
    except mujoco.FatalError as error:
        raise NoRendererError(f"MuJoCo cannot draw with {os.environ.get('MUJOCO_GL', 'a display')}: {error}") from error
