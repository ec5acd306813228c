"""Messages as a robot's profile has them: other names, types, signs, orders and mountings."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import Twist
from sensor_msgs.msg import CompressedImage, Image, Imu, JointState
from untrained import contract_for

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.contracts.profile import parse_profile, read_profile
from isthmus_deploy.ros.bindings.binding import BadMessage
from isthmus_deploy.ros.bindings.profiled import ProfiledTable
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.bindings.unitree import checksum
from isthmus_deploy.ros.profiles import robot_table
from isthmus_deploy.ros.readings.latest_values import LatestValues
from isthmus_deploy.ros.ros2 import Link, Refusal
from isthmus_sim.robots.quadrotor.description import ROBOT as QUADROTOR
from isthmus_sim.robots.quadruped.description import ROBOT as QUADRUPED

HEAD = "profile: 1\nrobot: quadruped\n"
LEGS = tuple(QUADRUPED.joints)


@pytest.fixture
def contract() -> Contract:
    return contract_for(QUADRUPED, "quadruped")


def table(text: str, **orders: tuple[str, ...]) -> ProfiledTable:
    return ProfiledTable(bindings(), parse_profile(HEAD + text), orders)


def named(**first: str) -> str:
    """All joints of the legs under short names, the first one with more."""
    lines = [f"  {name}: {{name: j{index}}}" for index, name in enumerate(LEGS)]
    lines[0] = f"  {LEGS[0]}: {{name: j0, {', '.join(f'{key}: {value}' for key, value in first.items())}}}"
    return "joints:\n" + "\n".join(lines) + "\n"


def heard(contract: Contract, own: ProfiledTable, signal: str, message: object) -> np.ndarray:
    """The signal after the message of its topic."""
    latest = LatestValues(contract, own)
    topic = next(own.signal(item) for item in contract.signals if item.name == signal).sources[0].topic
    latest.receive(topic, message)
    rejection = latest.take_rejection()
    if rejection:
        raise BadMessage(rejection)
    return latest.signals[signal]


def test_joints_are_read_by_the_drivers_names_with_its_signs_and_units(contract):
    own = table(named(sign="-1", unit="deg", offset="10") + "topics: {joint_states: {topic: low/joints}}\n")
    names = [f"j{index}" for index in reversed(range(12))]
    position = [0.1 * index for index in reversed(range(12))]
    position[-1] = -20.0  # deg: -(−20 − 10) = 30 deg
    message = JointState(name=names, position=position, velocity=[1.0] * 12)
    read = heard(contract, own, "joint_position", message)
    np.testing.assert_allclose(read, [np.pi / 6, *(0.1 * index for index in range(1, 12))], rtol=1e-6)
    velocity = heard(contract, own, "joint_velocity", message)
    np.testing.assert_allclose(velocity[:2], [-np.pi / 180, 1.0], rtol=1e-6)
    assert own.signal(contract.signals[0]).sources[0].topic.name == "low/joints"
    with pytest.raises(BadMessage, match="needs joint j0"):
        heard(contract, own, "joint_position", JointState(name=list(LEGS), position=position))


def test_an_imu_upside_down_measures_as_if_it_were_not(contract):
    own = table("topics: {imu: {mounting: [0, 1, 0, 0]}}\n")  # half a turn about x
    message = Imu()
    message.angular_velocity.x, message.angular_velocity.y, message.angular_velocity.z = 0.1, 0.2, 0.3
    message.orientation.x, message.orientation.w = 1.0, 0.0  # the sensor hangs: the body is level
    np.testing.assert_allclose(heard(contract, own, "angular_velocity", message), [0.1, -0.2, -0.3], atol=1e-7)
    np.testing.assert_allclose(np.abs(heard(contract, own, "imu_orientation", message)), [1, 0, 0, 0], atol=1e-7)


def test_what_a_stand_in_writes_is_read_back(contract):
    own = table(named(sign="-1", offset="0.5") + "topics: {imu: {mounting: [0.5, 0.5, 0.5, 0.5]}}\n")
    signals = [signal for signal in contract.signals if signal.name in ("angular_velocity", "imu_orientation")]
    values = {"angular_velocity": np.array([0.1, 0.2, 0.3]), "imu_orientation": np.array([0.8, 0.0, 0.6, 0.0])}
    topic = own.signal(signals[0]).sources[0].topic
    assert topic.writer is not None
    message = topic.writer(signals)(values)
    for name, value in values.items():
        np.testing.assert_allclose(heard(contract, own, name, message), value, atol=1e-6)


@pytest.mark.parametrize("kind", ["", "sensor_msgs/JointState", "trajectory_msgs/JointTrajectory"])
def test_a_command_goes_in_the_controllers_order_or_by_name(contract, kind):
    if "Trajectory" in kind:
        pytest.importorskip("trajectory_msgs.msg")
    text = f"commands: {{joint_position_target: {{topic: legs, type: {kind}}}}}\n" if kind else ""
    order = tuple(f"j{index}" for index in (3, 0, 1, 2, *range(4, 12)))
    own = table(named(sign="-1", offset="0.5") + text, joint_position_target=order)
    command = contract.commands[0]
    binding = own.command(command)
    values = np.arange(12) / 10
    message = binding.writer(command)(values)
    np.testing.assert_allclose(binding.reader(command)(message), values)
    if not kind:
        np.testing.assert_allclose(message.data[:5], [0.3, 0.5, 0.1, 0.2, 0.4])
    elif "State" in kind:
        assert (list(message.name[:2]), list(message.position[:2])) == (["j0", "j1"], [0.5, 0.1])
    else:
        assert (message.joint_names[:2], list(message.points[0].positions[:2])) == (["j0", "j1"], [0.5, 0.1])
        assert message.points[0].time_from_start.nanosec > 0


def test_a_controller_of_other_joints_is_refused(contract):
    own = table(named(), joint_position_target=("arm1", "arm2"))
    with pytest.raises(Refusal, match="the robot takes arm1, arm2; the policy commands j0, j1"):
        own.command(contract.commands[0]).writer(contract.commands[0])


def test_a_type_that_nothing_converts_is_refused_with_the_valid_ones(contract):
    own = table("topics: {imu: {type: sensor_msgs/Image}}\n")
    with pytest.raises(Refusal, match="a sensor_msgs/Imu cannot be read from a sensor_msgs/Image; valid types are"):
        LatestValues(contract, own)
    own = table("commands: {joint_position_target: {type: std_msgs/String}}\n")
    with pytest.raises(Refusal, match="cannot be a std_msgs/String; valid types are std_msgs/Float64MultiArray, "):
        own.command(contract.commands[0])


def test_a_velocity_without_a_stamp(contract):
    own = table("topics: {cmd_vel: {type: geometry_msgs/Twist}}\n")
    message = Twist()
    message.linear.x, message.linear.y, message.angular.z = 0.3, -0.1, 0.5
    np.testing.assert_allclose(heard(contract, own, "linear_velocity_command", message), [0.3, -0.1], rtol=1e-6)


def test_an_image_is_decompressed_once_whoever_reads_it(contract):
    pytest.importorskip("cv2")
    camera = Signal(
        name="front", shape=(4, 6, 3), unit="1", frame="camera", order=("r", "g", "b"), dtype="uint8",
        minimum=(0.0,) * 3, maximum=(255.0,) * 3, max_jump=(255.0,) * 3, max_age_s=0.2,
    )  # fmt: skip
    seeing = dataclasses.replace(contract, signals=(*contract.signals, camera))
    own = table("topics: {front/image_raw: {topic: front/compressed, type: sensor_msgs/CompressedImage}}\n")
    topic = own.signal(camera).sources[0].topic
    picture = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    assert topic.writer is not None
    message = topic.writer([camera])({"front": picture})
    assert isinstance(message, CompressedImage)
    np.testing.assert_array_equal(heard(seeing, own, "front", message), picture)
    assert topic.message is not Image
    too_wide = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x7f\xff\xff\0\x7f\xff\xff\x08\x02\0\0\0"
    for data in (b"nothing", b"", message.data.tobytes()[:20], too_wide + bytes(100)):
        with pytest.raises(BadMessage, match=f"{len(data)} bytes of 'png' are no image that OpenCV can decode"):
            heard(seeing, own, "front", CompressedImage(format="png", data=data))


# --- what a profile cannot mean ---


@pytest.fixture
def link(domain: int) -> Iterator[Link]:
    with closing(Link("profiles")) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("topics: {cmd_vel: {mounting: [0, 1, 0, 0]}}", "linear_velocity_command, which is no vector x y z"),
        ("topics: {joint_states: {mounting: [0, 1, 0, 0]}}", "topics.joint_states.mounting: the policy reads nothing"),
        ("topics: {imu: {topic: /joint_states}}", "/joint_states would be read as JointState and Imu: it can be"),
        ("topics: {imu: {topic: /diagnostics}}", "/diagnostics would be read as something else and Imu"),
        (
            "commands: {joint_position_target: {topic: joint_states, type: sensor_msgs/JointState}}",
            "joint_position_target would be sent on /joint_states, where something else is read",
        ),
    ],
)
def test_what_a_profile_cannot_mean_is_refused_before_the_robot_is_looked_at(contract, link, text, words):
    with pytest.raises(Refusal) as refused:
        LatestValues(contract, robot_table(link, parse_profile(HEAD + text), contract, 0.0))
    assert words in str(refused.value)


@pytest.mark.parametrize("more", ["type: sensor_msgs/JointState", "order: [a, b, c, d]"])
def test_a_command_that_is_none_of_joints_has_a_topic_alone(more):
    rotors = contract_for(QUADROTOR, "quadrotor").commands[0]
    profile = parse_profile(f"profile: 1\nrobot: crazyflie\ncommands: {{rotor_speed: {{topic: motors, {more}}}}}")
    with pytest.raises(Refusal, match=f"commands.rotor_speed.{more[:4]}.*: only of a command of joints"):
        ProfiledTable(bindings(), profile, {}).command(rotors)


# --- Unitree's Go2, whose messages are not on PyPI ---


def motor_command() -> SimpleNamespace:
    return SimpleNamespace(mode=0, q=0.0, dq=0.0, tau=0.0, kp=0.0, kd=0.0, reserve=[0, 0, 0])


class LowCmd(SimpleNamespace):
    """As unitree_go/msg/LowCmd.msg has it."""

    def __init__(self) -> None:
        super().__init__(
            head=[0, 0], level_flag=0, frame_reserve=0, sn=[0, 0], version=[0, 0], bandwidth=0,
            motor_cmd=[motor_command() for _ in range(20)], bms_cmd=SimpleNamespace(off=0, reserve=[0, 0, 0]),
            wireless_remote=[0] * 40, led=[0] * 12, fan=[0, 0], gpio=0, reserve=0, crc=0,
        )  # fmt: skip


class LowState(SimpleNamespace):
    """As unitree_go/msg/LowState.msg has it, as far as it is read."""

    def __init__(self) -> None:
        motors = [SimpleNamespace(q=0.0, dq=0.0) for _ in range(20)]
        sensed = SimpleNamespace(quaternion=[1.0, 0.0, 0.0, 0.0], gyroscope=[0.0] * 3, accelerometer=[0.0] * 3)
        super().__init__(motor_state=motors, imu_state=sensed)


LowCmd.__module__, LowState.__module__ = "unitree_go.msg", "unitree_go.msg"


@pytest.fixture
def unitree(monkeypatch) -> ProfiledTable:
    package, messages = ModuleType("unitree_go"), ModuleType("unitree_go.msg")
    messages.LowCmd, messages.LowState = LowCmd, LowState  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "unitree_go", package)
    monkeypatch.setitem(sys.modules, "unitree_go.msg", messages)
    return ProfiledTable(bindings(), read_profile(Path("unitree_go2")), {})


def test_a_go2s_state_is_read(contract, unitree):
    state = LowState()
    for index, motor in enumerate(state.motor_state):
        motor.q, motor.dq = 0.1 * index, -0.1 * index
    state.imu_state.quaternion, state.imu_state.gyroscope = [0.0, 1.0, 0.0, 0.0], [0.1, 0.2, 0.3]
    position = dict(zip(LEGS, heard(contract, unitree, "joint_position", state), strict=True))
    assert position["FR_hip_joint"] == 0.0  # unitree's first leg is the right one in front
    assert position["FL_calf_joint"] == pytest.approx(0.5)
    assert position["RL_thigh_joint"] == pytest.approx(1.0)
    np.testing.assert_allclose(heard(contract, unitree, "imu_orientation", state), [0, 1, 0, 0])
    np.testing.assert_allclose(heard(contract, unitree, "angular_velocity", state), [0.1, 0.2, 0.3], rtol=1e-6)


def test_a_go2s_command_carries_gains_and_its_checksum(contract, unitree):
    command = contract.commands[0]
    binding = unitree.command(command)
    values = np.arange(12) / 10
    message = binding.writer(command)(values)
    assert (message.head, message.level_flag) == ([0xFE, 0xEF], 0xFF)
    assert [message.motor_cmd[0].q, message.motor_cmd[3].q] == [pytest.approx(0.3), pytest.approx(0.0)]
    assert (message.motor_cmd[0].mode, message.motor_cmd[0].kp, message.motor_cmd[0].kd) == (1, 25.0, 0.5)
    assert (message.motor_cmd[12].mode, message.motor_cmd[12].kp) == (0, 0.0)
    assert message.crc == slow_checksum(message) == checksum(message)
    np.testing.assert_allclose(binding.reader(command)(message), values, atol=1e-7)


def slow_checksum(message: LowCmd) -> int:
    """Word by word and bit by bit, as unitree publishes it; the structure is laid out field by field here."""
    data = bytearray()

    def put(value: bytes, align: int) -> None:
        data.extend(b"\0" * (-len(data) % align))
        data.extend(value)

    for value in (*message.head, message.level_flag, message.frame_reserve):
        put(bytes([value]), 1)
    for value in (*message.sn, *message.version):
        put(int(value).to_bytes(4, "little"), 4)
    put(int(message.bandwidth).to_bytes(2, "little"), 2)
    for motor in message.motor_cmd:
        data.extend(b"\0" * (-len(data) % 4))
        put(bytes([motor.mode]), 1)
        for value in (motor.q, motor.dq, motor.tau, motor.kp, motor.kd):
            put(np.float32(value).tobytes(), 4)
        for value in motor.reserve:
            put(int(value).to_bytes(4, "little"), 4)
    battery = (message.bms_cmd.off, *message.bms_cmd.reserve)
    for value in (*battery, *message.wireless_remote, *message.led, *message.fan, message.gpio):
        put(bytes([value]), 1)
    put(int(message.reserve).to_bytes(4, "little"), 4)
    assert len(data) == 808
    crc = 0xFFFFFFFF
    for word in np.frombuffer(bytes(data), "<u4").tolist():
        for bit in reversed(range(32)):
            over = crc >> 31
            crc = (crc << 1) & 0xFFFFFFFF
            if over != (word >> bit & 1):
                crc ^= 0x04C11DB7
    return crc
