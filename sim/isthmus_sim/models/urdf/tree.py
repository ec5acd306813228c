"""Links and joints of a URDF as a tree: which link is the root, and which links are welded to one another.

Source: the XML specification of URDF in the ROS documentation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.spatial_inertia import Pose, SpatialInertia

JOINT_TYPES = ("revolute", "continuous", "prismatic", "fixed", "floating", "planar")
_INERTIA = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")


class UrdfTree:
    """The links by name, and the joint (if any) by which each hangs on its parent.

    Raises ModelError naming links and joints that make no tree.
    """

    def __init__(self, robot: Element) -> None:
        _refuse_repeated(robot)
        self.links = {name_of(link): link for link in robot.findall("link")}
        self.joint_above: dict[str, Element] = {}
        for joint in robot.findall("joint"):
            self._hang(joint)
        self.root = self._only_root()

    def _hang(self, joint: Element) -> None:
        if joint.get("type") not in JOINT_TYPES:
            raise ModelError(
                f"joint {name_of(joint)!r} has the type {joint.get('type')!r}; there are: {', '.join(JOINT_TYPES)}"
            )
        ends = [_end(joint, end) for end in ("parent", "child")]
        unknown = [link for link in ends if link not in self.links]
        if unknown:
            raise ModelError(
                f"joint {name_of(joint)!r} names links that there are not: {', '.join(map(repr, unknown))}"
            )
        if ends[1] in self.joint_above:
            both = f"{name_of(self.joint_above[ends[1]])!r} and {name_of(joint)!r}"
            raise ModelError(
                f"link {ends[1]!r} is the child of two joints, {both}. A URDF is a tree: remove one of them"
            )
        self.joint_above[ends[1]] = joint

    def _only_root(self) -> str:
        roots = [name for name in self.links if name not in self.joint_above]
        if len(roots) != 1:
            found = f"there are {len(roots)}: {', '.join(map(repr, roots))}" if roots else "there is none: a loop"
            raise ModelError(
                f"one link must be no joint's child, the root; {found}. Join them, or remove what is loose"
            )
        reached = set(self.below(roots[0]))
        if len(reached) < len(self.links):
            loose = ", ".join(repr(name) for name in self.links if name not in reached)
            raise ModelError(f"links that hang in a loop, not on the root: {loose}. Correct their joints' parents")
        return roots[0]

    def children(self, link: str) -> list[str]:
        """The links that hang on `link`."""
        return [child for child, joint in self.joint_above.items() if _end(joint, "parent") == link]

    def below(self, link: str) -> Iterator[str]:
        """`link` and all that hangs on it, parents first."""
        yield link
        for child in self.children(link):
            yield from self.below(child)

    def welded(self, link: str) -> Iterator[tuple[str, Pose]]:
        """`link` and what fixed joints hang on it, each with its frame's pose in that of `link`."""
        yield link, Pose()
        for child in self.children(link):
            if self.joint_above[child].get("type") == "fixed":
                pose = read_origin(self.joint_above[child])
                yield from ((below, pose.then(inner)) for below, inner in self.welded(child))

    def heads(self) -> list[str]:
        """The root, and each link that hangs on a joint that moves: the first of what moves as one body."""
        return [name for name in self.links if name == self.root or self.joint_above[name].get("type") != "fixed"]

    def make_root(self, link: str) -> None:
        """Turn the fixed joints between the root and `link` round, so that `link` carries all else."""
        if link == self.root:
            return
        joint = self.joint_above.pop(link)
        parent = _end(joint, "parent")
        if joint.get("type") != "fixed":
            raise ModelError(
                f"link {link!r} cannot be the base: {name_of(joint)!r}, between it and the root {self.root!r}, moves"
            )
        self.make_root(parent)
        write_origin(joint, read_origin(joint).inverse())
        for end, name in (("parent", link), ("child", parent)):
            element = joint.find(end)
            assert element is not None
            element.set("link", name)
        self.joint_above[parent] = joint
        self.root = link


