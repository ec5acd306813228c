"""Finding a ROS 2 robot: what it is, and whether it can be commanded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from std_msgs.msg import String

from isthmus_datasets.recording.cameras.ros2 import Ros2Camera
from isthmus_datasets.recording.robot import CameraError
from isthmus_datasets.recording.ros2.topics import subscribe, take_newest, wait_for
from isthmus_deploy.contracts.limits import Limits, limits_of
from isthmus_deploy.contracts.robot_interface import CommandInterface, RobotInterface
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.command_publisher import CommandPublisher
from isthmus_deploy.ros.node.ownership import other_publishers
from isthmus_deploy.ros.qos_mismatches import QosMismatches
from isthmus_deploy.ros.ros2 import Refusal


def hear_interface(node: Any, wait_s: float) -> RobotInterface:
    """What the robot in the node's namespace says of itself. Raises Refusal when there is none, or nonsense."""
    subscription = subscribe(node, String, "robot_interface", qos.LATCHED)
    heard = wait_for(lambda: take_newest(subscription), wait_s)
    topic = node.resolve_topic_name("robot_interface")
    if heard is None:
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        raise Refusal(
            f"no robot: nothing on {topic} within {wait_s:g} s (ROS_DOMAIN_ID {domain}); is it running, and is the "
            "namespace right?"
        )
    try:
        return RobotInterface.from_json(heard[0].data)
    except ContractError as error:
        raise Refusal(f"{topic} does not hold a robot interface: {error}") from error


def open_commands(node: Any, robot: RobotInterface, wait_s: float) -> list[CommandPublisher]:
    """A publisher for each command of the robot, in its order. Raises Refusal when it takes none, a topic is missing or
    in another unit, nobody listens, or somebody else speaks."""
    if not robot.commands:
        raise Refusal(f"{robot.robot} takes no command")
    return [_open(node, command, wait_s) for command in robot.commands]


def _open(node: Any, command: CommandInterface, wait_s: float) -> CommandPublisher:
    unit = bindings().command(command).unit
    if unit != command.unit:
        raise Refusal(f"the robot takes {command.name} in {command.unit}, its topic carries {unit}")
    publisher = CommandPublisher(node, command, QosMismatches())
    if not wait_for(lambda: publisher.heard or None, wait_s):
        problem = f"nobody takes commands on {publisher.topic} within {wait_s:g} s: is the controller active?"
        raise Refusal(problem + publisher.unheard)
    others = other_publishers(node, publisher.topic)
    if others:
        raise Refusal(f"{', '.join(others)} already sends commands on {publisher.topic}; stop it first")
    return publisher


def announced_limits(robot: RobotInterface) -> Limits:
    """What a robot says of its limits. Raises Refusal where it says too little."""
    try:
        return limits_of(robot)
    except ContractError as error:
        fix = "a driver that cannot say it is helped by isthmus-announce"
        raise Refusal(f"{robot.robot} announces too little to be driven safely: {error}; {fix}") from error


def announced_cameras(node: Any, robot: RobotInterface, wait_s: float) -> Iterator[Ros2Camera]:
    """One for each of the robot's signals that are images, under the signal's name. Raises CameraError when it gives
    none, or one of another size."""
    for signal in robot.signals:
        if signal.dtype != "uint8":
            continue
        topic = node.resolve_topic_name(bindings().signal(signal).sources[0].topic.name)
        camera = Ros2Camera(signal.name, topic, start_s=wait_s)
        yield camera
        if (*camera.shape, 3) != signal.shape:
            raise CameraError(signal.name, f"topic {topic} gives images of {camera.shape}, announced is {signal.shape}")
