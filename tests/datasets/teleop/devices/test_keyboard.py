"""The terminal keyboard, on real pseudo-terminals."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator

import numpy as np
import pytest
from refusals import refused

from isthmus_datasets.recording.operator import DeviceError, Event
from isthmus_datasets.teleop.devices.keyboard import CONTROL, EVENTS, MOVES, Keyboard


class Desk:
    """A terminal at whose other end we type; its clock is ours."""

    def __init__(self) -> None:
        self.hand, self.terminal = pty.openpty()
        self.time = 100.0
        self.before = termios.tcgetattr(self.terminal)
        self.keyboard = Keyboard(terminal=self.terminal, now=lambda: self.time)

    def type(self, text: str) -> None:
        os.write(self.hand, text.encode())
        assert select.select([self.terminal], [], [], 5.0)[0]

    def close(self) -> None:
        self.keyboard.close()
        os.close(self.terminal)
        os.close(self.hand)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def test_a_key_counts_as_held_until_it_was_silent_for_a_while(desk: Desk):
    desk.type("w")
    np.testing.assert_array_equal(desk.keyboard.read().linear, (1, 0, 0))
    desk.time += 0.1
    np.testing.assert_array_equal(desk.keyboard.read().linear, (1, 0, 0))
    desk.time += 0.1
    np.testing.assert_array_equal(desk.keyboard.read().linear, (0, 0, 0))


def test_each_key_has_its_direction(desk: Desk):
    for key, element, way in (("d", 1, -1), ("q", 2, -1), ("o", 3, 1), ("k", 4, -1), ("J", 5, 1), ("c", 6, -1),
                              ("\x1b[A", 0, 1), ("\x1bOD", 1, 1), ("\x1b[1;5B", 0, -1)):  # fmt: skip
        desk.type(key)
        motion = desk.keyboard.read()
        asked = [*motion.linear, *motion.angular, motion.gripper]
        assert asked == [way if number == element else 0 for number in range(7)], key
        desk.time += 1.0


def test_keys_that_contradict_each_other_ask_for_nothing(desk: Desk):
    desk.type("wsa")
    np.testing.assert_array_equal(desk.keyboard.read().linear, (0, 1, 0))


def test_events_and_control_are_told_once(desk: Desk):
    desk.type("rt")
    motion = desk.keyboard.read()
    assert motion.event is Event.START
    assert motion.in_control is True
    motion = desk.keyboard.read()
    assert motion.event is Event.NONE
    assert motion.in_control is None
    desk.type("b\x04")
    motion = desk.keyboard.read()
    assert motion.event is Event.QUIT
    assert motion.in_control is False


def test_no_key_means_two_things():
    keys = [*MOVES, *EVENTS, *CONTROL]
    assert len(keys) == len(set(keys))


def test_the_terminal_is_as_it_was_after_closing(desk: Desk):
    assert termios.tcgetattr(desk.terminal) != desk.before
    desk.keyboard.close()
    assert termios.tcgetattr(desk.terminal) == desk.before


def test_what_is_no_terminal_is_refused():
    reader, writer = os.pipe()
    try:
        with refused("keyboard | terminal", DeviceError):
            Keyboard(terminal=reader)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_terminal_that_has_gone_is_told(desk: Desk):
    os.close(desk.hand)
    with refused("keyboard | gone", DeviceError):
        desk.keyboard.read()
    desk.hand = os.open("/dev/null", os.O_RDONLY)


PROGRAM = """
import select, sys
from isthmus_datasets.teleop.devices.keyboard import Keyboard
keyboard = Keyboard()
print("ready", flush=True)
select.select([0], [], [])
print(keyboard.read().linear.tolist(), flush=True)
raise RuntimeError("as if the robot had failed")
"""


def test_a_program_that_fails_leaves_the_terminal_as_it_was():
    hand, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    assert not termios.tcgetattr(terminal)[3] & (termios.ICANON | termios.ECHO)  # keys come at once, unseen
    os.write(hand, b"a")
    said, failed = program.communicate(timeout=60)
    assert said == "[0.0, 1.0, 0.0]\n"
    assert "as if the robot had failed" in failed
    assert termios.tcgetattr(terminal) == before
    os.close(terminal)
    os.close(hand)
