"""A robot and its surroundings as plain numbers, which every simulator's worker builds from. SI units, wxyz."""

from __future__ import annotations

import json
from typing import Any, List, NamedTuple

Vector = List[float]


class Geom(NamedTuple):
    """What touches the ground: `kind` is sphere, capsule, cylinder or box; `size` as in MJCF: (radius), (radius, half
    length along z) or half lengths; where it is in its body's frame."""

    kind: str
    size: Vector
    position: Vector
    orientation: Vector


class Joint(NamedTuple):
    """A hinge, by which a body turns about `axis` through `anchor`, both in the body's frame. low, high rad; armature
    kg·m²."""

    name: str
    axis: Vector
    anchor: Vector
    low: float
    high: float
    armature: float


class Body(NamedTuple):
    """A body where it is in its parent's frame with the joint at zero; the first one moves freely and has neither
    parent (-1) nor joint. centre m: of its mass; inertia kg·m² about it, along the axes of `inertia_orientation`."""

    name: str
    parent: int
    position: Vector
    orientation: Vector
    mass: float
    centre: Vector
    inertia: Vector
    inertia_orientation: Vector
    joint: Joint | None
    geoms: list[Geom]


class Drive(NamedTuple):
    """The motor of a joint, see `isthmus_sim.actuators.Motor`; `default` rad: its target before the first command."""

    effort_limit: float
    saturation: float
    no_load_speed: float
    friction: float
    damping: float
    default: float


class Robot(NamedTuple):
    """n worlds of a robot on flat ground or terrain.

    joints: their order in every array, with a `Drive` each. rotors: how many push the base. feet: numbers of the
    bodies whose contact forces are read.
    timestep s; substeps: physics steps in a control period. gravity m/s², downwards. spacing m between the worlds,
    0 for worlds that share one terrain. terrain: rows and columns of its heights, cell m, None for flat ground.
    """

    name: str
    num_envs: int
    bodies: list[Body]
    joints: list[str]
    drives: list[Drive]
    rotors: int
    feet: list[int]
    timestep: float
    substeps: int
    gravity: float
    spacing: float
    terrain: list[int] | None
    cell: float

    @property
    def order_of_bodies(self) -> list[str]:
        """Their names."""
        return [body.name for body in self.bodies]


def to_json(robot: Robot) -> str:
    """As it goes to a worker."""
    return json.dumps(robot._asdict())


def from_json(text: str) -> Robot:
    """What `to_json` wrote."""
    facts = json.loads(text)
    facts["bodies"] = [_body(body) for body in facts["bodies"]]
    facts["drives"] = [Drive(*drive) for drive in facts["drives"]]
    return Robot(**facts)


def _body(facts: list[Any]) -> Body:
    body = Body(*facts)
    return body._replace(
        joint=Joint(*body.joint) if body.joint else None, geoms=[Geom(*geom) for geom in body.geoms]
    )
