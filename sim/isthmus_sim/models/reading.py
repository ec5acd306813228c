"""From a user's file to MuJoCo's editable model: MJCF as it is, URDF mended, MuJoCo Menagerie's by name."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import mujoco

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.urdf.mending import mend_urdf

_MENAGERIE = "menagerie:"
_SUFFIXES = (".xml", ".mjcf", ".urdf")


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model, what had to be done to it, a sentence each, and velocity limits (rad/s, m/s) by joint, if it has any."""

    spec: mujoco.MjSpec
    changes: tuple[str, ...] = ()
    velocity_limits: Mapping[str, float] = field(default_factory=dict)


def read_model(source: str, *, floating: bool, base_link: str | None = None) -> LoadedModel:
    """Read a model, without fitting it to a robot.

    Args:
        source: "menagerie:NAME", as "menagerie:unitree_go2"; or the path of an MJCF or URDF file.
        floating: The robot is not bolted to the world.
        base_link: The link of a URDF whose frame is the base's; see `mend_urdf`.

    Raises:
        ModelError: no such source, or one that cannot be read.
    """
    if source.startswith(_MENAGERIE):
        return LoadedModel(spec=_from_menagerie(source.removeprefix(_MENAGERIE)))
    path = Path(source)
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        raise ModelError(
            f"no model {source!r}: it is '{_MENAGERIE}NAME', or the path of an existing file that ends in "
            f"{', '.join(_SUFFIXES)}"
        )
    try:
        if _is_urdf(path):
            return _from_urdf(path, floating, base_link)
        _refuse_nan(path)
        return LoadedModel(spec=mujoco.MjSpec.from_file(str(path)))
    except ValueError as error:
        raise ModelError(f"model {source}: {error}") from error


def _is_urdf(path: Path) -> bool:
    """Whether the file is a URDF, whatever its name: MuJoCo would read one in an .xml file without mending it."""
    first = next(iter(_elements(path)), None)
    return path.suffix.lower() == ".urdf" or (first is not None and first.tag.endswith("robot"))


def compiled(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """Compile `spec`. Raises ModelError with MuJoCo's reason."""
    try:
        return spec.compile()
    except ValueError as error:
        raise ModelError(str(error)) from error


def _refuse_nan(path: Path) -> None:
    """Raise ModelError for "nan" in an MJCF file, or in one that it includes: MuJoCo takes it as unset."""
    files = [path]
    for file in files:  # which grow by what they include, counted from the first one's folder
        for element in _elements(file):
            name = element.get("name")
            wrong = [f'{key}="{text}"' for key, text in element.attrib.items() if "nan" in text.lower().split()]
            if wrong and name != "nan":
                owner = f'{element.tag} name="{name}"' if name else element.tag
                raise ModelError(f"{file.name}: <{owner} {wrong[0]}> is no number. Correct it")
            included = path.parent / element.get("file", "")
            files += [included] if element.tag == "include" and included not in files else []


def _elements(file: Path) -> list[ElementTree.Element]:
    """The elements of an XML file; none of one that MuJoCo will say something about."""
    try:
        return list(ElementTree.parse(file).iter())
    except (ElementTree.ParseError, OSError):
        return []


def _from_urdf(path: Path, floating: bool, base_link: str | None) -> LoadedModel:
    mended = mend_urdf(path, floating=floating, base_link=base_link)
    spec = mujoco.MjSpec.from_string(mended.text, assets=mended.meshes)
    for mesh in spec.meshes:
        # Masses are the links' own, so that a mesh may be open or flat: its volume is not needed.
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
    return LoadedModel(spec=spec, changes=mended.changes, velocity_limits=mended.velocity_limits)


def _from_menagerie(name: str) -> mujoco.MjSpec:
    try:
        import mujoco_menagerie  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ModelError(f"{_MENAGERIE}{name} needs a package: pip install mujoco-menagerie") from error
    try:
        robot = mujoco_menagerie.get(name)
        return robot.spec(robot.default_model)
    except mujoco_menagerie.MenagerieError as error:
        raise ModelError(
            f"{_MENAGERIE}{name}: {error}. It is downloaded once; without a network, set MENAGERIE_ROOT to a checkout "
            "of github.com/google-deepmind/mujoco_menagerie"
        ) from error
