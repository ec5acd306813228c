"""`isthmus-calibrate leader`: what the servos of a leader arm mean, by moving it."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live
from rich.table import Table

from isthmus_datasets.teleop.calibration.error import CalibrationError
from isthmus_datasets.teleop.devices.arm_calibration import calibrated, homed
from isthmus_datasets.teleop.devices.servo_bus import FAMILIES, ServoBus

_PATIENCE_S = 0.4  # no robot waits


@dataclass(frozen=True, kw_only=True)
class FitLeader:
    """Learn which angle the servos of a leader arm mean: hold every joint at 0 and press Enter, then move every joint
    as far as it goes and press Enter. Without options, of an SO-101's leader."""

    port: Annotated[str, tyro.conf.Positional]
    """Such as /dev/ttyACM0."""
    calibration: Annotated[Path, tyro.conf.Positional]
    """Where to write what was learnt."""
    servos: Literal["feetech", "dynamixel"] = "feetech"
    """Who made them."""
    baud: int = 1_000_000
    """Bits per second."""
    joints: tuple[str, ...] = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
    """As the robot that will follow names its own."""
    ids: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    """Numbers of their servos on the bus, in the same order."""
    reversed: tuple[str, ...] = ()
    """Joints of which the angle would fall where the robot's grows."""

    def run(self, console: Console) -> None:
        if len(self.ids) != len(self.joints):
            raise CalibrationError(f"{len(self.joints)} joints ({', '.join(self.joints)}), but {len(self.ids)} ids")
        ids = dict(zip(self.joints, self.ids, strict=True))
        family = FAMILIES[self.servos]
        with closing(ServoBus(self.port, ids, servos=family, baud=self.baud, patience_s=_PATIENCE_S)) as bus:
            console.print("Hold the arm so that the robot's joints would be at 0; the gripper anywhere. Then Enter.")
            _enter(None)
            home = bus.read()
            console.print("Move every joint as far as it goes, both ways. Then Enter.")
            seen = self._watch(bus, ids, home, console)
        calibrated(ids, home, seen, self.reversed).save(self.calibration)
        console.print(f"{self.calibration}: {len(ids)} joints", highlight=False, soft_wrap=True)

    def _watch(
        self, bus: ServoBus, ids: Mapping[str, int], home: Mapping[int, int], console: Console
    ) -> list[Mapping[int, int]]:
        """All that the servos said until Enter; how far each joint went is shown meanwhile."""
        arm, seen = homed(ids, home, self.reversed), [home]
        least = now = most = arm.angles(home)

        def shown() -> Table:
            return _table(self.joints, least, now, most)

        with Live(get_renderable=shown, console=console, refresh_per_second=10, transient=True):
            while not _enter(0.0):
                seen.append(bus.read())
                now = arm.angles(seen[-1])
                least, most = np.minimum(least, now), np.maximum(most, now)
        console.print(shown())
        return seen


def _enter(patience_s: float | None) -> bool:
    """Whether Enter was pressed, waiting so long for it. Raises CalibrationError: nobody can press it."""
    keys = sys.stdin.fileno()
    if not select.select([keys], [], [], patience_s)[0]:
        return False
    if not os.read(keys, 1024):
        raise CalibrationError("the standard input has ended, and nobody can press Enter: start it in a terminal")
    return True


def _table(
    joints: tuple[str, ...], least: NDArray[np.float64], now: NDArray[np.float64], most: NDArray[np.float64]
) -> Table:
    table = Table("joint", "least °", "now °", "most °")
    for name, *angles in zip(joints, least, now, most, strict=True):
        table.add_row(name, *(f"{np.degrees(angle):.1f}" for angle in angles))
    return table
