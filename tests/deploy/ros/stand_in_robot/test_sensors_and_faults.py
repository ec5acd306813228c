"""The stand-in robots' commands, faults and messages, without ROS processes."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import standing_policy
from builtin_interfaces.msg import Time

from isthmus_deploy.contracts.robot_interface import interface_of
from isthmus_deploy.ros.bindings.body import IMU
from isthmus_deploy.ros.bindings.joints import JOINT_STATES
from isthmus_deploy.ros.readings.latest_values import LatestValues
from isthmus_deploy.ros.stand_in_robot.commands import Commands
from isthmus_deploy.ros.stand_in_robot.faults import Aftermath, Fault, parse_fault
from isthmus_deploy.ros.stand_in_robot.sensors import Sensors, sensor_topics
from isthmus_sim.robots.quadrotor.description import ROBOT as QUADROTOR
from isthmus_sim.robots.quadruped.description import JOINTS
from isthmus_sim.robots.quadruped.description import ROBOT as QUADRUPED

MS = 1_000_000
FLYING = ("odom", "imu")


# --- commands ---


def acting(commands, at_ns):
    """What acts at a time, as a list."""
    command = commands.at(at_ns)
    assert command is not None
    return command.tolist()


def test_a_command_acts_from_its_arrival():
    commands = Commands((-1.0, 0.0), (100.0, 100.0))
    assert commands.at(0) is None
    assert commands.receive(np.array([1.0, 2.0]), 5 * MS) is None
    assert commands.receive(np.array([-3.0, 400.0]), 8 * MS) is None
    assert commands.at(4 * MS) is None
    assert acting(commands, 5 * MS) == [1.0, 2.0]
    assert acting(commands, 7 * MS) == [1.0, 2.0]
    assert acting(commands, 8 * MS) == [-1.0, 100.0], "clipped to what the motor can do"


def test_the_dead_man_takes_the_command_away_until_the_next_one():
    commands = Commands((0.0,), (100.0,))
    commands.receive(np.array([50.0]), 0)
    assert acting(commands, 200 * MS) == [50.0]
    assert not commands.dead
    assert commands.at(201 * MS) is None
    assert commands.dead
    commands.receive(np.array([60.0]), 300 * MS)
    assert acting(commands, 300 * MS) == [60.0]
    assert not commands.dead


@pytest.mark.parametrize(
    ("command", "reason"), [([1.0], "1 values for 2 motors"), ([1.0, float("nan")], "not finite"), ([], "0 values")]
)
def test_an_impossible_command_is_refused(command, reason):
    commands = Commands((0.0, 0.0), (100.0, 100.0))
    assert reason in str(commands.receive(np.array(command), 0))
    assert commands.at(1) is None


# --- faults ---


def test_faults_are_read_from_text():
    assert parse_fault("nan@3.0", FLYING) == Fault(kind="nan", topic="odom", at_s=3.0)
    assert parse_fault("silence:imu@2", FLYING) == Fault(kind="silence", topic="imu", at_s=2.0)
    assert parse_fault("jump:joint_states@2", ("imu", "joint_states")).topic == "joint_states"
    assert not parse_fault("jump@1", FLYING).active(0.99)
    assert parse_fault("jump@1", FLYING).active(1.0)


@pytest.mark.parametrize(
    "text", ["", "nan", "nan@", "smoke@1", "nan:camera@1", "nan:joint_states@1", "nan@-1", "nan@1.2.3"]
)
def test_what_is_no_fault_is_refused(text):
    with pytest.raises(ValueError, match="KIND one of nan, jump, silence, freeze, late and TOPIC one of odom, imu"):
        parse_fault(text, FLYING)


def test_what_counts_after_a_fault():
    aftermath = Aftermath((0.0, 0.0), slowly=False)
    aftermath.note_command(0, np.array([5.0, 5.0]))
    aftermath.begin(10 * MS)
    assert aftermath.summary() is None
    aftermath.note_command(11 * MS, np.array([4.0, 4.0]))
    aftermath.begin(20 * MS)
    aftermath.note_command(22 * MS, np.zeros(2))
    aftermath.note_command(32 * MS, np.ones(2))
    after = aftermath.summary()
    assert after == {
        "moving_commands": 1,
        "stopped_after_s": pytest.approx(0.012),
        "safe_after_s": pytest.approx(0.012),
    }


def test_a_robot_that_is_laid_down_slowly_stops_when_it_only_comes_nearer():
    """Commands at 10 ms: one away in the second element, one back, one away; from 40 ms on only nearer, safe at 60."""
    aftermath = Aftermath((1.0, -1.0), slowly=True)
    aftermath.note_command(0, np.array([0.0, 0.0]))
    aftermath.begin(5 * MS)
    path = [(0.2, 0.1), (0.3, 0.0), (0.25, 0.0), (0.5, -0.2), (0.75, -0.2), (1.0, -1.0), (0.0, 0.0)]
    for index, command in enumerate(path, 1):
        assert aftermath.summary() is None or index == len(path)
        aftermath.note_command(10 * index * MS, np.array(command))
    after = aftermath.summary()
    assert after == {
        "moving_commands": 3,
        "stopped_after_s": pytest.approx(0.035),
        "safe_after_s": pytest.approx(0.055),
    }


# --- messages ---


class Network:
    """Takes the place of a ROS node: what is published lies in `sent`, in order."""

    sent: list[tuple[str, Any]]

    def __init__(self):
        self.sent = []

    def create_publisher(self, _kind, name, _qos):
        network = self

        class Publisher:
            def publish(self, message):
                network.sent.append((name, message))

        return Publisher()


@pytest.fixture
def network() -> Any:
    return Network()


def readings():
    """Different numbers in all signals of the quadruped."""
    counter = itertools.count(1)
    return {
        signal.name: np.array([float(next(counter)) for _ in signal.order])
        for signal in QUADRUPED.signals
        if signal.max_age_s is not None
    }


def test_a_robots_topics_follow_from_its_signals():
    assert [topic.name for topic in sensor_topics(interface_of(QUADROTOR))] == ["odom", "imu"]
    assert [topic.name for topic in sensor_topics(interface_of(QUADRUPED))] == ["joint_states", "imu"]


def test_what_the_quadruped_sends_is_what_the_policy_node_reads(network):
    latest = LatestValues(standing_policy.contract())
    Sensors(network, interface_of(QUADRUPED)).publish(Time(sec=1), readings(), silent=set())
    assert [name for name, _ in network.sent] == ["imu", "joint_states"], "what starts a period comes last"
    imu, states = (message for _, message in network.sent)
    assert states.name != list(JOINTS), "in another order than the contract's"
    latest.receive(IMU, imu)
    latest.receive(JOINT_STATES, states)
    for name, value in readings().items():
        assert latest.signals[name].tolist() == value.tolist(), name
    assert latest.missing("robot") == []


def test_a_silent_topic_starts_no_period(network):
    robot = Sensors(network, interface_of(QUADRUPED))
    assert robot.publish(Time(), readings(), silent={"joint_states"}) is None
    assert [name for name, _ in network.sent] == ["imu"]
    assert robot.publish(Time(), readings(), silent={"imu"}) is not None
    assert [name for name, _ in network.sent] == ["imu", "joint_states"]


@pytest.mark.parametrize(("topic", "signal"), [("joint_states", "joint_position"), ("imu", "angular_velocity")])
def test_a_fault_spoils_the_first_reading_of_its_topic(network, topic, signal):
    robot, fault = Sensors(network, interface_of(QUADRUPED)), Fault(kind="nan", topic=topic, at_s=0.0)
    spoilt = readings()
    robot.spoil(fault, spoilt)
    assert np.isnan(spoilt[signal][0])
    assert sum(np.isnan(value).sum() for value in spoilt.values()) == 1
    jumped = readings()
    robot.spoil(dataclasses.replace(fault, kind="jump"), jumped)
    limit = next(item.max_jump[0] for item in QUADRUPED.signals if item.name == signal)
    assert jumped[signal][0] - readings()[signal][0] > limit


def test_a_frozen_topic_keeps_all_of_its_first_readings_and_leaves_the_others(network):
    robot, fault = Sensors(network, interface_of(QUADRUPED)), Fault(kind="freeze", topic="imu", at_s=0.0)
    first, later = readings(), {name: value + 1.0 for name, value in readings().items()}
    robot.spoil(fault, first)
    robot.spoil(fault, later)
    assert {name for name, value in later.items() if (value == first[name]).all()} == {
        "angular_velocity",
        "imu_orientation",
    }


def test_a_late_topic_has_the_readings_and_the_stamp_of_six_periods_ago(network):
    robot = Sensors(network, interface_of(QUADRUPED))
    sent = []
    for second in range(8):
        moving = readings()
        moving["angular_velocity"][0] = second
        robot.publish(Time(sec=second), moving, late={"imu"})
        imu = next(message for name, message in network.sent[-2:] if name == "imu")
        sent.append((imu.header.stamp.sec, imu.angular_velocity.x))
    assert sent == [(0, 0.0)] * 7 + [(1, 1.0)]
