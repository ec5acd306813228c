"""Meshes that a URDF names: found and handed to MuJoCo, left out where they are only looks, refused where they touch.

MuJoCo knows a mesh by the last part of its path, so that a link's visual and collision meshes of one name become one;
here each file gets a name of its own.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element

import mujoco
import numpy as np

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.urdf.resources import find_resource, how_to_find
from isthmus_sim.models.urdf.tree import name_of

_READABLE = (".stl", ".obj", ".msh")
_LFS = b"version https://git-lfs"
_VERTEX = re.compile(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)")


def resolve_meshes(robot: Element, folder: Path, meshdir: str) -> tuple[dict[str, bytes], list[str]]:
    """Give each mesh in `robot`, which lies in `folder`, a name of its own.

    Returns the files' contents by these names, and what was left out.

    Raises ModelError that lists the collision meshes that cannot be had, with what to write.
    """
    names: dict[Path, str] = {}
    contents: dict[str, bytes] = {}
    looks, faults = [], []
    fault_of = cache(_fault)  # a mesh is often there twice: seen, and touching
    for link in robot.findall("link"):
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            mesh = shape.find("geometry/mesh")
            if mesh is None:
                continue
            uri = mesh.get("filename", "")
            path = find_resource(uri, folder, meshdir)
            fault = fault_of(uri, folder, path)
            if path is not None and fault is None:
                name = names.setdefault(path.resolve(), f"{len(names)}_{path.name}")
                contents[name] = contents.get(name) or _content(path)
                mesh.set("filename", name)
            elif shape.tag == "visual":
                link.remove(shape)
                looks.append(uri)
            else:
                faults.append(f"link {name_of(link)!r}: the collision mesh {uri} {fault}")
    if faults:
        raise ModelError(". ".join(faults))
    return contents, _told(looks)


def _fault(uri: str, folder: Path, path: Path | None) -> str | None:
    """Why MuJoCo cannot have the mesh, and what to do; None where it can."""
    if path is None:
        return f"is not found. {how_to_find(uri, folder)}"
    if path.suffix.lower() not in _READABLE:
        kinds = ", ".join(_READABLE)
        return (
            f"is of a kind that MuJoCo does not read; it reads {kinds}. Convert it, or write a box, sphere or cylinder"
        )
    return _damage(path)


def _damage(path: Path) -> str | None:
    """What is wrong inside a mesh's file."""
    content = _content(path)
    if content.startswith(_LFS):
        return "is a Git LFS pointer, not the file itself: run `git lfs pull` where it was cloned"
    spec = mujoco.MjSpec()
    spec.assets = {path.name: content}
    spec.add_mesh(name="mesh", file=path.name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="mesh", contype=0, conaffinity=0)
    try:
        spec.compile()
    except ValueError as error:
        return f"cannot be read ({str(error).splitlines()[0].removeprefix('Error: ')}). Mend or replace the file"
    return None


def _told(looks: list[str]) -> list[str]:
    if not looks:
        return []
    names = ", ".join(sorted({Path(uri).name for uri in looks}))
    return [f"visual meshes that are not found, not {', '.join(_READABLE)}, or damaged are left out: {names}"]


def _content(path: Path) -> bytes:
    """The file as MuJoCo reads it, which of STL's two forms knows only the binary one."""
    content = path.read_bytes()
    if path.suffix.lower() != ".stl" or not content.lstrip().startswith(b"solid"):
        return content
    vertices = np.array(_VERTEX.findall(content), dtype=np.float32)
    return _binary_stl(vertices.reshape(-1, 3, 3)) if len(vertices) else content


def _binary_stl(triangles: np.ndarray) -> bytes:
    """`triangles` (n, 3, 3), corner by corner: a header of 80 bytes, their number, then for each a normal (which MuJoCo
    computes itself), the corners and two spare bytes."""
    facets = np.zeros(len(triangles), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("spare", "<u2")])
    facets["corners"] = triangles
    return bytes(80) + np.array(len(triangles), "<u4").tobytes() + facets.tobytes()
