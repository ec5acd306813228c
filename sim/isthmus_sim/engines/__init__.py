"""Simulators: each is an engine that takes a scene. They are registered under the entry points `isthmus.engines`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isthmus_sim.engine import Engine, UnsupportedError
from isthmus_sim.registry import Registry
from isthmus_sim.scene import Scene


@dataclass(frozen=True, kw_only=True)
class EngineEntry:
    """A simulator as it is registered.

    Args:
        make: `make(scene, num_envs)`, imported by then: what it needs may be a package that few have.
        unsupported: Why it cannot simulate a scene, in a sentence; None when it can.
        needs: What to install where `make` fails to import something.
    """

    make: Callable[[Scene, int], Engine]
    unsupported: Callable[[Scene], str | None] = lambda scene: None
    needs: str = ""


ENGINES: Registry[EngineEntry] = Registry("isthmus.engines", "engine", EngineEntry)


def make_engine(scene: Scene, num_envs: int, name: str) -> Engine:
    """`num_envs` worlds of a scene on the engine `name`.

    Raises ValueError naming the engines there are, and UnsupportedError where the engine's packages are not installed
    or it cannot simulate the scene.
    """
    entry = ENGINES[name]
    reason = entry.unsupported(scene)
    if reason:
        raise UnsupportedError(reason)
    try:
        return entry.make(scene, num_envs)
    except ModuleNotFoundError as error:
        raise UnsupportedError(f"the engine {name!r} needs {error.name}: {entry.needs}") from error
