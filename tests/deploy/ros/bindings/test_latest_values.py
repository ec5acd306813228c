"""Messages become signals: orders, frames, ages, silence."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import hand_made_policy
import numpy as np
import pytest
import standing_policy
from geometry_msgs.msg import PoseStamped, Quaternion, TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu, JointState

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.bindings import joints as joint_bindings
from isthmus_deploy.ros.bindings.binding import Topic, Write
from isthmus_deploy.ros.bindings.body import GOAL_POSE, IMU, ODOM, REFERENCE
from isthmus_deploy.ros.bindings.joints import JOINT_STATES
from isthmus_deploy.ros.bindings.messages import read_quaternion, write_quaternion
from isthmus_deploy.ros.bindings.table import bindings, check_contract
from isthmus_deploy.ros.bindings.walking import CMD_VEL
from isthmus_deploy.ros.readings.latest_values import LatestValues
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_sim.robots.quadruped.description import JOINTS

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
def flying(clock) -> LatestValues:
    return LatestValues(hand_made_policy.contract(), clock=clock, wall=clock)


def odometry(stamp: int = 0, frame: str = "world", child: str = "base_link") -> Odometry:
    message = Odometry(child_frame_id=child)
    message.header.frame_id = frame
    message.header.stamp.sec = stamp
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.x, pose.position.y, pose.position.z = 1.0, 2.0, 3.0
    pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = 0.1, 0.2, 0.3, 0.9
    twist.linear.x, twist.linear.y, twist.linear.z = 4.0, 5.0, 6.0
    return message


def writer(topic: Topic, *signals: SignalInterface) -> Write:
    assert topic.writer is not None
    return topic.writer(signals)


def test_quaternions_turn_from_xyzw_to_wxyz_and_back():
    out = np.zeros(4)
    read_quaternion(Quaternion(x=0.1, y=0.2, z=0.3, w=0.9), out)
    assert out.tolist() == [0.9, 0.1, 0.2, 0.3]
    message = Quaternion()
    write_quaternion(out, message)
    assert message == Quaternion(x=0.1, y=0.2, z=0.3, w=0.9)


def test_odom_gives_three_signals_and_starts_the_period(flying, clock):
    clock.now = 7
    assert not flying.take_reading()
    flying.receive(ODOM, odometry())
    assert flying.signals["position"].tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(flying.signals["orientation"], [0.9, 0.1, 0.2, 0.3], atol=1e-7)
    assert flying.signals["linear_velocity"].tolist() == [4.0, 5.0, 6.0]
    assert flying.take_reading()
    assert not flying.take_reading(), "it is used up"
    assert flying.triggered_ns == 7


def test_imu_gives_body_rates_and_starts_no_period(flying):
    message = Imu()
    message.angular_velocity.y = -2.0
    flying.receive(IMU, message)
    assert flying.signals["angular_velocity"].tolist() == [0.0, -2.0, 0.0]
    assert not flying.take_reading()


def test_the_newest_of_goal_and_reference_wins(flying):
    flying.receive(REFERENCE, odometry(child="world"))
    assert flying.signals["reference_velocity"].tolist() == [4.0, 5.0, 6.0]
    goal = PoseStamped()
    goal.pose.position.z = 9.0
    flying.receive(GOAL_POSE, goal)
    assert flying.signals["reference_position"].tolist() == [0.0, 0.0, 9.0]
    assert flying.signals["reference_velocity"].tolist() == [0.0, 0.0, 0.0]
    flying.receive(REFERENCE, odometry(child="world"))
    assert flying.signals["reference_position"].tolist() == [1.0, 2.0, 3.0]


def test_an_operator_may_give_a_place_without_a_velocity():
    write = writer(REFERENCE)
    assert write({"reference_velocity": np.ones(3)}).twist.twist.linear.x == 1.0
    message = write({"reference_position": np.array([1.0, 2.0, 3.0])})
    assert message.pose.pose.position.z == 3.0
    assert message.twist.twist.linear.x == 0.0


def test_readings_age_and_goals_hold(flying, clock):
    assert flying.ages_s(0)["position"] == math.inf
    flying.receive(ODOM, odometry())
    flying.receive(GOAL_POSE, PoseStamped())
    clock.now = 2 * S
    ages = flying.ages_s(clock.now)
    assert ages["position"] == ages["orientation"] == 2.0
    assert ages["reference_position"] == 0.0
    assert ages["angular_velocity"] == math.inf
    flying.receive(REFERENCE, odometry(child="world"))
    assert flying.ages_s(3 * S)["reference_position"] == 1.0


def test_a_repeated_time_stamp_is_silence(flying, clock):
    flying.receive(ODOM, odometry(stamp=5))
    assert flying.take_reading()
    clock.now = 1 * S
    flying.receive(ODOM, odometry(stamp=5))
    assert not flying.take_reading()
    assert flying.ages_s(clock.now)["position"] == 1.0
    flying.receive(ODOM, odometry(stamp=6))
    assert flying.take_reading()


def test_a_message_that_comes_late_is_not_used(flying):
    """Another one, which went another way, or a replay, has overtaken it."""
    for stamp, used in ((5, True), (6, True), (4, False), (7, True), (5, False), (8, True)):
        flying.receive(ODOM, odometry(stamp=stamp))
        assert flying.take_reading() == used
    counters = {"repeated_readings": 0, "late_readings": 2, "clock_steps": 0}
    assert flying.counters.items() >= counters.items()


def test_a_goal_of_an_operator_whose_clock_is_behind_is_heard(flying):
    for stamp, x in ((100, 1.0), (40, 2.0)):
        message = PoseStamped()
        message.header.stamp.sec, message.pose.position.x = stamp, x
        flying.receive(GOAL_POSE, message)
        assert flying.signals["reference_position"][0] == x


@pytest.mark.parametrize("back", [1, 3600])
def test_a_clock_that_steps_back_takes_two_readings(flying, back: int):
    stamps = [10_000, 10_001, *range(10_001 - back, 10_009 - back)]
    used = []
    for stamp in stamps:
        flying.receive(ODOM, odometry(stamp=stamp))
        used.append(flying.take_reading())
    assert used[:2] == [True, True]
    assert used.count(False) <= 3
    assert all(used[5:])


def test_a_clock_that_steps_forward_changes_nothing(flying):
    for stamp in (10, 11, 4000, 4001):
        flying.receive(ODOM, odometry(stamp=stamp))
        assert flying.take_reading()


@pytest.mark.parametrize("back", [1, 3600])
def test_a_clock_that_steps_back_with_this_machines_loses_no_reading(clock, back: int):
    """The robot's driver runs on this machine, whose clock a time server sets."""
    set_back = 0
    latest = LatestValues(hand_made_policy.contract(), clock=clock, wall=lambda: clock.now + (10_000 - set_back) * S)
    for index in range(10):
        set_back = back if index > 4 else 0
        clock.now = index * S
        latest.receive(ODOM, odometry(stamp=10_000 + index - set_back))
        assert latest.take_reading()
        assert latest.ages_s(clock.now)["position"] == 0.0
    assert latest.counters["wall_clock_steps"] == 1
    assert latest.counters["clock_steps"] == latest.counters["late_readings"] == 0


