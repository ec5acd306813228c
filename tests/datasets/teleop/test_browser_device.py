"""What people at the page ask for, without a browser."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_datasets.recording.operator import Event
from isthmus_datasets.teleop.browser_device import BrowserDevice
from isthmus_datasets.teleop.devices.combined import CombinedDevice
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.handle import on_plane
from isthmus_datasets.teleop.keys import MOVES, STILL, motion_of


class Held:
    """A device that asks for the same at all times."""

    def __init__(self, name: str, motion: Motion) -> None:
        self.name, self.motion, self.closed = name, motion, False

    def read(self) -> Motion:
        return self.motion

    def close(self) -> None:
        self.closed = True


def test_a_key_moves_the_target_until_it_is_let_go_of():
    device = BrowserDevice()
    device.key("W")
    device.key("A")
    assert device.read().linear.tolist() == [1.0, 1.0, 0.0] == device.read().linear.tolist()
    device.key(STILL)
    device.key("A")  # the page presses what is still held
    assert device.read().linear.tolist() == [0.0, 1.0, 0.0]


@given(st.sets(st.sampled_from(sorted(MOVES))))
def test_no_keys_together_ask_for_more_than_full_speed(held: set[str]):
    motion = motion_of(held)
    asked = np.concatenate((motion.linear, motion.angular, [motion.gripper]))
    assert np.abs(asked).max() <= 1.0
    opposite = motion_of(held | {"W", "S", "ARROWUP", "ARROWDOWN"})
    assert opposite.linear[0] == 0.0


def test_a_button_is_told_once_and_the_last_one_counts():
    device = BrowserDevice()
    device.ask(Event.START)
    device.ask(Event.DISCARD)
    assert [device.read().event for _ in range(2)] == [Event.DISCARD, Event.NONE]


def test_quitting_is_never_lost():
    device = BrowserDevice()
    device.ask(Event.QUIT)
    device.ask(Event.START)
    assert [device.read().event for _ in range(2)] == [Event.QUIT, Event.QUIT]
    assert device.wait() is Event.QUIT


def test_start_hands_over_only_where_somebody_else_drives():
    alone, with_policy = BrowserDevice(), BrowserDevice(hand_over=True)
    for device in (alone, with_policy):
        device.ask(Event.START)
    assert alone.read().in_control is None
    assert with_policy.read().in_control is False
    with_policy.control(True)
    assert [with_policy.read().in_control for _ in range(2)] == [True, None]


def test_whoever_leaves_lets_go_of_everything():
    device = BrowserDevice()
    device.came()
    assert device.alone_s == 0.0
    device.key("D")
    device.drag((0.1, 0.2, 0.3), (1, 0, 0, 0))
    device.left()
    assert device.read().linear.tolist() == [0.0, 0.0, 0.0]
    assert device.take_drag() is None
    assert device.alone_s > 0.0


def test_a_drag_is_taken_once():
    device = BrowserDevice()
    device.drag((0.1, 0.2, 0.3), (1, 0, 0, 0))
    device.drag((0.4, 0.5, 0.6), (1, 0, 0, 0))
    device.grip(0.25)
    drag = device.take_drag()
    assert drag is not None
    assert drag[0].tolist() == [0.4, 0.5, 0.6]
    assert device.take_drag() is None
    assert (device.take_gripper(), device.take_gripper()) == (0.25, None)


def test_waiting_ends_when_somebody_starts():
    device = BrowserDevice()
    said: list[Event] = []
    waiting = threading.Thread(target=lambda: said.append(device.wait()))
    waiting.start()
    device.ask(Event.STOP)  # means nothing here
    device.ask(Event.START)
    waiting.join(timeout=5)
    assert said == [Event.START]
    assert device.read().event is Event.NONE, "the press that ended the waiting starts no episode"


def test_several_devices_are_one():
    page = Held("browser", Motion(linear=np.array((1.0, -0.2, 0.0)), in_control=True))
    stick = Held("gamepad", Motion(linear=np.array((0.5, -0.3, 0.0)), gripper=-1.0, event=Event.STOP))
    hands = CombinedDevice((page, stick))
    motion = hands.read()
    assert motion.linear == pytest.approx((1.0, -0.5, 0.0))
    assert (motion.gripper, motion.event, motion.in_control, hands.name) == (-1.0, Event.STOP, True, "gamepad")
    hands.close()
    assert page.closed
    assert stick.closed


def test_the_mouse_points_at_a_place_on_the_table():
    assert on_plane((0, 0, 2), (0.5, -0.25, 1), 0.0) == pytest.approx((1.0, -0.5, 0.0))
    assert on_plane((0, 0, 2), (1, 0, 2), 0.0) is None, "along the table"
    assert on_plane((0, 0, 2), (0, 0, 3), 0.0) is None, "away from it"
