"""A robot file, `my_dog.toml`: what makes a user's model a robot of its own, and which robot lends the rest.

    name = "my_dog"
    base = "quadruped"                # lends what this file does not say
    model = "my_dog.urdf"             # beside this file; or "menagerie:NAME"
    base_link = "trunk"               # whose frame is the base's, where that is not the root

    [joints]                          # the base's name = the model's, where they differ
    FL_hip_joint = "left_front_abduction"

    [feet]                            # a site, geom or body of the model, where the name differs
    FL = "left_front_toe"

    [gains]
    stiffness = 40                    # N·m/rad: of all joints, or by joint
    damping = { "*_calf_joint" = 1.0, "*_hip_joint" = 0.8, "*_thigh_joint" = 0.8 }  # N·m·s/rad

    [motors."*"]                      # by joint, at the joint: behind gearbox and linkage
    effort_limit = 30                 # N·m
    no_load_speed = 20                # rad/s
    corner_speed = 9                  # rad/s, up to which the motor reaches its effort limit
    armature = 0.01                   # kg·m², the rotor's inertia times the gear ratio squared
    friction = 0.2                    # N·m, dry
    damping = 0.01                    # N·m·s/rad, viscous

    [poses.default]                   # rad
    "*_calf_joint" = -1.4

    [poses.safe]                      # rad, where a stopped robot goes

Joints are the base's names, or patterns of the shell's kind ("*_hip_joint"); a name goes before patterns, "*" is for
all that nothing else matches.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib

from isthmus_sim.models.errors import ModelError

ByJoint = Mapping[str, float]
"""A number by joint or pattern of joints."""

MOTOR_UNITS = {
    "effort_limit": "N·m", "no_load_speed": "rad/s", "corner_speed": "rad/s",
    "armature": "kg·m²", "friction": "N·m", "damping": "N·m·s/rad",
}  # fmt: skip
_POSITIVE = ("effort_limit", "no_load_speed", "corner_speed", "stiffness")
_NOT_NEGATIVE = ("armature", "friction", "damping")
_GAINS, _POSES = ("stiffness", "damping"), ("default", "safe")


@dataclass(frozen=True, kw_only=True)
class RobotFile:
    """What a robot file says; see this module.

    `model` is a path, or "menagerie:NAME". `joints` and `feet` map the base robot's names to the model's. `stiffness`
    (N·m/rad), `damping` (N·m·s/rad), `default_pose` and `safe_pose` (rad) are by joint or pattern of joints; `motors`
    are by motor's number (a key of `MOTOR_UNITS`), then by joint or pattern. What is empty, the base lends.
    """

    path: Path
    name: str
    base: str
    model: str
    base_link: str | None = None
    joints: Mapping[str, str] = field(default_factory=dict)
    feet: Mapping[str, str] = field(default_factory=dict)
    stiffness: ByJoint = field(default_factory=dict)
    damping: ByJoint = field(default_factory=dict)
    motors: Mapping[str, ByJoint] = field(default_factory=dict)
    default_pose: ByJoint = field(default_factory=dict)
    safe_pose: ByJoint = field(default_factory=dict)


def read_robot_file(path: Path) -> RobotFile:
    """Read the robot file at `path`.

    Raises:
        ModelError: the file cannot be read, or a key or value in it is wrong; the message names file, key and fix.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return _parse(path, content)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"robot file {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"robot file {path} is no TOML: {error}") from error
    except ModelError as error:
        raise ModelError(f"robot file {path}: {error}") from error


def _parse(path: Path, content: dict[str, Any]) -> RobotFile:
    _refuse_unknown("", content, ("name", "base", "model", "base_link", "joints", "feet", "gains", "motors", "poses"))
    gains = _table("gains", content.get("gains", {}), _GAINS)
    poses = _table("poses", content.get("poses", {}), _POSES)
    stiffness, damping = (_by_joint(f"gains.{key}", key, gains.get(key, {})) for key in _GAINS)
    default, safe = (_by_joint(f"poses.{key}", key, poses.get(key, {})) for key in _POSES)
    return RobotFile(
        path=path,
        name=_name(content),
        base=_string(content, "base", 'the robot that lends what this file does not say, as base = "quadruped"'),
        model=_model(path, _string(content, "model", 'the model\'s file beside this one, as model = "my_dog.urdf"')),
        base_link=_text("base_link", content["base_link"]) if "base_link" in content else None,
        joints=_names("joints", content.get("joints", {})),
        feet=_names("feet", content.get("feet", {})),
        stiffness=stiffness,
        damping=damping,
        motors=_motors(content.get("motors", {})),
        default_pose=default,
        safe_pose=safe,
    )


def _name(content: Mapping[str, Any]) -> str:
    name = _string(content, "name", 'the robot\'s own name, as name = "my_dog"')
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ModelError(f"name = {name!r}. Write letters, digits, - and _, a letter first")
    return name


def _model(path: Path, model: str) -> str:
    if model.startswith("menagerie:"):
        return model
    file = path.parent / model
    if not file.is_file():
        raise ModelError(f"model = {model!r}: there is no file {file}. Write its path, counted from the robot file")
    return str(file)


def _motors(value: Any) -> dict[str, dict[str, float]]:
    """The motors' numbers, each by joint; in the file it is the other way round."""
    motors: dict[str, dict[str, float]] = {}
    for joints, numbers in _table("motors", value).items():
        key = f'motors."{joints}"'
        for number, given in _table(key, numbers, tuple(MOTOR_UNITS)).items():
            motors.setdefault(number, {})[joints] = _number(f"{key}.{number}", number, given)
        corner, fastest = numbers.get("corner_speed", 0), numbers.get("no_load_speed", math.inf)
        if corner >= fastest:
            raise ModelError(f"{key}: corner_speed {corner:g} must be below no_load_speed {fastest:g}")
    return motors


def _by_joint(key: str, kind: str, value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        return {"*": _number(key, kind, value)}
    return {joints: _number(f'{key}."{joints}"', kind, number) for joints, number in value.items()}


def _number(key: str, kind: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelError(f"{key} = {value!r}. Write a number")
    if kind in _POSITIVE and value <= 0:
        raise ModelError(f"{key} = {value!r}. Write a positive number")
    if kind in _NOT_NEGATIVE and value < 0:
        raise ModelError(f"{key} = {value!r}. Write a number that is not negative")
    return float(value)


def _names(key: str, value: Any) -> dict[str, str]:
    return {name: _text(f"{key}.{name}", own) for name, own in _table(key, value).items()}


def _string(content: Mapping[str, Any], key: str, meaning: str) -> str:
    if key not in content:
        raise ModelError(f"the key {key} is missing. Write {meaning}")
    return _text(key, content[key])


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ModelError(f'{key} = {value!r}. Write a name in quotes, as {key} = "..."')
    return value


def _table(key: str, value: Any, valid: tuple[str, ...] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"{key} = {value!r}. Write a table: a line [{key}], and its keys below")
    if valid is not None:
        _refuse_unknown(f"{key}.", value, valid)
    return value


def _refuse_unknown(prefix: str, table: Mapping[str, Any], valid: tuple[str, ...]) -> None:
    unknown = [f"{prefix}{key}" for key in table if key not in valid]
    if unknown:
        raise ModelError(f"unknown keys: {', '.join(unknown)}. Valid: {', '.join(prefix + key for key in valid)}")