def test_a_reading_is_as_old_as_its_stamp_where_clocks_agree(flying, clock):
    clock.now = 12 * S + S // 20
    flying.receive(ODOM, odometry(stamp=12))
    assert flying.ages_s(clock.now)["position"] == pytest.approx(0.05)
    assert flying.counters["clocks"] == "no stamps on imu"


@pytest.mark.parametrize("stamp", [12 - 3600, 12 + 3600])
def test_where_clocks_do_not_agree_a_reading_counts_from_its_arrival(flying, clock, stamp: int):
    clock.now = 12 * S
    message = odometry(stamp=10_000 + stamp)
    flying._clock = lambda: clock.now
    clock.now += 10_000 * S
    flying.receive(ODOM, message)
    assert flying.ages_s(clock.now)["position"] == 0.0
    side = "ahead" if stamp > 12 else "behind"
    assert f"clocks do not agree: that of odom is 3.6e+03 s {side}" in flying.counters["clocks"]


def test_stamps_that_are_not_trusted_still_tell_what_is_new(clock):
    latest = LatestValues(hand_made_policy.contract(), trust_stamps=False, clock=clock, wall=clock)
    clock.now = 20 * S
    for stamp, used in ((12, True), (12, False), (11, False), (13, True)):
        latest.receive(ODOM, odometry(stamp=stamp))
        assert latest.take_reading() == used
    assert latest.ages_s(clock.now)["position"] == 0.0
    assert latest.counters["clocks"] == "stamps are not trusted, readings count from when they come"


