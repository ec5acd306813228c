"""The choice of the off-screen renderer."""

from __future__ import annotations

import os

import pytest

from isthmus_sim.rendering import offscreen


@pytest.mark.parametrize(
    ("libraries", "backend"),
    [
        ({"EGL", "OpenGL", "OSMesa"}, "egl"),
        ({"EGL", "OSMesa"}, "osmesa"),
        ({"OSMesa"}, "osmesa"),
        ({"EGL"}, None),
        (set(), None),
    ],
)
def test_egl_first_then_osmesa_then_none(monkeypatch: pytest.MonkeyPatch, libraries: set[str], backend: str | None):
    monkeypatch.setattr(offscreen, "find_library", lambda name: f"lib{name}.so" if name in libraries else None)
    monkeypatch.setattr(offscreen.sys, "platform", "linux")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    offscreen.select_backend()
    assert os.environ.get("MUJOCO_GL") == backend


def test_the_persons_choice_stands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    offscreen.select_backend()
    assert os.environ["MUJOCO_GL"] == "glfw"
