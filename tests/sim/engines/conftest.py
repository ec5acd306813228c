"""Engines that these tests share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus_sim.engine import Engine
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_engine import MujocoEngine

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

from quadrotors import scene_of


@pytest.fixture(params=["analytic", "mujoco"])
def make_engine(request: pytest.FixtureRequest) -> Callable[[int], Engine]:
    """Either engine: number of worlds -> quadrotors."""
    if request.param == "analytic":
        return lambda n: AnalyticQuadrotor(scene_of(), n)
    return lambda n: MujocoEngine(scene_of(), n, num_threads=1)
