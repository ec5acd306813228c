"""What is written on the page: state and cause, silence, figures, bars against limits; foreign text cannot act."""

from __future__ import annotations

import re

import numpy as np
import pytest

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.page import markup
from isthmus_deploy.ros.page.bars import Reading, bar, card, cards
from isthmus_deploy.ros.page.markup import AMBER, BLUE, GREEN, GREY, RED
from isthmus_deploy.safety.supervisor import State

ATTACK = '<img src=x onerror="alert(1)">'


def words(html: str) -> str:
    """What a person reads."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def signal(**changed: object) -> SignalInterface:
    given = {
        "name": "joint_position", "shape": (2,), "unit": "rad", "frame": "joint", "order": ("hip", "knee"),
        "minimum": (-1.0, 0.0), "maximum": (1.0, 4.0), "max_age_s": 0.1,
    }  # fmt: skip
    return SignalInterface(**{**given, **changed})  # type: ignore[arg-type]


def reading(*values: float, age_s: float = 0.01, problem: str = "") -> Reading:
    return Reading(values=np.array(values), age_s=age_s, problem=problem)


# --- the node ---


def test_a_box_says_the_state_and_under_it_the_cause():
    assert markup.state_box("fault", "imu: stale", 0.3) == (
        '<div id="isthmus-state" style="margin:0.3em 0.9em;padding:0.6em 0.8em;border-radius:6px;color:white;'
        'background:#b3261e"><b style="font-size:2.2em;line-height:1.1;text-transform:uppercase">fault</b>'
        '<div style="min-height:2.8em;line-height:1.4;overflow-wrap:anywhere">imu: stale</div></div>'
    )


@pytest.mark.parametrize(
    ("state", "colour", "name"),
    [
        (State.PASSIVE, GREY, "passive"),
        (State.STAND_UP, BLUE, "stand-up"),
        (State.READY, BLUE, "ready"),
        (State.RAMP_IN, GREEN, "ramp-in"),
        (State.RUNNING, GREEN, "running"),
        (State.RAMP_OUT, GREEN, "ramp-out"),
        (State.STOPPED, AMBER, "stopped"),
        (State.DAMPING, AMBER, "damping"),
        (State.FAULT, RED, "fault"),
    ],
)
def test_each_state_has_its_colour(state, colour, name):
    box = markup.state_box(state.value, "", 0.0)
    assert f"background:{colour}" in box
    assert words(box) == name


def test_a_node_that_falls_silent_is_in_no_state_that_anybody_knows():
    assert words(markup.state_box("running", "", 2.5)) == "running"
    silent = markup.state_box("running", "", 3.2)
    assert words(silent) == "unknown no word from the node for 3.2 s; its last one was running"
    assert f"background:{RED}" in silent
    assert GREEN not in silent


def test_a_node_that_was_never_heard_is_not_called_silent():
    box = markup.state_box("", "", float("inf"))
    assert words(box).startswith("no node no word from a policy node yet")
    assert words(markup.figures({}, float("inf"))).startswith("last word never")


def test_figures_are_those_of_the_diagnostics():
    values = {
        "latency_p50_us": "840", "latency_p99_us": "2130", "overruns": "3", "cycles": "1200", "missed_readings": "7",
        "held_up_ms": "12.5", "stamp_to_command_imu": "p50 2.5 ms", "silent_topics": "cmd_vel", "incompatible_qos": "",
    }  # fmt: skip
    table = markup.figures(values, 0.4)
    assert words(table) == (
        "last word 0.4 s ago reading to command p50 0.84 ms, p99 2.13 ms overruns 3 of 1200 cycles "
        "late readings 7 machine held it up 12.5 ms at most imu to command p50 2.5 ms silent topics cmd_vel"
    )
    assert table.count(RED) == 1, "only the silent topic"


@pytest.mark.parametrize("wrong", ["", "fast", "nan", "inf"])
def test_a_latency_that_is_no_number_is_a_dash(wrong):
    assert "p50 –, p99 –" in markup.figures({"latency_p50_us": wrong, "latency_p99_us": wrong}, 0.0)


def test_the_log_tells_when_what_and_why():
    html = markup.log([("12:00:07", "fault", "imu: stale"), ("12:00:01", "ramp_in", "")])
    assert words(html) == "12:00:07 fault imu: stale 12:00:01 ramp-in"


@pytest.mark.parametrize(
    "html",
    [
        markup.state_box(ATTACK, ATTACK, 0.0),
        markup.state_box(ATTACK, ATTACK, 9.0),
        markup.figures({"overruns": ATTACK, "silent_topics": ATTACK, f"stamp_to_command_{ATTACK}": ATTACK}, 0.0),
        markup.log([("12:00:00", ATTACK, ATTACK)]),
        markup.answer_line(ATTACK, good=False),
        markup.note(ATTACK),
        markup.heading(ATTACK, ATTACK),
        card(signal(name=ATTACK, unit=ATTACK, order=(ATTACK, "knee")), reading(0.0, 0.0, problem=ATTACK)),
    ],
)
def test_text_of_a_robot_stays_text(html):
    assert "<img" not in html
    assert 'onerror="' not in html
    assert "&lt;img src=x onerror=&quot;" in html


# --- readings ---


def test_a_bar_has_its_marker_at_the_value():
    assert bar("knee", 1.0, 0.0, 4.0) == (
        '<span style="overflow:hidden;text-overflow:ellipsis;white-space:nowrap" title="knee">knee</span>'
        '<span style="opacity:0.6;font-size:0.85em;text-align:right">0</span>'
        '<div style="position:relative;height:0.7em;border-radius:3px;background:rgba(128,128,128,0.25)">'
        '<div style="position:absolute;top:-0.1em;width:4px;height:0.9em;margin-left:-2px;border-radius:2px;'
        'background:#1e5aa0;left:25%"></div></div>'
        '<span style="opacity:0.6;font-size:0.85em;text-align:left">4</span>'
        '<span style="text-align:right">1</span>'
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "left", "red"),
    [
        (0.0, -1.0, 1.0, "50%", False),
        (0.92, -1.0, 1.0, "96%", False),
        (0.96, -1.0, 1.0, "98%", True),
        (-0.96, -1.0, 1.0, "2%", True),
        (5.0, -1.0, 1.0, "100%", True),
        (-5.0, -1.0, 1.0, "0%", True),
        (float("nan"), -1.0, 1.0, None, True),
        (float("inf"), None, None, None, True),
        (1e9, None, None, None, False),
        (-1.0, 0.0, None, None, True),
        (1.0, 0.0, None, None, False),
        (2.0, 2.0, 2.0, None, False),
    ],
)
def test_a_value_near_a_limit_or_beyond_it_is_red(value, low, high, left, red):
    html = bar("x", value, low, high)
    assert (re.search(r"left:(\d+%)", html) or [None, None])[1] == left
    assert (RED in html) == red


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (-2179.4, "-2179"), (123.45, "123"), (1e-7, "1e-07"), (3.4e38, "3.4e+38"), (0.0, "0")],
)
def test_numbers_are_short(value, text):
    assert words(bar("x", value, None, None)) == f"x {text}"


def test_signals_are_grouped_with_the_names_of_their_elements():
    other = signal(name="angular_velocity", unit="1", shape=(1,), order=("x",), minimum=None, maximum=None)
    html = cards((signal(), other), {"joint_position": reading(0.5, 1.0)})
    assert words(html) == "joint_position rad hip -1 1 0.5 knee 0 4 1 angular_velocity not heard"


def test_an_upright_robot_is_not_near_a_limit():
    level = signal(shape=(4,), order=("w", "x", "y", "z"), minimum=(-1.01,) * 4, maximum=(1.01,) * 4)
    assert RED not in card(level, reading(1.0, 0.0, 0.0, 0.0))
    assert RED in card(level, reading(1.02, 0.0, 0.0, 0.0))


def test_a_reading_that_stays_out_is_told_and_a_goal_that_holds_is_not_blamed():
    assert "ago" not in card(signal(), reading(0.0, 1.0, age_s=0.4))
    late = card(signal(), reading(0.0, 1.0, age_s=1.2))
    assert "1.2 s ago" in late
    assert RED in late
    goal = card(signal(max_age_s=None), reading(0.0, 1.0, age_s=60.0))
    assert "60.0 s ago" in goal
    assert RED not in goal


def test_why_a_reading_is_refused_stands_beside_it():
    assert "refused: imu: in the frame 'odom'" in words(
        card(signal(), reading(np.nan, np.nan, problem="imu: in the frame 'odom'")).replace("&#x27;", "'")
    )


def test_a_reading_of_many_elements_is_cut_short():
    many = signal(shape=(2, 20), order=tuple(f"d{i}" for i in range(20)), minimum=(0.0,) * 20, maximum=(1.0,) * 20)
    html = card(many, Reading(values=np.full((2, 20), 0.5), age_s=0.0))
    assert html.count("title=") == 24
    assert words(html).endswith("and 16 more")
    assert 'title="d3 1"' in html
