"""Unitree's Go2 by its published messages (package unitree_go of unitree_ros2): never run on hardware here.

The robot has twenty motors in its messages, of which the first twelve are the legs'. A command counts when its checksum
is right: CRC-32/MPEG-2 of the C structure that the message stands for, its words taken from the high byte down.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sensor_msgs.msg import Imu, JointState

from isthmus_deploy.contracts.profile import JointMap, Profile
from isthmus_deploy.contracts.robot_interface import CommandInterface
from isthmus_deploy.ros.bindings.binding import Array, BadMessage, CommandBinding
from isthmus_deploy.ros.bindings.conversion import Conversion
from isthmus_deploy.ros.bindings.messages import write_quaternion, write_vector
from isthmus_deploy.ros.ros2 import Refusal

MOTORS = tuple(f"{leg}_{joint}" for leg in ("FR", "FL", "RR", "RL") for joint in range(3))
"""What unitree calls the motors of the legs, in the order of its messages: hip, thigh, calf of each."""
_SERVO_MODE = 0x01
_HEAD, _LOW_LEVEL = (0xFE, 0xEF), 0xFF
# Head, level flag, frame, serial number, version, bandwidth; mode, q, dq, tau, kp, kd, reserve of each motor; battery,
# remote, LEDs, fans, GPIO, reserve. The checksum follows.
_HEADER, _MOTOR, _TAIL = struct.Struct("<4B4IH2x"), struct.Struct("<B3x5f3I"), struct.Struct("<4B55BxI")
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def _messages() -> Any:
    try:
        return importlib.import_module("unitree_go.msg")
    except ModuleNotFoundError as error:
        raise Refusal("unitree_go's messages are missing: build unitree_ros2 and source its workspace") from error


def joints() -> Conversion:
    """The legs' motors of a LowState as a JointState."""

    def read(message: Any) -> JointState:
        motors = _legs(message.motor_state)
        return JointState(
            name=list(MOTORS),
            position=[motor.q for motor in motors],
            velocity=[motor.dq for motor in motors],
        )

    def write(message: JointState) -> Any:
        state = _messages().LowState()
        for name, position, velocity in zip(message.name, message.position, message.velocity, strict=True):
            motor = state.motor_state[MOTORS.index(name)]
            motor.q, motor.dq = position, velocity
        return state

    return Conversion(message=_messages().LowState, read=read, write=write)


def imu() -> Conversion:
    """The IMU of a LowState, whose quaternion is w x y z, as an Imu."""

    def read(message: Any) -> Imu:
        out = Imu()
        write_quaternion(message.imu_state.quaternion, out.orientation)
        write_vector(message.imu_state.gyroscope, out.angular_velocity)
        write_vector(message.imu_state.accelerometer, out.linear_acceleration)
        return out

    def write(message: Imu) -> Any:
        state, orientation, rate = _messages().LowState(), message.orientation, message.angular_velocity
        state.imu_state.quaternion = [orientation.w, orientation.x, orientation.y, orientation.z]
        state.imu_state.gyroscope = [rate.x, rate.y, rate.z]
        return state

    return Conversion(message=_messages().LowState, read=read, write=write)


def command(binding: CommandBinding, profile: Profile) -> CommandBinding:
    """Positions as a LowCmd, with the gains of the profile. Raises Refusal where the profile states none."""

    def writer(command: CommandInterface) -> Callable[[Array], Any]:
        joints, gains = JointMap(profile, command), [profile.joint(name) for name in command.order]
        if command.unit != "rad" or any(joint.stiffness is None or joint.damping is None for joint in gains):
            raise Refusal(f"{command.name}: a LowCmd takes positions, and stiffness and damping of every joint")
        message = _messages().LowCmd()
        message.head, message.level_flag = list(_HEAD), _LOW_LEVEL
        motors = [message.motor_cmd[_place(name)] for name in joints.names]
        for motor, joint in zip(motors, gains, strict=True):
            motor.mode, motor.kp, motor.kd = _SERVO_MODE, joint.stiffness, joint.damping

        def write(values: Array) -> Any:
            for motor, position in zip(motors, joints.to_driver(values).tolist(), strict=True):
                motor.q = position
            message.crc = checksum(message)
            return message

        return write

    def reader(command: CommandInterface) -> Callable[[Any], Array]:
        joints = JointMap(profile, command)
        places = [_place(name) for name in joints.names]
        return lambda message: joints.from_driver(np.array([message.motor_cmd[place].q for place in places]))

    return replace(binding, message=_messages().LowCmd, writer=writer, reader=reader)


def _place(name: str) -> int:
    if name not in MOTORS:
        raise Refusal(f"unitree has no motor {name!r}; its motors are {', '.join(MOTORS)}")
    return MOTORS.index(name)


def _legs(motors: Any) -> Any:
    if len(motors) < len(MOTORS):
        raise BadMessage(f"a LowState of {len(motors)} motors; the legs have {len(MOTORS)}")
    return motors[: len(MOTORS)]


def checksum(message: Any) -> int:
    """The checksum that a LowCmd must carry."""
    parts = [
        _HEADER.pack(
            *message.head, message.level_flag, message.frame_reserve, *message.sn, *message.version, message.bandwidth
        ),
        *(_MOTOR.pack(m.mode, m.q, m.dq, m.tau, m.kp, m.kd, *m.reserve) for m in message.motor_cmd),
        _TAIL.pack(
            message.bms_cmd.off, *message.bms_cmd.reserve, *message.wireless_remote, *message.led, *message.fan,
            message.gpio, message.reserve,
        ),
    ]  # fmt: skip
    words = np.frombuffer(b"".join(parts), "<u4").byteswap().tobytes()
    # zlib's CRC-32 takes bits from the low end and inverts the result; this one does neither.
    reflected = zlib.crc32(words.translate(_REVERSED)) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
