"""A robot's controllers, asked again while nothing moves: one that was started anew may count its joints otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from isthmus_deploy.contracts.profile import parse_profile
from isthmus_deploy.ros.controllers import ControllerWatch
from isthmus_deploy.ros.ros2 import Link

PROFILE = parse_profile("profile: 1\nrobot: two\ncommands: {joint_position_target: {controller: legs}}")
ORDERS = {"joint_position_target": ("hip", "knee")}
SECOND = 1_000_000_000


@pytest.fixture
def link(domain: int) -> Iterator[Link]:
    with closing(Link("policy_node")) as made:
        yield made


@pytest.fixture
def legs(link: Link) -> Node:
    controller = link.also("legs")
    controller.declare_parameter("joints", ["hip", "knee"])
    return controller


def test_another_order_keeps_the_robot_from_being_armed(link: Link, legs: Node):
    watch = ControllerWatch(link.node, PROFILE, ORDERS)

    def asked(problem: str | None) -> bool:
        watch.ask()
        link.wait(0.2, lambda: watch.problem() == problem)
        return watch.problem() == problem

    assert asked(None)
    legs.set_parameters([Parameter("joints", value=["knee", "hip"])])
    told = "the controller legs takes the joints knee, hip, it took hip, knee: configure this node anew"
    assert link.wait(20.0, lambda: asked(told))
    legs.set_parameters([Parameter("joints", value=["hip", "knee"])])
    assert link.wait(20.0, lambda: asked(None))


def test_a_controller_that_is_gone_keeps_it_from_being_armed_too(link: Link):
    now = [0]
    watch = ControllerWatch(link.node, PROFILE, ORDERS, clock=lambda: now[0])
    watch.ask()
    assert watch.problem() is None, "it has just said so"
    now[0] = 4 * SECOND
    assert watch.problem() == "the controller legs has not said for 4.0 s which joints it takes: is it running?"


def test_a_robot_without_controllers_has_none_to_ask(link: Link):
    watch = ControllerWatch(link.node, None, {})
    watch.ask()
    assert watch.problem() is None
