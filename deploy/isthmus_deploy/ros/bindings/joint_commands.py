"""Commands of joints as drivers take them: an array in the controller's order, or a message that names the joints."""

from __future__ import annotations

import array
import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from sensor_msgs.msg import JointState

from isthmus_deploy.contracts.profile import JointMap, Profile
from isthmus_deploy.contracts.robot_interface import CommandInterface
from isthmus_deploy.ros.bindings import unitree
from isthmus_deploy.ros.bindings.binding import Array, CommandBinding
from isthmus_deploy.ros.bindings.message_types import type_name
from isthmus_deploy.ros.ros2 import Refusal

_FIELD = {"rad": "position", "m": "position", "rad/s": "velocity", "m/s": "velocity", "N·m": "effort", "N": "effort"}
_REACHED_NS = 20_000_000  # how long after it came the one point of a trajectory is to be reached


def joint_command(
    binding: CommandBinding, profile: Profile, order: Sequence[str] | None, kind: str | None
) -> CommandBinding:
    """The binding of a command of joints as a robot's profile has it.

    Args:
        binding: How it goes usually: an array.
        profile: Of the robot.
        order: The driver's joints in the order of the array; by default the contract's.
        kind: Type of the message; by default the usual one.

    Raises:
        Refusal: no command of joints can be of that type.
    """
    if kind in (None, type_name(binding.message)):
        return replace(
            binding,
            writer=lambda command: _array_writer(binding, command, profile, order),
            reader=lambda command: _array_reader(binding, command, profile, order),
        )
    if kind not in _NAMED:
        valid = ", ".join((type_name(binding.message), *_NAMED))
        raise Refusal(f"a command of joints cannot be a {kind}; valid types are {valid}")
    return _NAMED[kind](binding, profile)


def _places(command: CommandInterface, names: Sequence[str], order: Sequence[str] | None) -> Array:
    """Which of the contract's elements stands at each place of the array."""
    order = tuple(order or names)
    if sorted(order) != sorted(names):
        raise Refusal(
            f"{command.name}: the robot takes {', '.join(order)}; the policy commands {', '.join(names)}: name its "
            "joints in the profile"
        )
    return np.array([names.index(name) for name in order])


def _array_writer(
    binding: CommandBinding, command: CommandInterface, profile: Profile, order: Sequence[str] | None
) -> Callable[[Array], Any]:
    joints, write = JointMap(profile, command), binding.writer(command)
    places = _places(command, joints.names, order)
    return lambda values: write(joints.to_driver(values)[places])


def _array_reader(
    binding: CommandBinding, command: CommandInterface, profile: Profile, order: Sequence[str] | None
) -> Callable[[Any], Array]:
    joints, read = JointMap(profile, command), binding.reader(command)
    back = np.argsort(_places(command, joints.names, order))

    def take(message: Any) -> Array:
        values = read(message)
        return joints.from_driver(values[back]) if values.shape == back.shape else values  # the robot refuses that

    return take


def _joint_state(binding: CommandBinding, profile: Profile) -> CommandBinding:
    def writer(command: CommandInterface) -> Callable[[Array], JointState]:
        joints, field = JointMap(profile, command), _FIELD[command.unit]
        names = list(joints.names)

        def write(values: Array) -> JointState:
            return JointState(name=names, **{field: array.array("d", joints.to_driver(values).tobytes())})

        return write

    def reader(command: CommandInterface) -> Callable[[JointState], Array]:
        joints, field = JointMap(profile, command), _FIELD[command.unit]
        return lambda message: joints.from_driver(np.asarray(getattr(message, field), np.float64))

    return replace(binding, message=JointState, writer=writer, reader=reader)


def _joint_trajectory(binding: CommandBinding, profile: Profile) -> CommandBinding:
    """One point, to be reached soon: the joint trajectory controller of ros2_control goes there from where it is."""
    try:
        messages = importlib.import_module("trajectory_msgs.msg")
    except ModuleNotFoundError as error:
        raise Refusal(
            "the joint trajectory controller needs trajectory_msgs: pip install ros-trajectory-msgs"
        ) from error

    def writer(command: CommandInterface) -> Callable[[Array], Any]:
        if _FIELD[command.unit] != "position":
            raise Refusal(f"{command.name}: a trajectory is of positions, not of {command.unit}")
        joints = JointMap(profile, command)
        names, soon = list(joints.names), Duration(nanosec=_REACHED_NS)

        def write(values: Array) -> Any:
            positions = array.array("d", joints.to_driver(values).tobytes())
            point = messages.JointTrajectoryPoint(positions=positions, time_from_start=soon)
            return messages.JointTrajectory(joint_names=names, points=[point])

        return write

    def reader(command: CommandInterface) -> Callable[[Any], Array]:
        joints = JointMap(profile, command)
        return lambda message: joints.from_driver(np.asarray(message.points[-1].positions, np.float64))

    return replace(binding, message=messages.JointTrajectory, writer=writer, reader=reader)


_NAMED = {
    "sensor_msgs/JointState": _joint_state,
    "trajectory_msgs/JointTrajectory": _joint_trajectory,
    "unitree_go/LowCmd": unitree.command,
}
