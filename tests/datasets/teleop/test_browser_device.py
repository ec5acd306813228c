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
    wishes = BrowserDevice()
    wishes.key("W")
    wishes.key("A")
    assert wishes.read().linear.tolist() == [1.0, 1.0, 0.0] == wishes.read().linear.tolist()
    wishes.key(STILL)
    wishes.key("A")  # the page presses what is still held
    assert wishes.read().linear.tolist() == [0.0, 1.0, 0.0]


@given(st.sets(st.sampled_from(sorted(MOVES))))
def test_no_keys_together_ask_for_more_than_full_speed(held: set[str]):
    motion = motion_of(held)
    asked = np.concatenate((motion.linear, motion.angular, [motion.gripper]))
    assert np.abs(asked).max() <= 1.0
    opposite = motion_of(held | {"W", "S", "ARROWUP", "ARROWDOWN"})
    assert opposite.linear[0] == 0.0


def test_a_button_is_told_once_and_the_last_one_counts():
    wishes = BrowserDevice()
    wishes.ask(Event.START)
    wishes.ask(Event.DISCARD)
    assert [wishes.read().event for _ in range(2)] == [Event.DISCARD, Event.NONE]


def test_quitting_is_never_lost():
    wishes = BrowserDevice()
    wishes.ask(Event.QUIT)
    wishes.ask(Event.START)
    assert [wishes.read().event for _ in range(2)] == [Event.QUIT, Event.QUIT]
    assert wishes.wait() is Event.QUIT


def test_start_hands_over_only_where_somebody_else_drives():
    alone, with_policy = BrowserDevice(), BrowserDevice(hand_over=True)
    for wishes in (alone, with_policy):
        wishes.ask(Event.START)
    assert alone.read().in_control is None
    assert with_policy.read().in_control is False
    with_policy.control(True)
    assert [with_policy.read().in_control for _ in range(2)] == [True, None]


def test_whoever_leaves_lets_go_of_everything():
    wishes = BrowserDevice()
    wishes.came()
    assert wishes.alone_s == 0.0
    wishes.key("D")
    wishes.drag((0.1, 0.2, 0.3), (1, 0, 0, 0))
    wishes.left()
    assert wishes.read().linear.tolist() == [0.0, 0.0, 0.0]
    assert wishes.take_drag() is None
    assert wishes.alone_s > 0.0


def test_a_drag_is_taken_once():
    wishes = BrowserDevice()
    wishes.drag((0.1, 0.2, 0.3), (1, 0, 0, 0))
    wishes.drag((0.4, 0.5, 0.6), (1, 0, 0, 0))
    wishes.grip(0.25)
    drag = wishes.take_drag()
    assert drag is not None
    assert drag[0].tolist() == [0.4, 0.5, 0.6]
    assert wishes.take_drag() is None
    assert (wishes.take_gripper(), wishes.take_gripper()) == (0.25, None)


def test_waiting_ends_when_somebody_starts():
    wishes = BrowserDevice()
    said: list[Event] = []
    waiting = threading.Thread(target=lambda: said.append(wishes.wait()))
    waiting.start()
    wishes.ask(Event.STOP)  # means nothing here
    wishes.ask(Event.START)
    waiting.join(timeout=5)
    assert said == [Event.START]
    assert wishes.read().event is Event.NONE, "the press that ended the waiting starts no episode"


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
