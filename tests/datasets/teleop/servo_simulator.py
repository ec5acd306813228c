"""Servos on a simulated serial bus: a pseudo-terminal that answers as Feetech's and Dynamixel's protocols say."""

from __future__ import annotations

import os
import pty
import select
import tempfile
import threading
import tty
from abc import ABC, abstractmethod
from pathlib import Path

PING, READ, WRITE, SYNC_READ = 0x01, 0x02, 0x03, 0x82


class SimulatedBus(ABC):
    """Servos with memory: id -> bytes. `port` is the path of the serial port; `silent` servos do not answer; a servo in
    `garbled` answers so many times with a wrong checksum."""

    greeting: bytes

    @abstractmethod
    def size(self, data: bytes) -> int:
        """Bytes of the packet that begins here; 0 if it is too early to tell."""

    @abstractmethod
    def open(self, packet: bytes) -> tuple[int, int, bytes]:
        """Servo, instruction, parameters; a wrong checksum is not forgiven."""

    @abstractmethod
    def sync(self, parameters: bytes) -> tuple[int, int, bytes]:
        """Address, length, servos."""

    @abstractmethod
    def span(self, parameters: bytes) -> tuple[int, int]:
        """Address, length."""

    @abstractmethod
    def written(self, parameters: bytes) -> tuple[int, bytes]:
        """Address, data."""

    @abstractmethod
    def status(self, servo: int, data: bytes) -> bytes:
        """The packet that answers."""

    def __init__(self, ids: list[int]) -> None:
        self.memory = {servo: bytearray(256) for servo in ids}
        self.silent: set[int] = set()
        self.garbled: dict[int, int] = {}
        self.asked: list[int] = []  # instructions, in order
        self._hand, self._kept = pty.openpty()  # kept open: else the hand's side ends with the first who closes it
        tty.setraw(self._kept)
        self._folder = tempfile.TemporaryDirectory()
        self.port = str(Path(self._folder.name) / "ttyARM")  # as udev has it: gone when the cable is pulled
        os.symlink(os.ttyname(self._kept), self.port)
        self._over, self._end = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        pending = b""
        while self._over not in (ready := select.select([self._hand, self._over], [], [])[0]):
            pending += os.read(ready[0], 1024)
            while (size := self.size(pending)) and len(pending) >= size:
                for answer in self._answers(pending[:size]):
                    os.write(self._hand, answer)
                pending = pending[size:]

    def _answers(self, packet: bytes) -> list[bytes]:
        servo, instruction, parameters = self.open(packet)
        self.asked.append(instruction)
        if instruction == SYNC_READ:
            address, length, ids = self.sync(parameters)
            return [self._answer(one, self.memory[one][address : address + length]) for one in ids if self._there(one)]
        if not self._there(servo):
            return []
        if instruction == READ:
            address, length = self.span(parameters)
            return [self._answer(servo, self.memory[servo][address : address + length])]
        if instruction == WRITE:
            address, data = self.written(parameters)
            self.memory[servo][address : address + len(data)] = data
        return [self._answer(servo, self.greeting if instruction == PING else b"")]

    def _there(self, servo: int) -> bool:
        return servo in self.memory and servo not in self.silent

    def _answer(self, servo: int, data: bytes | bytearray) -> bytes:
        packet = bytearray(self.status(servo, bytes(data)))
        if self.garbled.get(servo, 0):
            self.garbled[servo] -= 1
            packet[-1] ^= 0xFF
        return bytes(packet)

    def unplug(self) -> None:
        if self._thread.is_alive():
            os.write(self._end, b"x")
            self._thread.join()
            self._folder.cleanup()
            for descriptor in (self._hand, self._kept, self._over, self._end):
                os.close(descriptor)


class FeetechBus(SimulatedBus):
    """FF FF id length instruction parameters checksum; the memory of an STS3215."""

    greeting = b""

    def turn(self, servo: int, ticks: int) -> None:
        raw = ticks if ticks >= 0 else -ticks | 0x8000
        self.memory[servo][56:58] = raw.to_bytes(2, "little")

    def torque(self, servo: int) -> int:
        return self.memory[servo][40]

    def size(self, data: bytes) -> int:
        return data[3] + 4 if len(data) > 3 else 0

    def open(self, packet: bytes) -> tuple[int, int, bytes]:
        assert packet[:2] == b"\xff\xff"
        assert packet[-1] == ~sum(packet[2:-1]) & 0xFF
        return packet[2], packet[4], packet[5:-1]

    def sync(self, parameters: bytes) -> tuple[int, int, bytes]:
        return parameters[0], parameters[1], parameters[2:]

    def span(self, parameters: bytes) -> tuple[int, int]:
        return parameters[0], parameters[1]

    def written(self, parameters: bytes) -> tuple[int, bytes]:
        return parameters[0], parameters[1:]

    def status(self, servo: int, data: bytes) -> bytes:
        body = bytes([servo, len(data) + 2, 0]) + data
        return b"\xff\xff" + body + bytes([~sum(body) & 0xFF])


class DynamixelBus(SimulatedBus):
    """Protocol 2.0: FF FF FD 00 id length(2) instruction parameters CRC(2); the memory of the X series."""

    greeting = bytes([0x06, 0x04, 0x2D])  # model 1030, firmware 45

    def turn(self, servo: int, ticks: int) -> None:
        self.memory[servo][132:136] = ticks.to_bytes(4, "little", signed=True)

    def torque(self, servo: int) -> int:
        return self.memory[servo][64]

    def size(self, data: bytes) -> int:
        return int.from_bytes(data[5:7], "little") + 7 if len(data) > 6 else 0

    def open(self, packet: bytes) -> tuple[int, int, bytes]:
        assert packet[:4] == b"\xff\xff\xfd\x00"
        assert packet[-2:] == crc(packet[:-2])
        return packet[4], packet[7], packet[8:-2]

    def sync(self, parameters: bytes) -> tuple[int, int, bytes]:
        return *self.span(parameters), parameters[4:]

    def span(self, parameters: bytes) -> tuple[int, int]:
        return int.from_bytes(parameters[:2], "little"), int.from_bytes(parameters[2:4], "little")

    def written(self, parameters: bytes) -> tuple[int, bytes]:
        return int.from_bytes(parameters[:2], "little"), parameters[2:]

    def status(self, servo: int, data: bytes) -> bytes:
        body = b"\xff\xff\xfd\x00" + bytes([servo]) + (len(data) + 4).to_bytes(2, "little") + b"\x55\x00" + data
        return body + crc(body)


def crc(data: bytes) -> bytes:
    """CRC-16 of protocol 2.0: polynomial 0x8005, from 0, most significant bit first."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ (0x8005 if value & 0x8000 else 0)
        value &= 0xFFFF
    return value.to_bytes(2, "little")
