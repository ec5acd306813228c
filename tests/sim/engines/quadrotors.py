"""Quadrotors for the tests of engines: scenes, states, and the trips that all of them take."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Engine, Resets, State
from isthmus_sim.robots.quadrotor.description import ROBOT
from isthmus_sim.robots.quadrotor.mjcf import quadrotor_mjcf
from isthmus_sim.scene import Scene, free_body, remembered


def scene_of(robot: RobotDescription = ROBOT, timestep_s: float = 0.002, *, ground: bool = False) -> Scene:
    """A quadrotor in the air; on request with ground below it."""
    return Scene(
        robot=robot,
        timestep_s=timestep_s,
        quantities=(*free_body("base"), remembered(4, "rad/s")),
        model=(lambda looks: quadrotor_mjcf(scene=True)) if ground else None,
    )


def level(n: int, rotor_speed: float | list[float] = 0.0) -> State:
    """n worlds at rest at the origin, level, with rotors at `rotor_speed` (4,) or one number, rad/s."""
    return {
        "position": torch.zeros(n, 3),
        "orientation": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        "linear_velocity": torch.zeros(n, 3),
        "angular_velocity": torch.zeros(n, 3),
        "actuator": torch.zeros(n, 4) + torch.tensor(rotor_speed),
    }


def tumbling(n: int, seed: int = 0) -> State:
    """n worlds anywhere, in any attitude, moving and turning."""
    generator = torch.Generator().manual_seed(seed)

    def normal(size: int) -> Tensor:
        return torch.randn(n, size, generator=generator)

    orientation = normal(4)
    return {
        "position": normal(3),
        "orientation": orientation / orientation.norm(dim=-1, keepdim=True),
        "linear_velocity": normal(3),
        "angular_velocity": 2 * normal(3),
        "actuator": 1000 + 500 * torch.rand(n, 4, generator=generator),
    }


def begin(engine: Engine, state: State, ids: list[int] | Tensor | None = None, **params: Tensor) -> State:
    """Start worlds `ids`, by default all, in `state` with `params`."""
    worlds = torch.arange(engine.num_envs) if ids is None else torch.as_tensor(ids)
    return engine.advance(None, Resets(ids=worlds, state=state, params=params))


def step(engine: Engine, rotor_speed: Tensor) -> State:
    """A control period with these set-points (num_envs, 4), rad/s."""
    return engine.advance({"rotor_speed": rotor_speed})


def whole(state: State) -> Tensor:
    """The state of every world as rows, a copy."""
    return torch.cat([value.flatten(1) for value in state.values()], dim=-1)


def fly(engine: Engine, rows: Tensor) -> Tensor:
    """The trajectory under set-points (steps, num_envs, 4)."""
    return torch.stack([whole(step(engine, row)) for row in rows])
