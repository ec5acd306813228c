"""Mends a URDF before MuJoCo reads it, so that what people publish loads, and means what its maker meant.

MuJoCo gives links without <inertial> the mass of their shapes at 1000 kg/m³, drops what it does not know, takes one
mesh for another where their files are named alike, and stops at what other readers of URDF let pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.urdf.inertials import gather_inertials, is_negligible
from isthmus_sim.models.urdf.meshes import resolve_meshes
from isthmus_sim.models.urdf.numbers import refuse_bad_numbers
from isthmus_sim.models.urdf.tree import UrdfTree, name_of, read_inertial, read_origin

_PARTS = ("link", "joint", "material", "mujoco")  # of a robot; the rest is for Gazebo, controllers, planners
_SINGLE = {
    "link": ("inertial",), "inertial": ("origin", "mass", "inertia"),
    "visual": ("origin", "geometry", "material"), "collision": ("origin", "geometry"),
    "joint": ("origin", "parent", "child", "axis", "limit", "dynamics", "mimic"),
}  # fmt: skip
_SHAPES = {
    "box": ("size",), "sphere": ("radius",), "cylinder": ("radius", "length"), "capsule": ("radius", "length"),
    "mesh": ("filename",),
}  # fmt: skip
_WORLD = "world"  # the name of a root link that stands for the ground


@dataclass(frozen=True, kw_only=True)
class MendedUrdf:
    """What MuJoCo reads: the text, and its meshes by the names that the text has for them.

    `changes`: what was done to it, a sentence each. `velocity_limits`: rad/s or m/s by joint, which MuJoCo drops.
    """

    text: str
    meshes: dict[str, bytes]
    changes: tuple[str, ...]
    velocity_limits: dict[str, float] = field(default_factory=dict)


def mend_urdf(path: Path, *, floating: bool, base_link: str | None = None) -> MendedUrdf:
    """Read the URDF at `path` and make it fit for MuJoCo.

    Args:
        floating: The robot is not bolted to the world: the link "world", or a root without mass, is not its base.
        base_link: The link whose frame is the base's; by default the root, or the first link with mass below it.

    Raises:
        ModelError: for what cannot be mended, naming the links, joints or files.
    """
    robot = _parse(path)
    for element in [element for element in robot if element.tag not in _PARTS]:
        robot.remove(element)
    changes = _keep_first_of_repeated(robot)
    refuse_bad_numbers(robot)
    tree = UrdfTree(robot)
    _refuse_bad_joints(robot)
    changes += _without_anchor(robot, tree, floating)
    if floating:
        changes += _choose_base(tree, base_link)
    changes += gather_inertials(tree, floating)
    _check_shapes(robot)
    compiler = _compiler(robot)
    meshes, dropped = resolve_meshes(robot, path.parent, compiler.attrib.pop("meshdir", ""))
    velocity_limits = _velocity_limits(robot)
    return MendedUrdf(
        text=ElementTree.tostring(robot, encoding="unicode"),
        meshes=meshes,
        changes=tuple(changes + dropped),
        velocity_limits=velocity_limits,
    )


def _parse(path: Path) -> Element:
    try:
        robot = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ModelError(f"it is not well-formed XML: {error}") from error
    namespace = robot.tag.removesuffix("robot")  # other readers of URDF pass over it
    if namespace and not namespace.endswith("}"):
        raise ModelError(f"a URDF's first element is <robot>; here it is <{robot.tag}>")
    for element in robot.iter():
        element.tag = element.tag.removeprefix(namespace)
        texts = (element.tag, *element.attrib.values())
        if any("xacro}" in text or "xacro:" in text or "${" in text or "$(" in text for text in texts):
            raise ModelError(f"it is xacro, not URDF yet. Write: xacro {path.name} > {path.name.split('.')[0]}.urdf")
    return robot


def _keep_first_of_repeated(robot: Element) -> list[str]:
    """One element of each kind that may stand once; only materials, which are looks, may differ."""
    owners = set()
    for owner in robot:
        for element in owner.iter():
            for kind in _SINGLE.get(element.tag, ()):
                if _remove_repeated(owner, element, kind):
                    owners.add(f"{owner.tag} {name_of(owner)!r}")
    return [f"repeated elements are left out of {', '.join(sorted(owners))}"] if owners else []


def _remove_repeated(owner: Element, element: Element, kind: str) -> bool:
    found = element.findall(kind)
    for other in found[1:]:
        if kind != "material" and _plain(other) != _plain(found[0]):
            raise ModelError(f"{owner.tag} {name_of(owner)!r} has several <{kind}> that differ. Keep one")
        element.remove(other)
    return len(found) > 1


def _plain(element: Element) -> list[tuple[str, dict[str, str]]]:
    return [(part.tag, part.attrib) for part in element.iter()]


def _check_shapes(robot: Element) -> None:
    """Refuse shapes without size, by link; leave out names that repeat, as MuJoCo wants them to be different.

    Of names only those of what touches matter: feet are found by them.
    """
    names = set()
    for link in robot.findall("link"):
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            if not _is_sized(shape):
                kinds = ", ".join(f"<{kind} {'=.. '.join(keys)}=..>" for kind, keys in _SHAPES.items())
                raise ModelError(f"link {name_of(link)!r} has a <{shape.tag}> without a shape. There are: {kinds}")
            name = shape.attrib.pop("name", None)
            if shape.tag == "collision" and name is not None and name not in names:
                shape.set("name", name)
                names.add(name)


def _is_sized(shape: Element) -> bool:
    kinds = list(shape.iterfind("geometry/*"))
    return len(kinds) == 1 and kinds[0].tag in _SHAPES and all(key in kinds[0].attrib for key in _SHAPES[kinds[0].tag])


def _refuse_bad_joints(robot: Element) -> None:
    joints = {name_of(joint): joint for joint in robot.findall("joint")}
    moving = {name: joint for name, joint in joints.items() if joint.get("type") not in ("fixed", "floating")}
    for name, joint in moving.items():
        axis = joint.find("axis")
        if axis is not None and not np.any(_numbers_of(axis, "xyz", "1 0 0")):
            raise ModelError(f"joint {name!r} turns about the axis 0 0 0. Write the axis' direction")
        mimic = joint.find("mimic")
        leader = mimic.get("joint", "") if mimic is not None else None
        if leader is not None and leader not in moving:
            others = ", ".join(sorted(set(moving) - {name}))
            raise ModelError(f"joint {name!r} mimics {leader!r}, which is no joint that moves. There are: {others}")


def _numbers_of(element: Element, key: str, default: str) -> list[float]:
    return [float(word) for word in element.get(key, default).split()]


def _without_anchor(robot: Element, tree: UrdfTree, floating: bool) -> list[str]:
    """Leave out a root that only says that the robot is free: MuJoCo has free bodies."""
    changes = []
    while (child := _anchored(tree, floating)) is not None:
        joint = tree.joint_above.pop(child)
        changes.append(f"link {tree.root!r} is left out: {child!r}, which hangs on it, is the base")
        robot.remove(joint)
        robot.remove(tree.links.pop(tree.root))
        tree.root = child
    return changes


def _anchored(tree: UrdfTree, floating: bool) -> str | None:
    """The link that hangs free on a root without mass, or on the world though it should be free."""
    children = tree.children(tree.root)
    if len(children) != 1 or not is_negligible(read_inertial(tree.links[tree.root])):
        return None
    kind = tree.joint_above[children[0]].get("type")
    free = kind == "floating" or (floating and tree.root == _WORLD and kind == "fixed")
    return children[0] if free else None


def _choose_base(tree: UrdfTree, base_link: str | None) -> list[str]:
    before = tree.root
    if base_link is not None and base_link not in tree.links:
        raise ModelError(f"there is no link {base_link!r} to be the base. There are: {', '.join(tree.links)}")
    tree.make_root(base_link or _first_with_mass(tree))
    return [] if tree.root == before else [f"the base is {tree.root!r}: {before!r}, the root, is welded to it"]


def _first_with_mass(tree: UrdfTree) -> str:
    """The root or, below a massless one such as "base_footprint", what carries all else and is turned as it is."""
    link = tree.root
    while is_negligible(read_inertial(tree.links[link])):
        heavy = [child for child in tree.children(link) if _matters(tree, child)]
        if len(heavy) != 1 or tree.joint_above[heavy[0]].get("type") != "fixed":
            break
        if not np.allclose(read_origin(tree.joint_above[heavy[0]]).rotation, np.eye(3), atol=1e-3):
            break
        link = heavy[0]
    return link


def _matters(tree: UrdfTree, link: str) -> bool:
    """Whether something below `link`, or itself, has mass or moves."""
    return any(
        tree.joint_above[below].get("type") != "fixed" or not is_negligible(read_inertial(tree.links[below]))
        for below in tree.below(link)
    )


def _compiler(robot: Element) -> Element:
    """MuJoCo's settings, which a URDF may carry; masses come from <inertial> alone, welded links stay links."""
    extension = robot.find("mujoco")
    if extension is None:
        extension = SubElement(robot, "mujoco")
    compiler = extension.find("compiler")
    if compiler is None:
        compiler = SubElement(extension, "compiler")
    compiler.attrib.update(
        strippath="false", discardvisual="false", fusestatic="false", inertiafromgeom="false", balanceinertia="false"
    )
    return compiler


def _velocity_limits(robot: Element) -> dict[str, float]:
    limits = {name_of(joint): joint.find("limit") for joint in robot.findall("joint")}
    speeds = {name: float(limit.get("velocity", "0")) for name, limit in limits.items() if limit is not None}
    for limit in limits.values():
        if limit is not None and math.isinf(float(limit.get("effort", "0"))):
            del limit.attrib["effort"]
    return {name: speed for name, speed in speeds.items() if 0 < speed < math.inf}
