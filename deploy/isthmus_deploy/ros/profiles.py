"""A policy's contract, a robot's profile and the controllers of the live graph, brought together."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.profile import Profile, read_profile
from isthmus_deploy.ros.bindings.profiled import ProfiledTable
from isthmus_deploy.ros.bindings.table import BindingTable, bindings, check_contract
from isthmus_deploy.ros.controllers import controller_orders
from isthmus_deploy.ros.ros2 import Link, Refusal

_OWN = ("robot_interface", "driver_since", "joy", "/diagnostics")
"""Topics that a policy node has beside those of the contract."""
_TURNED = ("body", "world_from_body")
"""Frames of what a mounting turns."""


def fitting_profile(path: Path | None, contract: Contract) -> Profile | None:
    """The robot's profile, where there is one.

    Raises:
        ProfileError: the file may not be used.
        Refusal: it does not fit the policy, line by line.
    """
    if path is None:
        return None
    profile = read_profile(path)
    problems = profile.problems(contract)
    if problems:
        raise Refusal(f"{path} does not fit the policy:\n  " + "\n  ".join(problems))
    return profile


def robot_table(
    link: Link,
    profile: Profile | None,
    contract: Contract,
    wait_s: float,
    stop: Callable[[], object] = lambda: False,
) -> BindingTable:
    """How the robot speaks, by its profile where there is one. Its controllers are asked for their joints, for at most
    `wait_s` or until `stop()`.

    Raises:
        Refusal: the contract does not fit the topics, or a controller does not answer.
    """
    table = bindings()
    if profile is not None:
        _check_topics(profile, contract)
        deadline_ns = time.monotonic_ns() + int(wait_s * 1e9)
        table = ProfiledTable(table, profile, controller_orders(link, profile, contract, deadline_ns, stop))
    check_contract(contract, table)
    _check_apart(link, contract, table)
    return table


def _check_topics(profile: Profile, contract: Contract) -> None:
    """Raise Refusal for a topic that the policy does not read, and for a mounting that would turn nothing."""
    known: dict[str, set[str]] = {}
    for signal in contract.signals:
        for source in bindings().signal(signal).sources:
            known.setdefault(source.topic.name, set()).add(signal.frame)
    for name, stated in profile.topics.items():
        if name not in known:
            problem = f"the policy reads no topic of that name; it reads {', '.join(sorted(known))}"
            raise Refusal(f"the profile's topics.{name}: {problem}")
        if stated.mounting is not None and known[name].isdisjoint(_TURNED):
            raise Refusal(f"the profile's topics.{name}.mounting: the policy reads nothing there that could be turned")


def _check_apart(link: Link, contract: Contract, table: BindingTable) -> None:
    """Raise Refusal for one topic of two types, which ROS 2 cannot have, and for commands that are read or sent where
    something else is."""
    types: dict[str, type] = {link.node.resolve_topic_name(name): object for name in _OWN}
    for topic in (source.topic for signal in contract.signals for source in table.signal(signal).sources):
        name = link.node.resolve_topic_name(topic.name)
        other = types.setdefault(name, topic.message)
        if other is not topic.message:
            kinds = f"{'something else' if other is object else other.__name__} and {topic.message.__name__}"
            raise Refusal(f"the topic {name} would be read as {kinds}: it can be of one type")
    for command in contract.commands:
        name = link.node.resolve_topic_name(table.command(command).topic)
        if name in types:
            raise Refusal(f"{command.name} would be sent on {name}, where something else is read or sent already")
        types[name] = table.command(command).message
