"""Simulators in processes of their own, for the tests of their engines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from isthmus_sim.engines.worker import simulators
from isthmus_sim.engines.worker.engine import WorkerEngine
from isthmus_sim.engines.worker.process import Simulator
from isthmus_sim.robots.quadruped.description import ROBOT
from isthmus_sim.scene import Scene, legged_scene

STAND_INS = str(Path(__file__).parent / "stand_ins")
"""Simulators that these tests bring along."""

MakeWorker = Callable[..., WorkerEngine]
"""Number of worlds, scene (by default quadrupeds on flat ground) -> an engine, closed after the test."""

SIMULATORS: dict[str, Callable[[], Simulator]] = {
    "physx": simulators.physx,
    "sapien": simulators.sapien,
    "isaacgym-stand-in": lambda: replace(simulators.isaacgym(), python=sys.executable, path=STAND_INS),
}
"""What engines are tested with. Isaac Gym is on no registry: a stand-in with MuJoCo inside takes its place."""
_NEEDED = {"physx": "ovphysx, ovstage", "sapien": "sapien"}
"""What the interpreter must be able to import."""


def missing(name: str) -> str | None:
    """Why the simulator cannot be started here; None where it can."""
    simulator = SIMULATORS[name]()
    return None if name not in _NEEDED or imports(simulator.python, _NEEDED[name]) else simulator.needs


def imports(python: str, modules: str) -> bool:
    """Whether an interpreter exists and imports these modules."""
    try:
        return subprocess.run([python, "-c", f"import {modules}"], capture_output=True).returncode == 0
    except OSError:
        return False


def opened(simulator: Simulator) -> Iterator[MakeWorker]:
    """A function that starts engines, which are closed when it is dropped."""
    engines: list[WorkerEngine] = []

    def make(n: int, scene: Scene | None = None) -> WorkerEngine:
        engines.append(WorkerEngine(scene or legged_scene(ROBOT), n, simulator))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def stand_in(physics: str, **options: float | str) -> Simulator:
    """A simulator of this folder: "MODULE:CLASS"."""
    given = {"name": "stand-in", "python": sys.executable, "needs": "Mend the stand-in.", "path": STAND_INS}
    return Simulator(**{**given, "physics": physics, **options})  # pyright: ignore[reportArgumentType]
