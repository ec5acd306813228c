"""What a node and its watchdog tell each other, on a pair of sockets in one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair

import numpy as np
import pytest
from untrained import contract_for

from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.ros.node.ownership import without_watchdogs
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.watchdog.client import patience_s
from isthmus_deploy.ros.watchdog.heartbeat import ALIVE, TOOK_OVER, Heartbeat, Orders, receive, send
from isthmus_sim.robots.quadrotor.description import ROBOT

CONTRACT = contract_for(ROBOT, "quadrotor")


def command(name: str, shape: tuple[int, ...], safe: tuple[float, ...]) -> Command:
    return replace(
        CONTRACT.commands[0], name=name, shape=shape, order=tuple("abcdefgh"[: shape[-1]]), safe=safe,
        minimum=(-9.0,) * shape[-1], maximum=(9.0,) * shape[-1], max_rate=(1.0,) * shape[-1], standby=safe,
    )  # fmt: skip


COMMANDS = (command("legs", (2, 3), (1.0, 2.0, 3.0)), command("hand", (1,), (4.0,)))


@pytest.fixture
def pair() -> Iterator[tuple[socket, socket]]:
    node, watchdog = socketpair(AF_UNIX, SOCK_SEQPACKET)
    with node, watchdog:
        yield node, watchdog


def test_until_it_says_otherwise_the_safe_command_was_sent_and_nothing_is_driven():
    beat = Heartbeat(COMMANDS)
    assert beat.commands["legs"].tolist() == [[1.0, 2.0, 3.0]] * 2
    assert beat.commands["hand"].tolist() == [4.0]
    assert not beat.drives
    assert not beat.damped


def test_it_tells_of_a_robot_that_is_damped(pair):
    node, watchdog = pair
    said, heard = Heartbeat(COMMANDS), Heartbeat(COMMANDS)
    for damped in (True, False):
        said.fill(True, said.commands, damped=damped)
        send(node, said.packet)
        assert receive(watchdog, heard.packet) == len(said.packet)
        assert heard.damped is damped


def test_a_heartbeat_arrives_as_it_was(pair):
    node, watchdog = pair
    said, heard = Heartbeat(COMMANDS), Heartbeat(COMMANDS)
    said.fill(True, {"legs": np.arange(6.0).reshape(2, 3), "hand": np.array([0.1])})
    send(node, said.packet)
    assert receive(watchdog, heard.packet) == len(heard.packet) == 24 + 7 * 8
    assert heard.drives
    assert heard.sent_ns == said.sent_ns > 0
    assert heard.commands["legs"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert heard.commands["hand"].tolist() == [0.1]


def test_nothing_yet_and_the_end_are_told_apart(pair):
    node, watchdog = pair
    packet = bytearray(64)
    assert receive(watchdog, packet) is None
    node.close()
    assert receive(watchdog, packet) == 0


def test_what_was_said_last_is_heard_although_the_other_ended_without_listening(pair):
    node, watchdog = pair
    send(node, b"never read")
    send(watchdog, TOOK_OVER)
    watchdog.close()
    packet = bytearray(64)
    size = receive(node, packet)
    assert packet[:size] == TOOK_OVER
    assert receive(node, packet) == 0
    send(node, ALIVE)  # to nobody: no error


def test_nobody_is_held_up_by_one_that_does_not_listen(pair):
    node, _ = pair
    for _ in range(10_000):
        send(node, bytes(200))


def test_orders_arrive_as_they_were():
    orders = Orders(
        contract="{}", profile=None, name="w", namespace="/a", topics={"rotor_speed": "/a/commands"}, hang_s=0.25
    )
    assert Orders.from_packet(orders.packet()) == orders


@pytest.mark.parametrize(("ages", "patience"), [((0.1, None), 0.1), ((0.01, 0.5), 0.03), ((None,), 0.1)])
def test_a_node_may_be_silent_as_long_as_its_least_patient_reading_but_three_periods(ages, patience):
    signals = tuple(replace(CONTRACT.signals[0], name=f"s{age}", max_age_s=age, max_still_s=None) for age in ages)
    assert patience_s(replace(CONTRACT, signals=signals)) == pytest.approx(patience)


@pytest.mark.parametrize("wanted", [0.0, -1.0, 0.019, float("nan")])
def test_nobody_is_given_less_than_two_control_periods(wanted):
    assert patience_s(CONTRACT, 0.02) == 0.02
    with pytest.raises(Refusal, match="at least 2 control periods"):
        patience_s(CONTRACT, wanted)


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["/node", "/node_watchdog"], []),
        (["/node"], []),
        (["/node", "/node_watchdog", "/node", "/node_watchdog"], ["/node"]),
        (["/node", "/node_watchdog", "/node_watchdog"], ["/node_watchdog"]),
        (["/node", "/node_watchdog", "/b/other", "/b/other_watchdog", "/x"], ["/b/other", "/x"]),
    ],
)
def test_a_watchdog_counts_as_its_node_does_and_for_itself_when_that_is_gone(names, others):
    assert without_watchdogs("/node", names) == others
