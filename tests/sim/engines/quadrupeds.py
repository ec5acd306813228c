"""Quadrupeds for the tests of engines: states, and the trips that all engines take."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Engine, Resets, State
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.robots.quadruped.description import DEFAULT_POSE, ROBOT, STAND_HEIGHT
from isthmus_sim.scene import legged_scene
from isthmus_sim.scenes.terrain import Terrain

POSE = torch.tensor(DEFAULT_POSE)


def on_mujoco(n: int, robot: RobotDescription = ROBOT, terrain: Terrain | None = None) -> MujocoEngine:
    """n quadrupeds in MuJoCo on one thread."""
    return MujocoEngine(legged_scene(robot, terrain), n, num_threads=1)


def standing(n: int, height: float = STAND_HEIGHT) -> State:
    """n quadrupeds at rest in the default pose, their bases at `height` m."""
    pose = POSE.repeat(n, 1)
    return {
        "position": torch.tensor([0.0, 0.0, height]).repeat(n, 1),
        "orientation": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        "linear_velocity": torch.zeros(n, 3),
        "angular_velocity": torch.zeros(n, 3),
        "actuator": pose.clone(),
        "joint_position": pose.clone(),
        "joint_velocity": torch.zeros(n, 12),
    }


def scattered(n: int, seed: int = 0) -> State:
    """Robots above the ground and beside it, in any yaw, moving."""
    generator, state = torch.Generator().manual_seed(seed), standing(n, STAND_HEIGHT + 0.02)
    yaw = 6.28 * torch.rand(n, 1, generator=generator)
    zero = torch.zeros(n, 1)
    state["orientation"] = torch.cat(((yaw / 2).cos(), zero, zero, (yaw / 2).sin()), dim=-1)
    for name, size in (("position", 0.01), ("linear_velocity", 0.3), ("joint_position", 0.1), ("joint_velocity", 1.0)):
        state[name] += size * torch.randn(state[name].shape, generator=generator)
    return state


def targets(steps: int, n: int, seed: int = 1) -> Tensor:
    """Random joint targets (steps, n, 12), rad."""
    return POSE + 0.3 * torch.randn(steps, n, 12, generator=torch.Generator().manual_seed(seed))


def begin(engine: Engine, state: State, ids: list[int] | Tensor | None = None, **params: Any) -> State:
    """Start worlds `ids`, by default all, in `state` with `params`, wherever the engine lives; also given as lists."""
    device = engine.device
    worlds = torch.arange(engine.num_envs, device=device) if ids is None else torch.as_tensor(ids, device=device)
    given = {name: torch.as_tensor(value, device=device) for name, value in params.items()}
    return engine.advance(
        None, Resets(ids=worlds, state={name: rows.to(device) for name, rows in state.items()}, params=given)
    )


def step(engine: Engine, target: Tensor) -> State:
    """A control period with these joint targets (num_envs, 12), rad."""
    return engine.advance({"joint_position_target": target.to(engine.device)})


def hold(engine: Engine, steps: int) -> State:
    """Where all are after so many control periods with the default pose for target."""
    for _ in range(steps - 1):
        step(engine, POSE.repeat(engine.num_envs, 1))
    return step(engine, POSE.repeat(engine.num_envs, 1))


def whole(state: State) -> Tensor:
    """The state of every world as rows, a copy on the CPU."""
    return torch.cat([value.flatten(1) for value in state.values()], dim=-1).cpu()


def walk(engine: Engine, rows: Tensor) -> Tensor:
    """The trajectory under targets (steps, num_envs, 12)."""
    return torch.stack([whole(step(engine, row)) for row in rows])
