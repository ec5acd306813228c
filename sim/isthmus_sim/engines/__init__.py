"""Engines: implementations of `isthmus_sim.engine.Engine`, by name."""

from __future__ import annotations

from collections.abc import Callable

from isthmus_sim.engine import Engine
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_quadrotor import MujocoQuadrotor

ENGINES: dict[str, Callable[[int], Engine]] = {
    "analytic": AnalyticQuadrotor,
    "mujoco": MujocoQuadrotor,
}


def make_engine(name: str, num_envs: int) -> Engine:
    """Raises ValueError naming the engines there are."""
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; there are: {', '.join(ENGINES)}")
    return ENGINES[name](num_envs)
