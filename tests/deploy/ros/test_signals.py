"""Messages become signals: orders, frames, ages."""

from __future__ import annotations

import math

import hand_made_policy
import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, Quaternion
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu

from isthmus_deploy.ros.messages import read_quaternion, write_quaternion
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.signals import GOAL_POSE, IMU, ODOM, REFERENCE, Inbox, check_contract

S = 1_000_000_000


class Clock:
    """Monotonic time that a test sets, ns."""

    now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(clock) -> Inbox:
    return Inbox(hand_made_policy.contract(), clock=clock)


def odometry(stamp: int = 0, frame: str = "world", child: str = "base_link") -> Odometry:
    message = Odometry(child_frame_id=child)
    message.header.frame_id = frame
    message.header.stamp.sec = stamp
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.x, pose.position.y, pose.position.z = 1.0, 2.0, 3.0
    pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = 0.1, 0.2, 0.3, 0.9
    twist.linear.x, twist.linear.y, twist.linear.z = 4.0, 5.0, 6.0
    return message


def test_quaternions_turn_from_xyzw_to_wxyz_and_back():
    out = np.zeros(4)
    read_quaternion(Quaternion(x=0.1, y=0.2, z=0.3, w=0.9), out)
    assert out.tolist() == [0.9, 0.1, 0.2, 0.3]
    message = Quaternion()
    write_quaternion(out, message)
    assert message == Quaternion(x=0.1, y=0.2, z=0.3, w=0.9)


def test_odom_gives_three_signals_and_starts_the_period(inbox, clock):
    clock.now = 7
    assert not inbox.take_reading()
    inbox.receive(ODOM, odometry())
    assert inbox.signals["position"].tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(inbox.signals["orientation"], [0.9, 0.1, 0.2, 0.3], atol=1e-7)
    assert inbox.signals["linear_velocity"].tolist() == [4.0, 5.0, 6.0]
    assert inbox.take_reading()
    assert not inbox.take_reading(), "it is used up"
    assert inbox.paced_ns == 7


def test_imu_gives_body_rates_and_starts_no_period(inbox):
    message = Imu()
    message.angular_velocity.y = -2.0
    inbox.receive(IMU, message)
    assert inbox.signals["angular_velocity"].tolist() == [0.0, -2.0, 0.0]
    assert not inbox.take_reading()


def test_the_newest_of_goal_and_reference_wins(inbox):
    inbox.receive(REFERENCE, odometry(child="world"))
    assert inbox.signals["reference_velocity"].tolist() == [4.0, 5.0, 6.0]
    goal = PoseStamped()
    goal.pose.position.z = 9.0
    inbox.receive(GOAL_POSE, goal)
    assert inbox.signals["reference_position"].tolist() == [0.0, 0.0, 9.0]
    assert inbox.signals["reference_velocity"].tolist() == [0.0, 0.0, 0.0]
    inbox.receive(REFERENCE, odometry(child="world"))
    assert inbox.signals["reference_position"].tolist() == [1.0, 2.0, 3.0]


def test_readings_age_and_goals_hold(inbox, clock):
    assert inbox.ages_s(0)["position"] == math.inf
    inbox.receive(ODOM, odometry())
    inbox.receive(GOAL_POSE, PoseStamped())
    clock.now = 2 * S
    ages = inbox.ages_s(clock.now)
    assert ages["position"] == ages["orientation"] == 2.0
    assert ages["reference_position"] == 0.0
    assert ages["angular_velocity"] == math.inf
    inbox.receive(REFERENCE, odometry(child="world"))
    assert inbox.ages_s(3 * S)["reference_position"] == 1.0


def test_a_repeated_time_stamp_is_silence(inbox, clock):
    inbox.receive(ODOM, odometry(stamp=5))
    assert inbox.take_reading()
    clock.now = 1 * S
    inbox.receive(ODOM, odometry(stamp=5))
    assert not inbox.take_reading()
    assert inbox.ages_s(clock.now)["position"] == 1.0
    inbox.receive(ODOM, odometry(stamp=6))
    assert inbox.take_reading()


@pytest.mark.parametrize(
    ("topic", "message", "reason"),
    [
        (ODOM, odometry(child="world"), "not in the body frame"),
        (REFERENCE, odometry(child="base_link"), "the reference velocity is in the world frame"),
    ],
)
def test_a_twist_in_the_wrong_frame_is_not_used(inbox, topic, message, reason):
    inbox.receive(topic, message)
    assert reason in inbox.take_rejection()
    assert inbox.take_rejection() is None
    assert not inbox.signals["position"].any()
    assert not inbox.signals["reference_position"].any()


def test_missing_signals_are_named_with_their_topics(inbox):
    assert "position (topic odom)" in inbox.missing("robot")
    assert inbox.missing("operator")[0] == "reference_position (topic reference or goal_pose)"
    inbox.receive(ODOM, odometry())
    assert inbox.missing("robot") == ["angular_velocity (topic imu)"]


def test_an_unknown_signal_lists_the_known_ones(contract):
    with pytest.raises(Refusal, match="joint_position: no topic gives it; known signals: position, orientation"):
        check_contract(contract)
    check_contract(hand_made_policy.contract())
