"""`isthmus-calibrate leader` in a terminal, on a simulated bus: a person holds, moves, and presses Enter."""

from __future__ import annotations

import math
import os
import pty
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("scservo_sdk", reason="needs feetech-servo-sdk: pip install 'isthmus[teleop]'")
pytest.importorskip("dynamixel_sdk", reason="needs dynamixel-sdk: pip install 'isthmus[teleop]'")
from isthmus_datasets.teleop.devices.arm_calibration import Calibration, Joint

simulator = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "servo_simulator.py")))
IDS, HOME = range(1, 7), 2000
TIMEOUT_S = 60


class Person:
    """Holds the arm at home, moves it away by so many ticks from one question to the next, then presses Enter."""

    def __init__(self, family: str, moves: list[int]) -> None:
        kind = {"feetech": simulator.FeetechBus, "dynamixel": simulator.DynamixelBus}[family]
        moves, ask = list(moves), kind.sync

        def sync(wires, parameters):  # a question for all positions
            if moves:
                away = moves.pop(0)
                for servo in IDS:
                    wires.turn(servo, HOME + servo * away)
            else:
                os.write(self.hand, b"\n")
            return ask(wires, parameters)

        self.hand, self.terminal = pty.openpty()
        self.wires = type("Moved", (kind,), {"sync": sync})(list(IDS))
        os.write(self.hand, b"\n")  # the arm is held at 0 from the beginning

    def close(self) -> None:
        self.wires.unplug()
        os.close(self.hand)
        os.close(self.terminal)


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    person = Person(*request.param)
    yield person
    person.close()


def calibrate(*arguments: str, keys: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isthmus_datasets.teleop.calibration.cli", "leader", *arguments]
    return subprocess.run(command, stdin=keys, capture_output=True, text=True, timeout=TIMEOUT_S)


@pytest.mark.parametrize("person", [("feetech", [0, 100, -50, 20]), ("dynamixel", [0, 100, -50, 20])], indirect=True)
def test_an_arm_is_held_at_zero_and_moved(person: Person, tmp_path: Path, request: pytest.FixtureRequest):
    """The n-th servo is moved n times as far; ids and names are an SO-101's."""
    family, file = request.node.callspec.params["person"][0], tmp_path / "leader.json"
    done = calibrate(
        person.wires.port, str(file), "--servos", family, "--reversed", "elbow_flex", "gripper", keys=person.terminal
    )
    assert (done.returncode, done.stderr) == (0, "")
    joints = Calibration.load(file).joints
    assert list(joints) == ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
    tick = math.pi / 2048  # rad
    for name, servo, direction, least, most in (("shoulder_pan", 1, 1, -50, 100), ("gripper", 6, -1, -600, 300)):
        assert joints[name] == Joint(
            id=servo, home_ticks=HOME, direction=direction, minimum_rad=least * tick, maximum_rad=most * tick
        )
    assert re.search(r"gripper +│ +-52\.7 +│ +-10\.5 +│ +26\.4", done.stdout)


@pytest.mark.parametrize("person", [("feetech", [0, 10])], indirect=True)
def test_an_arm_that_was_hardly_moved_leaves_no_file(person: Person, tmp_path: Path):
    done = calibrate(person.wires.port, str(tmp_path / "leader.json"), keys=person.terminal)
    assert done.returncode == 1
    assert "isthmus-calibrate: shoulder_pan was moved by 0.02 rad only" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("person", "arguments", "wrong"),
    [
        (("feetech", []), ("--ids", "1", "2"), "6 joints (shoulder_pan, "),
        (("feetech", []), ("--ids", "1", "2", "3", "4", "5", "7"), "no answer from gripper (id 7)"),
        (("feetech", [0]), ("--reversed", "elbow"), "no joint elbow to be reversed; there are: shoulder_pan, "),
    ],
    indirect=["person"],
)
def test_what_cannot_be_is_said_in_one_line(person: Person, arguments: tuple[str, ...], wrong: str, tmp_path: Path):
    done = calibrate(person.wires.port, str(tmp_path / "leader.json"), *arguments, keys=person.terminal)
    assert done.returncode == 1
    assert done.stderr.startswith("isthmus-calibrate: ")
    assert wrong in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("person", [("feetech", [])], indirect=True)
def test_without_a_terminal_nobody_can_press_enter(person: Person, tmp_path: Path):
    done = calibrate(person.wires.port, str(tmp_path / "leader.json"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the standard input has ended" in done.stderr


def test_a_port_that_is_not_there(tmp_path: Path):
    done = calibrate(str(tmp_path / "ttyNONE"), str(tmp_path / "leader.json"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "ttyNONE: cannot be opened" in done.stderr