def test_readings_that_are_always_late_are_a_fault(clock):
    contract = dataclasses.replace(hand_made_policy.contract(), trained_latency_s=0.0)
    flying = LatestValues(contract, clock=clock, wall=clock)
    for index in range(40):
        clock.now = 10 * S + index * S // 100
        message = odometry()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(clock.now - S // 20, S)
        flying.receive(ODOM, message)
        flying.times.answer(clock.now + S // 1000)
    assert "odom: for 0.39 s no reading came to a command within 25 ms" in str(flying.times.problem(clock.now))
    assert flying.counters["stamp_to_command_odom"] == "p50 51 ms, p99 51 ms, trained for 0 ms"


def test_the_same_reading_with_a_new_stamp_is_counted(flying):
    for stamp in (5, 6, 7):
        flying.receive(ODOM, odometry(stamp=stamp))
        assert flying.take_reading()
    assert flying.counters["frozen_readings"] == 2


@pytest.mark.parametrize(
    ("topic", "message", "reason"),
    [
        (ODOM, odometry(frame="map_ned"), "odom: header.frame_id is 'map_ned', whose name says north, east, down"),
        (ODOM, odometry(child="camera_link"), "child_frame_id is 'camera_link', whose name says a camera"),
        (ODOM, odometry(child="zed_left_optical_frame"), "whose name says right, down, forward"),
        (ODOM, odometry(child=""), "child_frame_id is empty"),
        (ODOM, odometry(child="base_link_frd"), "whose name says forward, right, down"),
    ],
)
def test_a_frame_that_is_another_convention_by_its_name_is_not_used(flying, topic, message, reason):
    flying.receive(topic, message)
    assert reason in flying.take_rejection()
    assert "position" in flying.missing("robot")[0]


@pytest.mark.parametrize("frame", ["scanned_map", "odom", "cambridge", "drone1/base_link", ""])
def test_other_names_say_nothing(flying, frame):
    flying.receive(ODOM, odometry(frame=frame))
    assert flying.take_rejection() is None


@pytest.mark.parametrize(("up", "given", "refused"), [(9.8, True, False), (-9.8, True, True), (-9.8, False, False)])
def test_gravity_at_rest_shows_an_imu_that_is_upside_down(legs, up: float, given: bool, refused: bool):
    message = Imu(orientation=Quaternion(w=1.0))
    message.header.frame_id = "imu_link"
    message.linear_acceleration.z = up
    message.linear_acceleration_covariance[0] = 0.0 if given else -1.0
    legs.receive(IMU, message)
    assert legs.take_rejection() is None
    problem = legs.gravity_problem()
    assert ("imu and imu_orientation: at rest gravity is 180° away" in str(problem)) == refused


@pytest.mark.parametrize(
    ("topic", "message", "reason"),
    [
        (ODOM, odometry(child="world"), "not in the body frame"),
        (REFERENCE, odometry(child="base_link"), "the reference velocity is in the world frame"),
    ],
)
def test_a_twist_in_the_wrong_frame_is_not_used(flying, topic, message, reason):
    flying.receive(topic, message)
    assert reason in flying.take_rejection()
    assert flying.take_rejection() is None
    assert not flying.signals["position"].any()
    assert not flying.signals["reference_position"].any()


@pytest.mark.parametrize(("topic", "frame"), [(GOAL_POSE, "base_link"), (REFERENCE, "map")])
def test_what_is_wanted_in_another_frame_than_the_robots_world_is_not_used(flying, topic, frame: str):
    flying.receive(ODOM, odometry(frame="odom"))
    message = PoseStamped() if topic is GOAL_POSE else odometry(child=frame)
    message.header.frame_id = frame
    flying.receive(topic, message)
    assert flying.take_rejection() == f"{topic.name}: in the frame {frame!r}; the robot's world is 'odom'"
    for named in ("odom", ""):
        message = PoseStamped()
        message.header.frame_id = named
        flying.receive(GOAL_POSE, message)
        assert flying.take_rejection() is None


@pytest.mark.parametrize(("expires_s", "zero_after_s"), [(None, 0.5), (2.0, 2.0)])
def test_a_velocity_that_is_not_renewed_lasts_as_the_contract_says(clock, expires_s, zero_after_s):
    """Or else as its topic has it; the place, which does not expire, stays."""
    contract = hand_made_policy.contract()
    signals = tuple(
        dataclasses.replace(item, expires_s=expires_s) if item.name == "reference_velocity" else item
        for item in contract.signals
    )
    flying = LatestValues(dataclasses.replace(contract, signals=signals), clock=clock)
    flying.receive(REFERENCE, odometry(child="world"))
    flying.expire(round((zero_after_s - 0.01) * S))
    assert flying.signals["reference_velocity"].all()
    flying.expire(round((zero_after_s + 0.01) * S))
    assert not flying.signals["reference_velocity"].any()
    assert flying.expired == ("reference",)
    assert flying.signals["reference_position"].all()


def test_what_is_said_once_does_not_expire_whatever_the_contract_says(flying, clock):
    """A goal pose says that the robot shall rest there: nobody has to renew it."""
    assert {item.name: item.expires_s for item in hand_made_policy.contract().signals}["reference_velocity"] == 0.5
    flying.receive(GOAL_POSE, PoseStamped())
    flying.expire(100 * S)
    assert flying.expired == ()


def test_missing_signals_are_named_with_their_topics(flying):
    assert "position (topic odom)" in flying.missing("robot")
    assert flying.missing("operator")[0] == "reference_position (topic reference or goal_pose)"
    flying.receive(ODOM, odometry())
    assert flying.missing("robot") == ["angular_velocity (topic imu)"]


def test_an_unknown_signal_lists_the_known_ones(contract):
    with pytest.raises(Refusal, match=r"signals\.goal: no topic gives goal; known signals: position, orientation"):
        check_contract(contract)
    check_contract(hand_made_policy.contract())
    check_contract(standing_policy.contract())


# --- a robot with joints ---


@pytest.fixture
def legs(clock) -> LatestValues:
    return LatestValues(standing_policy.contract(), clock=clock, wall=clock)


def joints(names: Sequence[str] = JOINTS, **fields: list[float]) -> JointState:
    """The joint at place i of the contract is at i rad and 10 i rad/s, wherever it stands in the message."""
    places = [JOINTS.index(name) if name in JOINTS else 99 for name in names]
    values = {"position": [float(i) for i in places], "velocity": [10.0 * i for i in places], **fields}
    return JointState(name=list(names), **values)


def walk(x: float = 0.5, y: float = -0.1, yaw: float = 0.3, frame: str = "base_link") -> TwistStamped:
    message = TwistStamped()
    message.header.frame_id = frame
    message.twist.linear.x, message.twist.linear.y, message.twist.angular.z = x, y, yaw
    return message


@pytest.mark.parametrize(
    "names",
    [JOINTS, JOINTS[::-1], ("gripper", *JOINTS[6:], "head_joint", *JOINTS[:6])],
    ids=["the contract's order", "reversed", "halves swapped, extra joints"],
)
def test_joints_are_matched_by_name(legs, names):
    legs.receive(JOINT_STATES, joints(names))
    assert legs.signals["joint_position"].tolist() == list(range(12))
    assert legs.signals["joint_velocity"].tolist() == list(range(0, 120, 10))
    assert legs.signals["joint_position"].dtype == np.float32


def test_a_driver_that_changes_its_order_is_followed(legs):
    for names in (JOINTS, JOINTS[::-1], JOINTS):
        legs.receive(JOINT_STATES, joints(names))
        assert legs.signals["joint_position"].tolist() == list(range(12))


def test_where_each_joint_stands_is_worked_out_once(legs, monkeypatch):
    worked_out = []
    places = joint_bindings._places
    monkeypatch.setattr(joint_bindings, "_places", lambda *given: worked_out.append(given) or places(*given))
    for _ in range(5):
        legs.receive(JOINT_STATES, joints(JOINTS[::-1]))
    assert len(worked_out) == 2, "once for positions, once for velocities"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (joints(JOINTS[1:]), "the policy needs joint FL_hip_joint, the message has only FL_thigh_joint, FL_calf"),
        (joints(()), "the policy needs joint FL_hip_joint, the message has only no names"),
        (joints((*JOINTS, "RR_calf_joint")), "the policy needs joint RR_calf_joint, the message names it twice"),
        (joints(velocity=[]), "12 names, but 0 values in velocity"),
        (joints(position=[0.0] * 11), "12 names, but 11 values in position"),
    ],
)
def test_a_joint_state_without_all_joints_is_not_used_at_all(legs, message, reason):
    legs.receive(JOINT_STATES, message)
    assert reason in legs.take_rejection()
    assert not legs.signals["joint_position"].any()
    assert not legs.take_reading()
    assert f"joint_velocity (topic joint_states; last refused: joint_states: {reason}" in legs.missing("robot")[1]


