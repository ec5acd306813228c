"""The simulators that the project ships, as they are registered. None is imported before it is made."""

from __future__ import annotations

from collections.abc import Callable

from isthmus_sim.engine import Engine
from isthmus_sim.engines import EngineEntry
from isthmus_sim.scene import Scene


def _mujoco(scene: Scene, num_envs: int) -> Engine:
    from isthmus_sim.engines.mujoco_engine import MujocoEngine

    return MujocoEngine(scene, num_envs)


def _warp(scene: Scene, num_envs: int) -> Engine:
    from isthmus_sim.engines.warp_engine import WarpEngine

    return WarpEngine(scene, num_envs)


def _worker(name: str) -> Callable[[Scene, int], Engine]:
    def make(scene: Scene, num_envs: int) -> Engine:
        from isthmus_sim.engines.worker.engine import WorkerEngine
        from isthmus_sim.engines.worker.simulators import SIMULATORS

        return WorkerEngine(scene, num_envs, SIMULATORS[name]())

    return make


def _analytic(scene: Scene, num_envs: int) -> Engine:
    from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor

    return AnalyticQuadrotor(scene, num_envs)


MUJOCO = EngineEntry(make=_mujoco, needs="pip install 'isthmus[sim]'")
WARP = EngineEntry(make=_warp, needs="pip install 'isthmus[gpu]'")
ANALYTIC = EngineEntry(make=_analytic)
SAPIEN = EngineEntry(make=_worker("sapien"), needs="pip install 'isthmus[sim]'")
ISAACGYM = EngineEntry(make=_worker("isaacgym"), needs="pip install 'isthmus[sim]'")
PHYSX = EngineEntry(make=_worker("physx"), needs="pip install 'isthmus[sim]'")