def name_of(element: Element) -> str:
    """The element's name, empty where it has none."""
    return element.get("name", "")


def numbers(text: str) -> np.ndarray:
    """The numbers in `text`, which blanks separate; ValueError where one is none."""
    return np.array([float(number) for number in text.split()])


def read_origin(element: Element) -> Pose:
    """The pose that `element`'s <origin> gives, by default none."""
    origin = element.find("origin")
    if origin is None:
        return Pose()
    roll, pitch, yaw = numbers(origin.get("rpy", "0 0 0"))
    (cr, cp, cy), (sr, sp, sy) = np.cos((roll, pitch, yaw)), np.sin((roll, pitch, yaw))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return Pose(rotation=about_z @ about_y @ about_x, position=numbers(origin.get("xyz", "0 0 0")))


def write_origin(element: Element, pose: Pose) -> None:
    """Give `element` an <origin> of `pose`, in place of the one it may have."""
    origin = element.find("origin")
    if origin is None:
        origin = SubElement(element, "origin")
    rotation = pose.rotation
    level = math.hypot(rotation[0, 0], rotation[1, 0])
    pitch = math.atan2(-rotation[2, 0], level)
    if level > 1e-9:
        roll, yaw = math.atan2(rotation[2, 1], rotation[2, 2]), math.atan2(rotation[1, 0], rotation[0, 0])
    else:  # straight up or down: only the sum or the difference of roll and yaw is defined
        roll, yaw = math.atan2(-rotation[1, 2], rotation[1, 1]), 0.0
    origin.set("xyz", _text(pose.position))
    origin.set("rpy", _text((roll, pitch, yaw)))


def read_inertial(link: Element) -> SpatialInertia | None:
    """The link's <inertial> in the link's frame; None where it has none, or no mass. Raises ModelError naming it."""
    inertial = link.find("inertial")
    if inertial is None:
        return None
    mass, inertia = inertial.find("mass"), inertial.find("inertia")
    if mass is None or mass.get("value") is None:
        raise ModelError(f'link {name_of(link)!r} has an <inertial> without a mass. Write <mass value="..."/>, in kg')
    value = float(mass.get("value", ""))
    if value == 0:
        return None
    if inertia is None:
        raise ModelError(f"link {name_of(link)!r} has a mass and no <inertia ixx= .../>, in kg·m². Write it")
    xx, xy, xz, yy, yz, zz = (float(inertia.get(key, "0")) for key in _INERTIA)
    matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return SpatialInertia(mass=value, com=np.zeros(3), inertia=matrix).in_parent(read_origin(inertial))


def write_inertial(link: Element, body: SpatialInertia | None) -> None:
    """Give `link` this <inertial>, or none, in place of the one it may have."""
    for old in link.findall("inertial"):
        link.remove(old)
    if body is None:
        return
    inertial = SubElement(link, "inertial")
    SubElement(inertial, "origin", xyz=_text(body.com), rpy="0 0 0")
    SubElement(inertial, "mass", value=_text([body.mass]))
    values = body.inertia[np.triu_indices(3)]
    SubElement(inertial, "inertia", {key: _text([value]) for key, value in zip(_INERTIA, values, strict=True)})


def _end(joint: Element, end: str) -> str:
    element = joint.find(end)
    if element is None or not element.get("link"):
        raise ModelError(f'joint {name_of(joint)!r} has no <{end} link="..."/>. Write it')
    return element.get("link", "")


def _refuse_repeated(robot: Element) -> None:
    for kind in ("link", "joint"):
        names = Counter(name_of(element) for element in robot.findall(kind))
        if "" in names:
            raise ModelError(f'a <{kind}> has no name. Write <{kind} name="...">')
        repeated = [name for name, count in names.items() if count > 1]
        if repeated:
            raise ModelError(f"{kind} names that stand twice: {', '.join(map(repr, repeated))}. Rename one of each")
    if robot.find("link") is None:
        raise ModelError("it has no links")


def _text(values: np.ndarray | tuple[float, ...] | list[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
