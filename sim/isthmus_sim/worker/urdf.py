"""A robot as URDF, for simulators whose import of MJCF is not to be trusted: masses and inertias as they are, shapes
as they touch the ground."""

from __future__ import annotations

from typing import Iterable, Sequence
from xml.etree import ElementTree

import numpy as np

from isthmus_sim.worker.robot import Body, Geom, Robot
from isthmus_sim.worker.rotations import inertia_in_body, matrix, rotate

Element = ElementTree.Element


def urdf(robot: Robot) -> str:
    """The text. Raises ValueError for a joint whose anchor is not its body's origin, which URDF does not have."""
    root = ElementTree.Element("robot", name=robot.name)
    for body in robot.bodies:
        _add_link(root, body)
    drives = dict(zip(robot.joints, robot.drives))
    for body in robot.bodies:
        if body.joint is not None and np.any(body.joint.anchor):
            raise ValueError(f"{body.joint.name}: a joint beside its body's origin has no URDF")
        if body.parent >= 0:
            joint = _add_joint(root, body, robot.bodies[body.parent].name)
            if body.joint is not None:
                drive = drives[body.joint.name]
                ElementTree.SubElement(
                    joint, "limit", lower=_text([body.joint.low]), upper=_text([body.joint.high]),
                    effort=_text([drive.effort_limit]), velocity=_text([drive.no_load_speed]),
                )  # fmt: skip
    return ElementTree.tostring(root, encoding="unicode")


def _add_link(root: Element, body: Body) -> None:
    link = ElementTree.SubElement(root, "link", name=body.name)
    inertial = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(inertial, "origin", xyz=_text(body.centre), rpy="0 0 0")
    ElementTree.SubElement(inertial, "mass", value=_text([body.mass]))
    moments = inertia_in_body(np.array(body.inertia), np.array(body.inertia_orientation))
    names = {f"i{'xyz'[i]}{'xyz'[j]}": _text([moments[i, j]]) for i in range(3) for j in range(i, 3)}
    ElementTree.SubElement(inertial, "inertia", names)
    for geom in body.geoms:
        for position, shape, attributes in _shapes(geom):
            collision = ElementTree.SubElement(link, "collision")
            ElementTree.SubElement(collision, "origin", xyz=_text(position), rpy=_text(_rpy(geom.orientation)))
            ElementTree.SubElement(ElementTree.SubElement(collision, "geometry"), shape, attributes)


def _shapes(geom: Geom) -> Iterable[tuple[Sequence[float], str, dict]]:
    """Position, name and sizes of what a geom is made of: URDF has no capsule, but a cylinder and two balls."""
    if geom.kind == "box":
        yield geom.position, "box", {"size": _text([2 * size for size in geom.size])}
        return
    radius = _text([geom.size[0]])
    if geom.kind == "sphere":
        yield geom.position, "sphere", {"radius": radius}
        return
    yield geom.position, "cylinder", {"radius": radius, "length": _text([2 * geom.size[1]])}
    if geom.kind == "capsule":
        for end in (-geom.size[1], geom.size[1]):
            along = rotate(np.array(geom.orientation), np.array([0.0, 0.0, end]))
            yield (np.array(geom.position) + along).tolist(), "sphere", {"radius": radius}


def _add_joint(root: Element, body: Body, parent: str) -> Element:
    name = body.joint.name if body.joint else f"{body.name}_fixed"
    joint = ElementTree.SubElement(root, "joint", name=name, type="revolute" if body.joint else "fixed")
    ElementTree.SubElement(joint, "parent", link=parent)
    ElementTree.SubElement(joint, "child", link=body.name)
    ElementTree.SubElement(joint, "origin", xyz=_text(body.position), rpy=_text(_rpy(body.orientation)))
    if body.joint is not None:
        ElementTree.SubElement(joint, "axis", xyz=_text(body.joint.axis))
    return joint


def _rpy(orientation: Sequence[float]) -> list[float]:
    """Roll, pitch and yaw, rad, about fixed axes, as URDF has them."""
    turn = matrix(np.array(orientation))
    level = np.hypot(turn[0, 0], turn[1, 0])
    if level < 1e-9:  # straight up or down: yaw is in the roll
        return [float(np.arctan2(-turn[1, 2], turn[1, 1])), float(np.arctan2(-turn[2, 0], level)), 0.0]
    return [
        float(np.arctan2(turn[2, 1], turn[2, 2])), float(np.arctan2(-turn[2, 0], level)),
        float(np.arctan2(turn[1, 0], turn[0, 0])),
    ]  # fmt: skip


def _text(values: Iterable[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)