def test_a_rejected_message_leaves_the_readings_before_it(legs, clock):
    legs.receive(JOINT_STATES, joints())
    clock.now = 1 * S
    legs.receive(JOINT_STATES, joints(position=[7.0] * 12, velocity=[]))
    assert legs.signals["joint_position"].tolist() == list(range(12))
    assert legs.ages_s(clock.now)["joint_position"] == 1.0


def test_joints_that_are_not_a_number_reach_the_guard(legs):
    legs.receive(JOINT_STATES, joints(position=[math.nan] * 12))
    assert np.isnan(legs.signals["joint_position"]).all()


def test_joints_of_which_only_one_field_is_known_are_written_and_read():
    orders = {"joint_position": ("b", "a"), "joint_velocity": ("c", "a")}
    signals = [SignalInterface(name=name, shape=(2,), unit="", frame="joint", order=orders[name]) for name in orders]
    values = {"joint_position": np.array([2.0, 1.0]), "joint_velocity": np.array([30.0, 10.0])}
    message = writer(JOINT_STATES, *signals)(values)
    assert list(message.name) == ["a", "b", "c"]
    np.testing.assert_array_equal(message.position, [1.0, 2.0, math.nan])
    np.testing.assert_array_equal(message.velocity, [10.0, math.nan, 30.0])
    for signal in signals:
        out = np.zeros(2)
        bindings().signal(signal).sources[0].reader(signal)(message, out)
        assert out.tolist() == values[signal.name].tolist()


