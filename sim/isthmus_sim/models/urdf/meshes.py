"""Meshes that a URDF names: found and handed to MuJoCo, left out where they are only looks, refused where they touch.

MuJoCo knows a mesh by the last part of its path, so that a link's visual and collision meshes of one name become one;
here each file gets a name of its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.urdf.resources import find_resource, how_to_find
from isthmus_sim.models.urdf.tree import name_of

_READABLE = (".stl", ".obj", ".msh")
_VERTEX = re.compile(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)")


def resolve_meshes(robot: Element, folder: Path, meshdir: str) -> tuple[dict[str, bytes], list[str]]:
    """Give each mesh in `robot`, which lies in `folder`, a name of its own.

    Returns the files' contents by these names, and what was left out.

    Raises ModelError that lists the collision meshes that cannot be had, with what to write.
    """
    names: dict[Path, str] = {}
    looks, faults = [], []
    for link in robot.findall("link"):
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            mesh = shape.find("geometry/mesh")
            if mesh is None:
                continue
            uri = mesh.get("filename", "")
            path = find_resource(uri, folder, meshdir)
            if path is not None and path.suffix.lower() in _READABLE:
                mesh.set("filename", names.setdefault(path.resolve(), f"{len(names)}_{path.name}"))
            elif shape.tag == "visual":
                link.remove(shape)
                looks.append(uri)
            else:
                faults.append(f"link {name_of(link)!r}: the collision mesh {uri} {_fault(uri, folder, path)}")
    if faults:
        raise ModelError(". ".join(faults))
    return {name: _content(path) for path, name in names.items()}, _told(looks)


def _fault(uri: str, folder: Path, path: Path | None) -> str:
    if path is None:
        return f"is not found. {how_to_find(uri, folder)}"
    kinds = ", ".join(_READABLE)
    return f"is of a kind that MuJoCo does not read; it reads {kinds}. Convert it, or write a box, sphere or cylinder"


def _told(looks: list[str]) -> list[str]:
    if not looks:
        return []
    names = ", ".join(sorted({Path(uri).name for uri in looks}))
    return [f"visual meshes that are not found, or not {', '.join(_READABLE)}, are left out: {names}"]


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
