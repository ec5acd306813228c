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
        deadline_ns = time.monotonic_ns() + int(wait_s * 1e9)
        table = ProfiledTable(table, profile, controller_orders(link, profile, contract, deadline_ns, stop))
        _check_topics(profile, contract)
    check_contract(contract, table)
    return table


def _check_topics(profile: Profile, contract: Contract) -> None:
    known = {source.topic.name for signal in contract.signals for source in bindings().signal(signal).sources}
    unknown = [name for name in profile.topics if name not in known]
    if unknown:
        problem = f"the policy reads no topic of that name; it reads {', '.join(sorted(known))}"
        raise Refusal(f"the profile's topics.{unknown[0]}: {problem}")
