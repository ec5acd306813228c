"""Files that a URDF names: `package://`, `model://`, `file://` and plain paths, found as ROS and Gazebo find them.

Sources: the URDF and xacro pages of the ROS documentation (`package://NAME/PATH`), REP 128 (ROS_PACKAGE_PATH), ament's
prefix path (AMENT_PREFIX_PATH, with packages under share/), Gazebo's model path (GAZEBO_MODEL_PATH,
GZ_SIM_RESOURCE_PATH).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_SEARCHED = {"package": "ROS_PACKAGE_PATH or AMENT_PREFIX_PATH", "model": "GAZEBO_MODEL_PATH or GZ_SIM_RESOURCE_PATH"}
_VARIABLE = {"package": "ROS_PACKAGE_PATH", "model": "GAZEBO_MODEL_PATH"}
_IN_PACKAGE = re.compile(r"(package|model):/+([^/]+)/*(.*)")
_FILE = "file://"


def find_resource(uri: str, folder: Path, meshdir: str = "") -> Path | None:
    """The existing file that `uri` names in a description that lies in `folder`; None where there is none.

    `meshdir`: where else plain paths count from, MuJoCo's way.
    """
    return next((path for path in _candidates(uri, folder, meshdir) if path.is_file()), None)


def how_to_find(uri: str, folder: Path) -> str:
    """One sentence for the person whose `uri` was not found: what to write so that it is."""
    in_package = _IN_PACKAGE.fullmatch(uri)
    if in_package is None:
        return f"There is no such file; paths count from {folder.resolve()}"
    scheme, name, inside = in_package.groups()
    if any(path.is_dir() for path in _homes(scheme, name, folder)):
        return f"The folder {name} is there, but it holds no {inside}"
    return (
        f"No folder {name} stands beside or above {folder.resolve()} or in {_SEARCHED[scheme]}. Write "
        f"{_VARIABLE[scheme]}=PATH before the command, with PATH the folder that holds {name}"
    )


def _candidates(uri: str, folder: Path, meshdir: str) -> Iterator[Path]:
    in_package = _IN_PACKAGE.fullmatch(uri)
    if in_package is not None:
        scheme, name, inside = in_package.groups()
        yield from (home / unquote(inside) for home in _homes(scheme, name, folder))
    elif uri.startswith(_FILE):
        yield folder / unquote(uri.removeprefix(_FILE))
    else:
        path = uri.replace("\\", "/")
        yield from (folder / path, folder / meshdir / path, folder / meshdir / Path(path).name)


def _homes(scheme: str, name: str, folder: Path) -> Iterator[Path]:
    """Where the package or Gazebo model `name` may be."""
    for above in (folder.resolve(), *folder.resolve().parents):
        if above.name == name or _package_name(above) == name:
            yield above
        yield above / name
    if scheme == "package":
        for entry in _paths("ROS_PACKAGE_PATH"):
            yield from (entry / name, *([entry] if entry.name == name else ()), *entry.glob(f"*/{name}"))
        yield from (entry / "share" / name for entry in _paths("AMENT_PREFIX_PATH"))
    else:
        yield from (entry / name for entry in _paths("GAZEBO_MODEL_PATH") + _paths("GZ_SIM_RESOURCE_PATH"))


def _package_name(folder: Path) -> str | None:
    """The name in a ROS package's manifest, which a checkout's folder need not bear."""
    manifest = folder / "package.xml"
    if not manifest.is_file():
        return None
    name = re.search(r"<name>\s*([\w-]+)\s*</name>", manifest.read_text(encoding="utf-8", errors="replace"))
    return name.group(1) if name else None


def _paths(variable: str) -> list[Path]:
    return [Path(entry) for entry in os.environ.get(variable, "").split(os.pathsep) if entry]
