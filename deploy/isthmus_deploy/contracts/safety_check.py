"""Whether what a robot asks of the safety chain fits its commands, joints and readings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isthmus_deploy.contracts.borders import Borders
from isthmus_deploy.contracts.consistency import InconsistentContract, check_positive, paths
from isthmus_deploy.contracts.kinematics import Kinematics
from isthmus_deploy.contracts.safety_data import Box, CommandSafety, Tool

if TYPE_CHECKING:
    from isthmus_deploy.contracts.limits import Command, Limits

_UNIT_TOLERANCE = 1e-3


def check_safety(limits: Limits) -> None:
    """Raise `InconsistentContract` for what contradicts the rest of the limits; it names the JSON path."""
    if limits.safety is None:
        return
    commands = {command.name: command for command in limits.commands}
    held: set[str] = set()
    for path, item in paths("safety.commands", limits.safety.commands):
        _check_known(f"{path}.command", item.command, commands)
        if item.command in held:
            raise InconsistentContract(f"{path}.command", f"{item.command} stands here twice")
        held.add(item.command)
        _check_command(path, item, commands[item.command])
        _check_effort(path, item, commands[item.command], limits)
    moved: set[tuple[str, str]] = set()
    for path, tool in paths("safety.tools", limits.safety.tools):
        _check_known(f"{path}.command", tool.command, commands)
        _check_tool(path, tool, commands[tool.command])
        joints = {(tool.command, link.joint) for link in tool.links}
        if joints & moved:
            name = sorted(joints & moved)[0][1]
            raise InconsistentContract(f"{path}.links", f"{name} moves another tool, and only one of them can be held")
        moved |= joints


def _check_known(path: str, name: str, known: dict) -> None:
    if name not in known:
        raise InconsistentContract(path, f"{name!r} is none of {', '.join(known)}")


def _check_command(path: str, item: CommandSafety, command: Command) -> None:
    for field in ("max_acceleration", "soft_minimum", "soft_maximum"):
        values = getattr(item, field)
        if values is not None and len(values) != len(command.order):
            raise InconsistentContract(f"{path}.{field}", f"{len(values)} values for {len(command.order)} elements")
    for field in ("soft_minimum", "soft_maximum"):
        if getattr(item, field) is not None and item.approach_rate is None:
            raise InconsistentContract(f"{path}.approach_rate", f"null, but there is a {field} to approach")
    check_positive(path, item, "max_acceleration", "approach_rate")
    if item.approach_rate is None:
        return
    low, high = item.soft_minimum or command.minimum, item.soft_maximum or command.maximum
    rows = zip(command.order, command.minimum, low, command.standby, high, command.maximum, strict=True)
    for name, least, soft_least, standby, soft_most, most in rows:
        if not (least <= soft_least < standby < soft_most <= most):
            problem = (
                f"{name} needs minimum {least} <= {soft_least} < standby {standby} < {soft_most} <= maximum {most}"
            )
            raise InconsistentContract(f"{path}.approach_rate", problem)


def _check_effort(path: str, item: CommandSafety, command: Command, limits: Limits) -> None:
    if not item.limit_effort:
        return
    for name in command.order:
        _check_known(f"{path}.limit_effort", name, dict(limits.joints))
        if not limits.joints[name].stiffness > 0.0:
            raise InconsistentContract(f"{path}.limit_effort", f"{name} has no stiffness, so its target has no effort")
    if limits.measured(command) is None or limits.measured_rate(command) is None:
        problem = f"position and velocity of what {command.name} sets must both be measured"
        raise InconsistentContract(f"{path}.limit_effort", problem)


def _check_tool(path: str, tool: Tool, command: Command) -> None:
    if command.unit != "rad" or len(command.shape) != 1:
        raise InconsistentContract(f"{path}.command", f"{command.name} is no vector of joint angles in rad")
    names = [link.joint for link in tool.links]
    for index, name in enumerate(names):
        _check_known(f"{path}.links[{index}].joint", name, dict.fromkeys(command.order))
    if len(set(names)) != len(names):
        raise InconsistentContract(f"{path}.links", "a joint stands twice")
    for index, link in enumerate(tool.links):
        _check_unit(f"{path}.links[{index}].axis", link.axis)
        _check_unit(f"{path}.links[{index}].orientation", link.orientation)
    for index, space in enumerate(tool.half_spaces):
        _check_unit(f"{path}.half_spaces[{index}].normal", space.normal)
    check_positive(path, tool, "approach_rate")
    for index, box in enumerate(tool.boxes):
        _check_box(f"{path}.boxes[{index}]", box)
    if tool.workspace is not None:
        _check_box(f"{path}.workspace", tool.workspace)
    for index, sphere in enumerate(tool.spheres):
        check_positive(f"{path}.spheres[{index}]", sphere, "radius")
    _check_standby(path, tool, command)


def _check_box(path: str, box: Box) -> None:
    """One whose corners are the wrong way round has no inside, and would keep nothing out."""
    for axis, least, most in zip("xyz", box.minimum, box.maximum, strict=True):
        if not least < most:
            raise InconsistentContract(f"{path}.minimum", f"{least} for {axis} is not below its maximum {most}")


def _check_unit(path: str, vector: tuple[float, ...]) -> None:
    length = math.hypot(*vector)
    if abs(length - 1.0) > _UNIT_TOLERANCE:
        raise InconsistentContract(path, f"is of length {length:.4g}, not 1")


def _check_standby(path: str, tool: Tool, command: Command) -> None:
    """The tool may be where stand-by puts it."""
    borders = Borders(tool)
    if not borders.kinds:
        raise InconsistentContract(path, "has neither a workspace nor anything that it is kept out of")
    pose = [command.standby[command.order.index(link.joint)] for link in tool.links]
    distances = borders.distances(Kinematics(tool.links, tool.point).place(pose).point)
    worst = min(range(len(distances)), key=lambda index: (distances[index] >= 0.0, distances[index]))  # nan is first
    if not distances[worst] >= 0.0:
        problem = f"stand-by puts it {-distances[worst]:.3g} m past a border ({borders.kinds[worst]})"
        raise InconsistentContract(path, problem)
