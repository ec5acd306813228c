"""An off-screen renderer, or one line that says why there is none."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
from typing import Any

import mujoco


class NoRendererError(OSError):
    """This machine cannot draw without a display; the message says what to install."""


def open_renderer(model: Any, height: int, width: int, max_geom: int) -> mujoco.Renderer:
    """A renderer of images of that size, px; its context belongs to this thread. Raises NoRendererError."""
    backend = os.environ.get("MUJOCO_GL")
    if backend is None and os.environ.get("DISPLAY") is None:
        raise NoRendererError("no off-screen OpenGL here; on Debian: apt-get install libegl1 libopengl0")
    try:
        return mujoco.Renderer(model, height, width, max_geom=max_geom)
    except mujoco.FatalError as error:
        raise NoRendererError(f"MuJoCo cannot draw with {backend or 'a display'}: {error}") from error
