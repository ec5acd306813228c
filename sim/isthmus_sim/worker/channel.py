"""What the two processes share: arrays in one file of memory, one byte each way for a request, JSON for words.

A request is RESET, ADVANCE or both added up; the answer is DONE, or FAILED and the reason. Arrays that a request reads
are written before it, those that it writes are read after its answer, so nothing needs a lock.
"""

from __future__ import annotations

import mmap
import struct
from typing import BinaryIO, Iterator, NamedTuple

import numpy as np

from isthmus_sim.worker.robot import Robot

PROTOCOL = 2
RESET, ADVANCE = 1, 2
DONE, FAILED = b"\x00", b"\x01"
_ALIGNED = 64
_LENGTH = struct.Struct("<I")


class Field(NamedTuple):
    """One array: its dtype and shape."""

    dtype: str
    shape: tuple[int, ...]


def fields(robot: Robot) -> dict[str, Field]:
    """Every array that n worlds share, float32 unless it says otherwise, a row per world.

    For both ways: root is position m, orientation wxyz, linear velocity m/s of the base's origin in the world, angular
    velocity rad/s in the base; joint_position, joint_velocity, and target, which is also what the drives remember;
    rotor_speed rad/s.
    To the worker: command; begin (worlds to reset, 1 or 0); gains of the drives, delay (physics steps in which the
    target before acts); set_point rad/s of the rotors, the shares rising and falling of a gap that they close in a
    physics step, thrust N/(rad/s)², and allocation: force N and torque N·m on the base, in it, of a newton of each;
    force N in the world and torque N·m in the body, on the base; mass kg, inertia kg·m², centre m
    of every body, friction of the ground; changed (worlds whose bodies or friction differ from before); terrain.
    From it: joint_torque, joint_power (means over the period), foot_force N, failed (1 or 0).
    """
    n, joints, bodies, feet = robot.num_envs, len(robot.joints), len(robot.bodies), len(robot.feet)
    rotors = robot.rotors
    by_joint = "joint_position joint_velocity target command stiffness damping strength joint_torque joint_power"
    found = {name: Field("f4", (n, joints)) for name in by_joint.split()}
    found["delay"] = Field("i4", (n, joints))
    found.update({name: Field("u1", (n,)) for name in ("begin", "changed", "failed")})
    found.update({"root": Field("f4", (n, 13)), "force": Field("f4", (n, 3)), "torque": Field("f4", (n, 3))})
    found.update({"mass": Field("f4", (n, bodies)), "friction": Field("f4", (n,))})
    found.update({name: Field("f4", (n, rotors)) for name in ("rotor_speed", "set_point")})
    found.update({name: Field("f4", (n, 1)) for name in ("rising", "falling", "thrust")})
    found["allocation"] = Field("f4", (n, rotors, 6))
    found["foot_force"] = Field("f4", (n, feet))
    found.update({name: Field("f4", (n, bodies, 3)) for name in ("inertia", "centre")})
    found["terrain"] = Field("f4", tuple(robot.terrain) if robot.terrain else (0, 0))
    return found


def size(robot: Robot) -> int:
    """Bytes of all arrays."""
    end = 0
    for _, field, start in _placed(robot):
        end = start + _bytes(field)
    return max(end, 1)


def arrays(memory: mmap.mmap, robot: Robot) -> dict[str, np.ndarray]:
    """The arrays, live."""
    return {
        name: np.frombuffer(memory, field.dtype, count=_count(field), offset=start).reshape(field.shape)
        for name, field, start in _placed(robot)
    }


def _placed(robot: Robot) -> Iterator[tuple[str, Field, int]]:
    start = 0
    for name, field in fields(robot).items():
        yield name, field, start
        start += -(-_bytes(field) // _ALIGNED) * _ALIGNED


def _count(field: Field) -> int:
    return int(np.prod(field.shape))


def _bytes(field: Field) -> int:
    return _count(field) * np.dtype(field.dtype).itemsize


def send_text(stream: BinaryIO, text: str) -> None:
    """Write words with their length before them."""
    data = text.encode()
    stream.write(_LENGTH.pack(len(data)) + data)


def receive_text(stream: BinaryIO) -> str:
    """Read what `send_text` wrote. Raises EOFError where the other process is gone."""
    return receive(stream, _LENGTH.unpack(receive(stream, _LENGTH.size))[0]).decode()


def receive(stream: BinaryIO, count: int) -> bytes:
    """Read `count` bytes, waiting for them. Raises EOFError where the other process is gone."""
    data = b""
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
