"""How images are drawn without a display: the one place that decides."""

from __future__ import annotations

import os
import sys
from ctypes.util import find_library


def available_backend() -> str | None:
    """Name of the off-screen OpenGL that this machine has, as `MUJOCO_GL` calls it, or None."""
    if find_library("EGL") and find_library("OpenGL"):
        return "egl"
    if find_library("OSMesa"):
        return "osmesa"
    return None


def select_backend() -> None:
    """Set `MUJOCO_GL` unless the person did. Works only before the first `import mujoco`, which reads it.

    Without any backend it stays unset: MuJoCo fails at import when the named one is missing, and everything but
    images works without.
    """
    backend = available_backend() if sys.platform == "linux" else None
    if backend is not None:
        os.environ.setdefault("MUJOCO_GL", backend)
