"""The parameters of a scene before anybody has set them."""

from __future__ import annotations

import torch

from isthmus_sim.engine import Params
from isthmus_sim.scene import Scene


def nominal(scene: Scene, num_envs: int) -> Params:
    """Every parameter of the scene as its description has it: name -> (num_envs, size) float32."""
    return {p.name: torch.tensor(p.nominal, dtype=torch.float32).repeat(num_envs, 1) for p in scene.parameters}
