"""What `isthmus-deploy doctor` looks at, finding by finding."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.utilities import get_rmw_implementation_identifier
from std_msgs.msg import String

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.robot_interface import CommandInterface, ContractMismatch, RobotInterface
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.mismatch.world_file import beside
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.binding import Topic
from isthmus_deploy.ros.bindings.messages import stamp_of
from isthmus_deploy.ros.bindings.table import BindingTable
from isthmus_deploy.ros.doctor.command import Config
from isthmus_deploy.ros.doctor.finding import Finding, fine, remark, wrong
from isthmus_deploy.ros.doctor.last_flight import check_last_flight
from isthmus_deploy.ros.doctor.machine import check_machine
from isthmus_deploy.ros.doctor.opinions import second_opinions
from isthmus_deploy.ros.node.ownership import other_publishers
from isthmus_deploy.ros.profiles import fitting_profile, robot_table
from isthmus_deploy.ros.readings.latest_values import LatestValues
from isthmus_deploy.ros.ros2 import Link
from isthmus_deploy.safety.chain import SafetyChain

_RATE = 0.1  # the share by which a topic that starts control periods may be off their rate
_AGREE_S = 1.0  # clocks that differ by more do not agree


def examine(config: Config) -> Iterator[Finding]:
    """Everything, in the order in which it must be right.

    Raises:
        PolicyFileError, ProfileError, Refusal: the policy or the profile is not understood, so there is no more to see.
    """
    runtime = Runtime(config.policy)
    contract = runtime.contract
    robot = f"{contract.robot} at {_hz(contract):g} Hz"
    yield fine("policy", f"{runtime.digest[:12]} for {robot}, reproduces its test vectors here")
    yield from second_opinions(contract)
    profile = fitting_profile(config.profile, contract)
    if profile is not None:
        yield fine("profile", f"fits the policy{f'; {profile.note}' if profile.note else ''}")
    yield from check_machine(get_rmw_implementation_identifier())
    with closing(Link("doctor", config.namespace)) as link:
        if profile is None:
            yield _described(link, contract, config.wait_s)
        table = robot_table(link, profile, contract, config.wait_s)
        yield from _examine_graph(config, link, runtime, table)
    world = config.world or beside(config.policy)
    yield from check_last_flight(contract, runtime.digest, config.policy, world, config.flights)


def _hz(contract: Contract) -> float:
    return 1.0 / contract.control_period_s


def _described(link: Link, contract: Contract, wait_s: float) -> Finding:
    """What the robot says of itself."""
    heard: list[String] = []
    subscription = link.node.create_subscription(String, "robot_interface", heard.append, qos.LATCHED)
    link.wait(wait_s, lambda: heard)
    link.node.destroy_subscription(subscription)
    if not heard:
        return wrong("robot", f"nobody says what it is on {link.node.resolve_topic_name('robot_interface')}")
    try:
        contract.check_robot(RobotInterface.from_json(heard[-1].data))
    except (ContractMismatch, ContractError) as error:
        return wrong("robot", str(error))
    return fine("robot", f"{contract.robot} matches the policy's contract")


# --- the graph ---


class _Ear:
    """Listens to one topic: when each message came, and how far behind its stamp."""

    def __init__(self, link: Link, topic: Topic) -> None:
        self.came_s: list[float] = []
        self.behind_s: list[float] = []
        link.node.create_subscription(topic.message, topic.name, self._on_message, topic.qos)

    def _on_message(self, message: Any) -> None:
        self.came_s.append(time.monotonic())
        stamp = stamp_of(message)
        if stamp is not None:
            self.behind_s.append(1e-9 * (time.time_ns() - stamp))


def _examine_graph(config: Config, link: Link, runtime: Runtime, table: BindingTable) -> Iterator[Finding]:
    contract = runtime.contract
    latest = LatestValues(contract, table)
    bound = {signal.name: table.signal(signal) for signal in contract.signals}
    topics: dict[Topic, float | None] = {}
    for signal in contract.signals:
        for source in bound[signal.name].sources:
            patience = topics.get(source.topic)
            topics[source.topic] = min(filter(None, (patience, signal.max_age_s)), default=None)
    ears = {topic: _Ear(link, topic) for topic in topics}
    latest.subscribe(link.node)
    link.wait(config.wait_s, lambda: not latest.missing("robot"))
    link.wait(config.watch_s)
    for topic, patience_s in topics.items():
        yield from _examine_topic(link, topic, ears[topic], patience_s, contract)
    yield from _examine_values(runtime, latest)
    problem = latest.gravity_problem()
    if problem:
        yield wrong("axes", problem)
    for command in contract.commands:
        yield from _examine_command(link, command, table)


def _examine_topic(
    link: Link, topic: Topic, ear: _Ear, patience_s: float | None, contract: Contract
) -> Iterator[Finding]:
    name = link.node.resolve_topic_name(topic.name)
    publishers = link.node.get_publishers_info_by_topic(name)
    if not publishers:
        words = f"nobody publishes it ({_type(topic.message)})"
        yield remark(name, f"{words}: its operator may come later") if topic.side == "operator" else wrong(name, words)
        return
    for publisher in publishers:
        yield from _examine_endpoint(name, topic.message, publisher, publisher.qos_profile, topic.qos)
    if topic.side == "robot":
        yield _rate(name, ear, patience_s, _hz(contract) if topic.triggers else None)
    if ear.behind_s:
        yield _stamps(name, ear, patience_s)


def _examine_endpoint(
    name: str, message: type, endpoint: Any, publisher: QoSProfile, subscriber: QoSProfile
) -> Iterator[Finding]:
    """Type and quality of service of somebody else's end of a topic."""
    who = f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
    if endpoint.topic_type != _type(message):
        yield wrong(name, f"{who} has the type {endpoint.topic_type}, it must be {_type(message)}")
    compatibility, reason = qos_check_compatible(_comparable(publisher), _comparable(subscriber))
    if compatibility == QoSCompatibility.ERROR:
        yield wrong(name, f"the quality of service of {who} does not fit: {reason}")