def test_joint_states_start_the_period_of_a_robot_with_joints(legs):
    legs.receive(IMU, Imu())
    assert not legs.take_reading()
    legs.receive(JOINT_STATES, joints())
    assert legs.take_reading()


def test_an_imu_gives_orientation_wxyz(legs):
    message = Imu(orientation=Quaternion(x=0.1, y=0.2, z=0.3, w=0.9))
    legs.receive(IMU, message)
    np.testing.assert_allclose(legs.signals["imu_orientation"], [0.9, 0.1, 0.2, 0.3], atol=1e-7)


def test_an_imu_without_orientation_is_refused_where_it_is_needed(legs, flying):
    message = Imu()
    message.orientation_covariance[0] = -1.0
    legs.receive(IMU, message)
    assert "this IMU gives no orientation" in legs.take_rejection()
    assert "imu_orientation (topic imu; last refused: imu: orientation_covariance" in legs.missing("robot")[-1]
    flying.receive(IMU, message)
    assert flying.take_rejection() is None


# --- the operator's velocity ---


@pytest.mark.parametrize("frame", ["base_link", ""])
def test_cmd_vel_is_a_velocity_in_the_body(legs, frame):
    legs.receive(CMD_VEL, walk(frame=frame))
    np.testing.assert_allclose(legs.signals["linear_velocity_command"], [0.5, -0.1])
    np.testing.assert_allclose(legs.signals["yaw_rate_command"], [0.3])


