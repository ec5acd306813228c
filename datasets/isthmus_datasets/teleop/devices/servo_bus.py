"""Servos on a serial bus, through their makers' libraries, which are used alike."""

from __future__ import annotations

import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus_datasets.recording.operator import DeviceError
from isthmus_datasets.teleop.devices.library import library


@dataclass(frozen=True, kw_only=True)
class Servos:
    """A family. module, package: of its library; protocol: what the library calls it; torque, position: where in a
    servo's memory; size: of a position, bytes; signed: how a negative one is written."""

    module: str
    package: str
    protocol: float
    torque: int
    position: int
    size: int
    sign_bit: int | None


# Memory table of the STS3215: 40 torque switch, 56 present position, 2 bytes of which the highest bit is the sign.
FEETECH = Servos(
    module="scservo_sdk", package="feetech-servo-sdk", protocol=0, torque=40, position=56, size=2, sign_bit=15
)
# Control table of the X series, protocol 2.0: 64 torque enable, 132 present position, 4 bytes, two's complement.
DYNAMIXEL = Servos(
    module="dynamixel_sdk", package="dynamixel-sdk", protocol=2.0, torque=64, position=132, size=4, sign_bit=None
)
FAMILIES = {"feetech": FEETECH, "dynamixel": DYNAMIXEL}
_TRIES = 3


class ServoBus:
    """Reads where servos are; they are without torque, so that a hand can move them.

    After an error the port is closed, and the next `read` opens it anew.

    Args:
        port: Such as /dev/ttyACM0.
        joints: joint -> id of its servo.
        servos: What family.
        baud: Bits per second.
        patience_s: So long may an answer take; three times it is asked for. The libraries' own 34 ms are missed now and
            then by a computer that is busy.

    Raises:
        DeviceError: the library is not installed, the port cannot be opened, or servos do not answer; it names them.
    """

    def __init__(
        self,
        port: str,
        joints: Mapping[str, int],
        *,
        servos: Servos = FEETECH,
        baud: int = 1_000_000,
        patience_s: float = 0.06,
    ) -> None:
        self.name = f"leader arm at {port}"
        self._path, self._baud, self._patience_s = port, baud, patience_s
        self._joints, self._servos = dict(joints), servos
        self._sdk: Any = library(servos.module, device=self.name, package=servos.package)
        self._port: Any = None
        self._open()

    def _open(self) -> None:
        port = self._sdk.PortHandler(self._path)
        try:
            known = port.setBaudRate(self._baud)
        except (OSError, termios.error) as error:
            raise DeviceError(self.name, f"cannot be opened: {error}: is it plugged in, and may you use it?") from error
        if not known:
            raise DeviceError(self.name, f"{self._servos.package} knows no {self._baud} baud")
        port.setPacketTimeout = lambda length: port.setPacketTimeoutMillis(
            port.tx_time_per_byte * length + 1e3 * self._patience_s
        )
        self._port, self._packets = port, self._sdk.PacketHandler(self._servos.protocol)
        self._group = self._sdk.GroupSyncRead(port, self._packets, self._servos.position, self._servos.size)
        for servo in self._joints.values():
            self._group.addParam(servo)
        self._guarded(self._greet)

    def _greet(self) -> None:
        absent = [f"{name} (id {servo})" for name, servo in self._joints.items() if not self._answers(servo)]
        if absent:
            raise DeviceError(self.name, f"no answer from {', '.join(absent)}: check power, cables, ids and baud rate")
        for name, servo in self._joints.items():
            result, _ = self._packets.write1ByteTxRx(self._port, servo, self._servos.torque, 0)
            self._check(result, name)

    def _answers(self, servo: int) -> bool:
        for _ in range(_TRIES):
            self._port.ser.reset_input_buffer()
            try:
                if self._packets.ping(self._port, servo)[1] == self._sdk.COMM_SUCCESS:
                    return True
            except IndexError:  # Feetech's library upon an answer to an earlier question
                continue
        return False

    def read(self) -> dict[int, int]:
        """id -> ticks, signed. Raises DeviceError that names the joint that did not answer."""
        if self._port is None:
            self._open()
        return self._guarded(self._positions)

    def _positions(self) -> dict[int, int]:
        for _ in range(_TRIES):
            self._port.ser.reset_input_buffer()  # an answer that came too late would be taken for the next
            result = self._group.txRxPacket()
            if result == self._sdk.COMM_SUCCESS:
                break
        silent = [name for name, servo in self._joints.items() if not self._group.data_dict[servo]]
        self._check(result, silent[0] if silent else next(iter(self._joints)))
        raw = {
            servo: self._group.getData(servo, self._servos.position, self._servos.size)
            for servo in self._group.data_dict
        }
        return {servo: self._signed(value) for servo, value in raw.items()}

    def _signed(self, value: int) -> int:
        if self._servos.sign_bit is None:
            bits = 8 * self._servos.size
            return value - (1 << bits) if value >> (bits - 1) else value
        sign = 1 << self._servos.sign_bit
        return -(value & (sign - 1)) if value & sign else value

    def _check(self, result: int, joint: str) -> None:
        if result != self._sdk.COMM_SUCCESS:
            said = self._packets.getTxRxResult(result).removeprefix("[TxRxResult] ").rstrip("!")
            raise DeviceError(
                self.name, f"{joint} (id {self._joints[joint]}): {said}: check the cable to it, then begin anew"
            )

    def _guarded(self, work: Any) -> Any:
        """What `work` gives. Whatever is wrong, the port is closed."""
        try:
            return work()
        except (OSError, termios.error) as error:
            self.close()
            raise DeviceError(self.name, f"it was unplugged: {error}: plug it in and begin the next episode") from error
        except DeviceError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the port."""
        port, self._port = self._port, None
        if port is not None:
            port.closePort()