def _comparable(profile: QoSProfile) -> QoSProfile:
    """What is told of another node's end says "for ever" otherwise than a profile that leaves a duration out."""
    return QoSProfile(depth=1, reliability=profile.reliability, durability=profile.durability)


def _type(message: type) -> str:
    return f"{message.__module__.split('.')[0]}/msg/{message.__name__}"


def _rate(name: str, ear: _Ear, patience_s: float | None, wanted_hz: float | None) -> Finding:
    if len(ear.came_s) < 3:
        return wrong(name, f"{len(ear.came_s)} messages came")
    gaps = [later - earlier for earlier, later in zip(ear.came_s, ear.came_s[1:], strict=False)]
    rate = 1.0 / statistics.median(gaps)
    words = f"{rate:.1f} Hz, longest silence {1e3 * max(gaps):.0f} ms"
    if wanted_hz is not None and rate < (1.0 - _RATE) * wanted_hz:
        return wrong(name, f"{words}; control needs {wanted_hz:g} Hz")
    if patience_s is not None and max(gaps) > patience_s:
        return wrong(name, f"{words}; a reading is stale after {1e3 * patience_s:.0f} ms")
    return fine(name, words)


def _stamps(name: str, ear: _Ear, patience_s: float | None) -> Finding:
    behind_s = statistics.median(ear.behind_s)
    words = f"{1e3 * behind_s:.1f} ms behind its stamps"
    if abs(behind_s) > _AGREE_S:
        return remark(name, f"{words}: the clocks of robot and machine do not agree; set them by the same server")
    if patience_s is not None and not 0.0 <= behind_s <= patience_s:
        return remark(name, f"{words}, where a reading is stale after {1e3 * patience_s:.0f} ms")
    return fine(name, words)


def _examine_values(runtime: Runtime, latest: LatestValues) -> Iterator[Finding]:
    missing = latest.missing("robot")
    if missing:
        yield wrong("readings", f"never received {'; '.join(missing)}")
        return
    chain = SafetyChain(runtime.contract, conditions=runtime.conditions())
    cause = chain.problem(latest.signals, latest.ages_s(time.monotonic_ns()))
    yield wrong("readings", cause) if cause else fine("readings", "all are plausible")


def _examine_command(link: Link, command: CommandInterface, table: BindingTable) -> Iterator[Finding]:
    binding = table.command(command)
    name = link.node.resolve_topic_name(binding.topic)
    takers = link.node.get_subscriptions_info_by_topic(name)
    if not takers:
        yield wrong(name, f"nobody takes {command.name} ({_type(binding.message)})")
    for taker in takers:
        yield from _examine_endpoint(name, binding.message, taker, qos.COMMAND, taker.qos_profile)
    others = other_publishers(link.node, name)
    if others:
        yield wrong(name, f"{', '.join(others)} already sends commands")
    if takers and not others:
        yield fine(name, f"taken by {', '.join(sorted(taker.node_name for taker in takers))}")