def test_an_operator_may_ask_only_to_go_or_only_to_turn():
    write = writer(CMD_VEL)
    going = write({"linear_velocity_command": np.array([0.5, -0.1])}).twist
    assert (going.linear.x, going.linear.y, going.angular.z) == (0.5, -0.1, 0.0)
    turning = write({"yaw_rate_command": np.array([0.3])}).twist
    assert (turning.linear.x, turning.linear.y, turning.angular.z) == (0.0, 0.0, 0.3)


def test_cmd_vel_in_another_frame_is_refused(legs):
    legs.receive(CMD_VEL, walk(frame="map"))
    assert "cmd_vel: header.frame_id is 'map'; a walking velocity is in the body frame" in legs.take_rejection()
    assert not legs.signals["linear_velocity_command"].any()


def test_an_operator_that_falls_silent_stops_the_walk(legs, clock):
    legs.receive(CMD_VEL, walk())
    clock.now = S // 2
    legs.expire(clock.now)
    assert legs.signals["linear_velocity_command"].all()
    assert legs.expired == ()
    legs.expire(clock.now + 1_000)
    assert not legs.signals["linear_velocity_command"].any()
    assert not legs.signals["yaw_rate_command"].any()
    assert legs.expired == ("cmd_vel",)

    legs.receive(CMD_VEL, walk(x=0.25))
    legs.expire(clock.now + 2_000)
    assert legs.signals["linear_velocity_command"][0] == 0.25
    assert legs.expired == ()


def test_an_operator_that_repeats_one_time_stamp_is_silent(legs, clock):
    message = walk()
    message.header.stamp.sec = 4
    for clock.now in (0, S // 2, S):
        legs.receive(CMD_VEL, message)
    legs.expire(clock.now)
    assert legs.expired == ("cmd_vel",)


def test_without_an_operator_the_robot_is_asked_to_stand(legs):
    legs.expire(0)
    assert legs.missing("operator") == []
    assert legs.expired == ("cmd_vel",)
    assert legs.ages_s(0)["yaw_rate_command"] == 0.0


def test_goals_do_not_expire(flying):
    flying.receive(GOAL_POSE, PoseStamped())
    flying.signals["reference_position"][0] = 1.0
    flying.expire(3600 * S)
    assert flying.signals["reference_position"][0] == 1.0
    assert flying.expired == ()


def test_a_reference_that_is_not_renewed_stays_where_it_was_and_moves_no_more(flying, clock):
    """Whoever moved it has died: its velocity would keep the drone away from its place for ever."""
    assert any("reference" in line for line in flying.missing("operator"))
    flying.receive(REFERENCE, odometry(child="world"))
    flying.expire(int(0.4 * S))
    assert flying.signals["reference_velocity"].tolist() == [4.0, 5.0, 6.0]
    flying.expire(int(0.6 * S))
    assert flying.signals["reference_velocity"].tolist() == [0.0, 0.0, 0.0]
    assert flying.signals["reference_position"].tolist() == [1.0, 2.0, 3.0]
    assert flying.expired == ("reference",)
    clock.now = S
    flying.receive(REFERENCE, odometry(child="world"))
    flying.expire(int(1.1 * S))
    assert flying.signals["reference_velocity"].tolist() == [4.0, 5.0, 6.0]
    assert flying.expired == ()
