"""Calibrating a leader arm at the terminal, with a simulated bus whose servos move when they are asked."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("scservo_sdk", reason="needs feetech-servo-sdk: pip install 'isthmus[teleop]'")
from isthmus_datasets.operators.arm_calibration import Calibration

simulator = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("servo_simulator.py"))))


class MovedArm(simulator.FeetechBus):
    """Two servos that a hand moves to and fro, once `moved` is set; then `done` is called."""

    def __init__(self) -> None:
        super().__init__([1, 2])
        self.moved, self.way, self.done = False, iter(np.linspace(0.0, 2 * np.pi, 40)), lambda: None
        self.turn(1, 1000)
        self.turn(2, 3000)

    def _answers(self, packet: bytes) -> list[bytes]:
        answers = super()._answers(packet)
        if self.moved and self.asked[-1] == simulator.SYNC_READ:
            phase = next(self.way, None)
            if phase is None:
                self.moved = False
                self.done()
            else:
                self.turn(1, 1000 + round(652 * np.sin(phase)))
                self.turn(2, 3000 + round(1304 * np.sin(phase)))
        return answers


def test_a_person_holds_it_at_zero_and_moves_it(tmp_path: Path):
    arm = MovedArm()
    file = tmp_path / "leader.json"
    command = [sys.executable, "-m", "isthmus_datasets.operators.calibrate_leader", arm.port, str(file)]
    command += ["--joints", "pan", "lift", "--reversed", "lift", "--patience-s", "0.5"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin = process.stdin

    def enter() -> None:
        stdin.write("\n")
        stdin.flush()

    try:
        assert "at 0 rad" in process.stdout.readline()
        enter()
        assert "Move every joint" in process.stdout.readline()
        arm.done, arm.moved = enter, True
        said = process.stdout.read()
        assert process.wait(timeout=60) == 0, said
    finally:
        process.kill()
        arm.unplug()
    assert "pan: -1.00 to +1.00 rad" in said
    made = Calibration.load(file)
    assert [joint.home_ticks for joint in made.joints.values()] == [1000, 3000]
    np.testing.assert_allclose(made.ranges, [(-1.0, 1.0), (-2.0, 2.0)], atol=0.01)
    np.testing.assert_allclose(made.angles({1: 1652, 2: 3652}), (1.0, -1.0), atol=1e-3)


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path):
    file = tmp_path / "leader.json"
    command = [sys.executable, "-m", "isthmus_datasets.operators.calibrate_leader", "/dev/ttyNONE", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("calibrate_leader: leader arm at /dev/ttyNONE: cannot be opened")
    assert done.stderr.count("\n") == 1
    done = subprocess.run([*command, "--reversed", "tail"], capture_output=True, text=True, timeout=60)
    assert "no joint is called tail; there are: shoulder_pan, shoulder_lift" in done.stderr
    assert not file.exists()
