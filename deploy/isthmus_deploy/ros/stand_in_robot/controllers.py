"""The controllers of a stand-in robot that has a profile: they say in which order they take their joints."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus_deploy.contracts.profile import JointMap, Profile
from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.ros.ros2 import Link

Orders = Mapping[str, tuple[str, ...]]


def controller_orders(profile: Profile, robot: RobotInterface) -> dict[str, tuple[str, ...]]:
    """The driver's joints in the order of each command's message. A controller has an order of its own, the alphabet's:
    who does not ask it is found out."""
    orders = {}
    for command in robot.commands:
        stated = profile.commands.get(command.name)
        if stated is not None and stated.order is not None:
            orders[command.name] = stated.order
        elif stated is not None and stated.controller is not None:
            orders[command.name] = tuple(sorted(JointMap(profile, command).names))
    return orders


def serve_controllers(link: Link, profile: Profile, orders: Orders) -> None:
    """Make the controllers' nodes, each with the parameter `joints`."""
    for name, order in orders.items():
        controller = profile.commands[name].controller
        if controller is not None:
            link.also(controller).declare_parameter("joints", list(order))
