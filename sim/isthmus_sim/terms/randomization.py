"""What is drawn for each episode: functions that draw parameters of n worlds, as `isthmus_sim.task.Draw`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Params
from isthmus_sim.on_device import Constant
from isthmus_sim.scene import Scene
from isthmus_sim.specs import Parameter
from isthmus_sim.task import Draw

Range = tuple[float, float]


def uniform(scene: Scene, name: str, bounds: Range) -> Draw:
    """The parameter's elements, each evenly within `bounds` in its unit.

    Raises ValueError for a parameter that the scene does not have, or bounds that do not rise or have no physics.
    """
    parameter = _parameter(scene, name)
    _check(name, bounds, parameter.valid)
    low, high = bounds

    def draw(n: int, generator: torch.Generator) -> Params:
        share = torch.rand(n, parameter.size, generator=generator, device=generator.device)
        return {name: low + (high - low) * share}

    return draw


def bounded(robot: RobotDescription) -> Draw:
    """Every parameter of a robot, each element by itself, evenly within the bounds that its description gives."""
    sizes = [parameter.size for parameter in robot.parameters]
    low, high = (
        Constant(torch.tensor([value for parameter in robot.parameters for value in getattr(parameter, end)]))
        for end in ("minimum", "maximum")
    )

    def draw(n: int, generator: torch.Generator) -> Params:
        share = torch.rand(n, sum(sizes), generator=generator, device=generator.device)
        drawn = torch.lerp(low.to(share), high.to(share), share).split(sizes, dim=-1)
        return {parameter.name: rows for parameter, rows in zip(robot.parameters, drawn, strict=True)}

    return draw


def within(scene: Scene, name: str, ends: Sequence[Range]) -> Draw:
    """The parameter's elements, each evenly within its own ends in its unit.

    Raises ValueError as `uniform`, and where there are not as many ends as elements.
    """
    parameter = _parameter(scene, name)
    if len(ends) != parameter.size:
        raise ValueError(f"{name} of {scene.robot.name} has {parameter.size} numbers, not {len(ends)}")
    for each in ends:
        _check(name, each, parameter.valid)
    low, high = (Constant(torch.tensor(end)) for end in zip(*ends, strict=True))

    def draw(n: int, generator: torch.Generator) -> Params:
        share = torch.rand(n, parameter.size, generator=generator, device=generator.device)
        return {name: torch.lerp(low.to(share), high.to(share), share)}

    return draw


def scaled(scene: Scene, name: str, factors: Range) -> Draw:
    """The parameter's elements as the description has them, each times a factor evenly within `factors`.

    Raises ValueError as `uniform`.
    """
    parameter = _parameter(scene, name)
    _check(f"factors of {name}", factors, (0.0, 1e6))
    low, high = factors
    nominal = torch.tensor(parameter.nominal)

    def draw(n: int, generator: torch.Generator) -> Params:
        share = torch.rand(n, parameter.size, generator=generator, device=generator.device)
        return {name: nominal.to(share.device) * (low + (high - low) * share)}

    return draw


def _parameter(scene: Scene, name: str) -> Parameter:
    for parameter in scene.parameters:
        if parameter.name == name:
            return parameter
    known = ", ".join(parameter.name for parameter in scene.parameters) or "none"
    raise ValueError(f"{scene.robot.name} has no parameter {name!r} to randomise; it has: {known}")


def _check(name: str, bounds: Range, valid: Range) -> None:
    low, high = bounds
    if not valid[0] <= low <= high <= valid[1]:
        raise ValueError(f"{name}: ({low:g}, {high:g}) must rise and lie within [{valid[0]:g}, {valid[1]:g}]")


def check_goal_range(robot: RobotDescription, goal: str, element: int, name: str, bounds: Range) -> None:
    """Raise ValueError where training would ask for more than the robot's signal `goal` can carry."""
    spec = robot.signal(goal)
    _check(name, bounds, (spec.minimum[element], spec.maximum[element]))
