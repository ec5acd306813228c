"""What is drawn for each episode: functions that draw parameters of n worlds, as `isthmus_sim.task.Draw`."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Elements of parameters that are known together, such as thrust over mass: a normal distribution, cut off.

    Tuples have an entry for each element, in their parameters' order.
    """

    parameters: tuple[str, ...]
    """Which one each is of."""
    values: tuple[float, ...]
    """Means, each in its unit."""
    covariance: tuple[tuple[float, ...], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def jointly(scene: Scene, known: Joint) -> Draw:
    """All of these elements together; what would lie beyond an end is put there.

    Raises ValueError as `uniform`, and where a parameter has other elements or the covariance is none.
    """
    ends = list(zip(known.low, known.high, strict=True))
    places: dict[str, list[int]] = {}
    for place, name in enumerate(known.parameters):
        places.setdefault(name, []).append(place)
        _check(name, ends[place], _parameter(scene, name).valid)
    for name, columns in places.items():
        if len(columns) != _parameter(scene, name).size:
            size = _parameter(scene, name).size
            raise ValueError(f"{name} of {scene.robot.name} has {size} numbers, not {len(columns)}")
    covariance = torch.tensor(known.covariance, dtype=torch.float64)
    scale = covariance.diagonal().sqrt()  # masses and inertias are of very different sizes
    root, failed = torch.linalg.cholesky_ex(covariance / scale.outer(scale))
    if failed:
        raise ValueError(f"what was identified of {scene.robot.name} has no covariance: it is not positive definite")
    numbers = (known.values, scale[:, None] * root, known.low, known.high)
    mean, spread, low, high = (Constant(torch.as_tensor(each, dtype=torch.float32)) for each in numbers)

    def draw(n: int, generator: torch.Generator) -> Params:
        normal = torch.randn(n, len(ends), generator=generator, device=generator.device)
        rows = (mean.to(normal) + normal @ spread.to(normal).T).clamp(low.to(normal), high.to(normal))
        return {name: rows[:, columns] for name, columns in places.items()}

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
