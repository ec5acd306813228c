"""A user's model as a robot of its own: its model fitted to the joints of a base robot, and one description of both."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mujoco

from isthmus_sim.description import RobotDescription
from isthmus_sim.models.described import described, motors_of, refuse_lent_strength
from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.jointed import Drive, load_jointed
from isthmus_sim.models.legged import load_legged, refuse_other_legs
from isthmus_sim.models.limits import narrow_robot
from isthmus_sim.models.reading import LoadedModel, compiled
from isthmus_sim.models.robot_file import RobotFile, read_robot_file
from isthmus_sim.models.stances import resting_stances
from isthmus_sim.robots import ROBOTS

_MODELS = (".urdf", ".xml", ".mjcf")


@dataclass(frozen=True, kw_only=True)
class FittedModel:
    """A user's model, which is read when it is called for: `RobotDescription.model`.

    Args:
        source: See `read_model`.
        drives: The robot's joints, and what drives each.
        joints, feet, base_link: Names that differ, see `load_jointed` and `load_legged`.
        floating: The robot has a free base.
        ends: For each foot, the joint of its last link; empty for a robot without legs.
    """

    source: str
    drives: Mapping[str, Drive]
    joints: Mapping[str, str]
    feet: Mapping[str, str]
    base_link: str | None
    floating: bool
    ends: Mapping[str, str]

    def load(self, looks: bool = False) -> LoadedModel:
        """The model, with `looks` also what is only seen, and what was done to it. Raises ModelError."""
        names: dict[str, Any] = {"joints": self.joints, "base_link": self.base_link, "looks": looks}
        if self.ends:
            return load_legged(self.source, self.drives, self.ends, feet=self.feet, **names)
        return load_jointed(self.source, self.drives, floating=self.floating, **names)

    def __call__(self, looks: bool) -> mujoco.MjSpec:
        return self.load(looks).spec


def robot_of(source: str, base: str | None = None) -> tuple[RobotDescription, tuple[str, ...]]:
    """The robot that a person names on the command line, and a sentence for whatever is not its own.

    Args:
        source: A registered robot's name, a robot file (`my_dog.toml`), or just a model: that is a robot file that says
            no more than where the model is, on top of `base`.
        base: The registered robot that lends what a bare model lacks.

    Raises:
        ModelError: the robot file or the model cannot be used, or a bare model has no base.
        RegistryError: there is no such robot.
    """
    path = Path(source)
    if path.suffix.lower() == ".toml":
        file = read_robot_file(path)
        return user_robot(file, ROBOTS[file.base])
    if path.suffix.lower() in _MODELS or source.startswith("menagerie:"):
        if base is None:
            raise ModelError(
                f"{source} is a model. Write a robot file, say my_robot.toml, with name, base (a robot of "
                f'{", ".join(ROBOTS)}) and model = "{source}"'
            )
        return user_robot(_bare_file(source, path, base), ROBOTS[base])
    if source not in ROBOTS and path.is_file():
        raise ModelError(f"{source} is no robot file (.toml) and no model ({', '.join(_MODELS)}){_from_xacro(path)}")
    return ROBOTS[source], ()


def _from_xacro(path: Path) -> str:
    return f". Write: xacro {path.name} > {path.name.split('.')[0]}.urdf" if path.suffix == ".xacro" else ""


def _bare_file(source: str, path: Path, base: str) -> RobotFile:
    letters = re.sub(r"[^A-Za-z0-9_-]", "_", path.stem.removeprefix("menagerie:"))
    name = letters if letters[:1].isalpha() and letters not in ROBOTS else f"robot_{letters}"
    return RobotFile(path=path, name=name, base=base, model=source)


def user_robot(file: RobotFile, base: RobotDescription) -> tuple[RobotDescription, tuple[str, ...]]:
    """The robot that `file` describes on top of `base`: one description, with the model of the file.

    Limits are those that both the base and the model allow; mass and the heights of stances are the model's. Every
    number that is the base's is said in a sentence, and so is what was done to the model.

    Raises:
        ModelError: the file or the model does not fit; the message names what, and what to write.
    """
    _refuse_taken_name(file)
    _refuse_needless(file, base)
    robot, lent = described(file, base)
    fitted = FittedModel(
        source=file.model,
        drives=motors_of(robot),
        joints=file.joints,
        feet=file.feet,
        base_link=file.base_link,
        floating=base.base is not None,
        ends={foot: chain[-1] for foot, chain in base.legs.items()},
    )
    loaded = fitted.load()
    model = compiled(loaded.spec)
    mass = float(model.body_subtreemass[0])
    refuse_lent_strength(file, base, mass=mass)
    try:
        robot, narrowed = narrow_robot(robot, model, loaded.velocity_limits)
        if base.legs:
            refuse_other_legs(base, model)
    except ModelError as error:
        raise ModelError(f"model {file.model}: {error}") from error
    body = loaded.spec.bodies[1].name if fitted.floating else None
    robot = replace(
        robot,
        model=fitted,
        model_source=file.model,
        base=body,
        mass=mass,
        variations=tuple(_on_body(variation, base.base, body) for variation in base.variations),
        stances=resting_stances(base, robot, model),
    )
    return robot, loaded.changes + lent + narrowed


def _refuse_taken_name(file: RobotFile) -> None:
    """Raise ModelError where policies, records and stand-ins of the file's robot would be taken for another's."""
    if file.name in ROBOTS:
        raise ModelError(
            f"robot file {file.path}: name = {file.name!r} is a robot of {ROBOTS.origin(file.name).package}. Write "
            f"another than {', '.join(ROBOTS)}"
        )


def _refuse_needless(file: RobotFile, base: RobotDescription) -> None:
    """Raise ModelError for names in the file of what such a robot has not."""
    if file.feet and not base.legs:
        raise ModelError(f"robot file {file.path}: {base.name} has no feet. Leave out [feet]")
    if file.base_link and base.base is None:
        raise ModelError(f"robot file {file.path}: {base.name} is bolted to the world. Leave out base_link")


def _on_body(variation: Any, before: str | None, after: str | None) -> Any:
    """The variation, of the base by its name in this model where it is one of the base."""
    return replace(variation, body=after) if getattr(variation, "body", None) == before is not None else variation
