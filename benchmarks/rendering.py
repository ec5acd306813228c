"""`make bench-rendering`: images a second of the arm's two cameras on one core, beside a bare MuJoCo renderer and
beside rendering with shadows and multisampling.

Seconds are of this process's time on the one core that it stays on, so that others on the machine do not count.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from common import BenchOptions, Row, over_seeds, parse, report

os.environ["LP_NUM_THREADS"] = "0"  # Mesa's software rendering stays on this thread; it asks when it begins

import mujoco
import torch

from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.env import Env
from isthmus_sim.rendering.cameras import WorldCameras
from isthmus_sim.scenes.desk import CAMERAS, desk_mjcf
from isthmus_sim.tasks import make_task


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Measure the arm's cameras."""

    size: int = 96
    """Height and width of the images, px."""
    rounds: int = 9
    """Times that everything is measured in turn."""
    seconds: float = 0.5
    """Length of one turn, s of processor time."""


QUICK = Options(rounds=2, seconds=0.1)


def rate(draw: Callable[[], int], seconds: float) -> float:
    """Images per second over about `seconds`; `draw` returns how many it has drawn."""
    begun, images = time.process_time(), 0
    while time.process_time() - begun < seconds:
        images += draw()
    return images / (time.process_time() - begun)


def drawing(cameras: WorldCameras) -> Callable[[], int]:
    """As recording does it: the world's looks and state are taken over, then each camera draws."""
    return lambda: len(cameras.images())


def bare(model: mujoco.MjModel, size: int) -> Callable[[], int]:
    """A renderer, a state that never changes, one camera."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = mujoco.Renderer(model, size, size)

    def draw() -> int:
        renderer.update_scene(data, CAMERAS[0])
        renderer.render()
        return 1

    return draw


def as_mujoco_has_it() -> mujoco.MjModel:
    """The same scene with the quality that MuJoCo begins with: shadows, and four samples a pixel."""
    spec = mujoco.MjSpec.from_string(desk_mjcf())
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 4096, 4
    return spec.compile()


def measure(options: Options) -> list[Row]:
    """All in turns, so that they share what the machine does meanwhile."""
    task, size = make_task("pick_place-randomized"), options.size
    engine = MujocoEngine(task.scene, 1, num_threads=1)
    env = Env(task, engine, seed=0)
    env.reset()
    works = {name: drawing(WorldCameras(engine, (name,), height=size, width=size)) for name in CAMERAS}
    works["both"] = drawing(WorldCameras(engine, CAMERAS, height=size, width=size))
    works["bare"], works["default"] = bare(engine.model, size), bare(as_mujoco_has_it(), size)
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        env.step(torch.zeros(1, 6))
        for name, work in works.items():
            rates[name].append(rate(work, options.seconds))
    plain, default = (sorted(rates[name])[options.rounds // 2] for name in ("bare", "default"))
    peer = f"a bare renderer: {plain:.0f}, with MuJoCo's own quality: {default:.0f}"
    return [
        *(over_seeds(f"camera {name!r}, {size} × {size}", rates[name], "1/s", must=">= 200") for name in CAMERAS),
        over_seeds("both in turn, one core", rates["both"], "1/s", must=">= 200", peer=peer),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    return report("rendering", measure(options), options)


if __name__ == "__main__":
    sys.exit(main())
