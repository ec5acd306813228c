"""`python -m isthmus_datasets.operators.calibrate_leader PORT FILE`: tell what the servos of a leader arm mean."""

from __future__ import annotations

import select
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from isthmus_datasets.operators.arm_calibration import calibrated
from isthmus_datasets.operators.motion import DeviceError
from isthmus_datasets.operators.servo_bus import FAMILIES, ServoBus

SO101 = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Find out where a leader arm's joints are zero and how far they go, and write it to a file."""

    port: Annotated[str, tyro.conf.Positional]
    """Such as /dev/ttyACM0."""
    file: Annotated[Path, tyro.conf.Positional]
    """The calibration, JSON. It is replaced."""
    servos: Literal["feetech", "dynamixel"] = "feetech"
    """What family they are of."""
    baud: int = 1_000_000
    """Bits per second."""
    patience_s: float = 0.2
    """So long may an answer take; a recording is less patient."""
    joints: tuple[str, ...] = SO101
    """The robot's joints, in the order of their servos' ids, which are 1, 2, 3 …"""
    reversed: tuple[str, ...] = ()
    """Joints whose ticks fall while the robot's angle grows."""


def calibrate(options: Options) -> str:
    """Ask the person at the terminal. Raises DeviceError, ValueError, OSError."""
    unknown = set(options.reversed) - set(options.joints)
    if unknown:
        raise ValueError(f"no joint is called {', '.join(sorted(unknown))}; there are: {', '.join(options.joints)}")
    ids = {name: number for number, name in enumerate(options.joints, 1)}
    bus = ServoBus(options.port, ids, servos=FAMILIES[options.servos], baud=options.baud, patience_s=options.patience_s)
    with closing(bus):
        print("Hold the leader where every joint of the robot is at 0 rad, then press Enter.", flush=True)
        home = _until_enter(bus)[-1]
        print("Move every joint as far as it goes both ways, gripper too, then press Enter.", flush=True)
        made = calibrated(ids, home, _until_enter(bus), options.reversed)
    made.save(options.file)
    rows = (
        f"  {name}: {joint.minimum_rad:+.2f} to {joint.maximum_rad:+.2f} rad" for name, joint in made.joints.items()
    )
    return "\n".join((f"{options.file}:", *rows))


def _until_enter(bus: ServoBus) -> list[dict[int, int]]:
    """Where the servos were, again and again until the person pressed Enter; the last just after."""
    seen = []
    while not select.select([sys.stdin], [], [], 0.0)[0]:
        seen.append(bus.read())
    if not sys.stdin.readline():
        raise ValueError("the standard input has ended before Enter was pressed: start it in a terminal")
    return [*seen, bus.read()]


def main(arguments: list[str] | None = None) -> None:
    """Entry point."""
    try:
        print(calibrate(tyro.cli(Options, args=arguments)))
    except (DeviceError, ValueError, OSError) as error:
        sys.exit(f"calibrate_leader: {error}")


if __name__ == "__main__":
    main()
