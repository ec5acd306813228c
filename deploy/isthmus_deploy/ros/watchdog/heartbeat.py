"""What a policy node and its watchdog tell each other: packets on a pair of sockets that hold neither of them up."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from socket import MSG_DONTWAIT, socket

import numpy as np

from isthmus_deploy.contracts.limits import Command

READY, ALIVE, TOOK_OVER = b"ready", b"alive", b"took over"
"""What the watchdog says: it can reach the robot; it watches; it commands the robot now."""

_HEADER = np.dtype([("sent_ns", np.int64), ("drives", np.int64), ("damped", np.int64)])


@dataclass(frozen=True, kw_only=True)
class Orders:
    """The first packet to a watchdog: what it watches over."""

    contract: str
    """The policy's contract, JSON."""
    profile: str | None
    """The robot's profile as the node has read it, JSON, where it has one: its file may be another one by now."""
    name: str
    """Name of the watchdog's ROS node."""
    namespace: str
    """Namespace of the policy node."""
    topics: Mapping[str, str]
    """Full name of the topic of each command."""
    hang_s: float
    """How long the node may be silent while it drives the robot, s."""

    def packet(self) -> bytes:
        """What `from_packet` reads."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_packet(cls, packet: bytes) -> Orders:
        """Read what `packet` wrote."""
        return cls(**json.loads(packet))


class Heartbeat:
    """Every other packet to a watchdog: when it was sent, whether the node drives the robot, what it commanded last.

    Args:
        commands: Their names and shapes; until a packet says otherwise, the safe ones were commanded last.
    """

    def __init__(self, commands: Sequence[Command]) -> None:
        ends = np.cumsum([np.prod(item.shape) for item in commands], dtype=int).tolist()
        self.packet = bytearray(_HEADER.itemsize + 8 * ends[-1])
        """What is sent and received; the rest of this object is a view of it."""
        self._header = np.frombuffer(self.packet, _HEADER, 1)
        values = np.frombuffer(self.packet, np.float64, offset=_HEADER.itemsize)
        parts = [values[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
        self.commands = {item.name: part.reshape(item.shape) for item, part in zip(commands, parts, strict=True)}
        """By name, in the shapes and units of the contract."""
        for item in commands:
            self.commands[item.name][:] = item.safe

    @property
    def sent_ns(self) -> int:
        """When it was sent, monotonic ns."""
        return int(self._header["sent_ns"][0])

    @property
    def drives(self) -> bool:
        """Whether the node drives the robot."""
        return bool(self._header["drives"][0])

    @property
    def damped(self) -> bool:
        """Whether the robot is damped, and must not be driven to a pose."""
        return bool(self._header["damped"][0])

    def fill(self, drives: bool, commands: Mapping[str, np.ndarray], *, damped: bool = False) -> None:
        """Be the heartbeat of now."""
        self._header["sent_ns"], self._header["drives"], self._header["damped"] = time.monotonic_ns(), drives, damped
        for name, values in self.commands.items():
            np.copyto(values, commands[name])


def send(channel: socket, packet: bytes | bytearray) -> None:
    """Send a packet, unless the other side does not take any: then it hears nothing, and that tells it."""
    with suppress(OSError):
        channel.send(packet, MSG_DONTWAIT)


def receive(channel: socket, packet: bytearray) -> int | None:
    """Write the next packet into `packet`; returns its length, 0 when the other side has ended, None when there is no
    further packet yet."""
    while True:
        try:
            return channel.recv_into(packet, 0, MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionResetError:  # the other side ended with packets unread; what it said last is still to come
            continue
