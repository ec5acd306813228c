"""Readings as bars against their limits, as HTML. Names come from the robot and are escaped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.contracts.robot_interface import SignalInterface
from isthmus_deploy.ros.page.markup import BLUE, RED

NEAR = 0.03
"""So close to a limit, as a share of the range, a value is red."""
_WXYZ = ("w", "x", "y", "z")  # of a unit quaternion: one is at its limit where a robot stands upright
_MOST_ROWS = 24
_LISTENED_S = 0.5  # below that the page's own rate may be the reason for an old reading
_CARDS = "margin:0.3em 0.9em;columns:19em;column-gap:1.6em;font-size:0.85em;font-variant-numeric:tabular-nums"
_CARD = "break-inside:avoid;margin-bottom:0.9em"
_GRID = "display:grid;grid-template-columns:8em 3.2em 1fr 3.2em 4.6em;gap:0.1em 0.3em;align-items:center"
_CUT = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
_LIMIT = "opacity:0.6;font-size:0.85em;text-align:"
_TRACK = "position:relative;height:0.7em;border-radius:3px;background:rgba(128,128,128,0.25)"
_MARKER = "position:absolute;top:-0.1em;width:4px;height:0.9em;margin-left:-2px;border-radius:2px;background:"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The newest values of a signal, and their age in seconds; or why they could not be read."""

    values: NDArray[np.generic]
    age_s: float
    problem: str = ""


def cards(signals: Sequence[SignalInterface], readings: Mapping[str, Reading]) -> str:
    """All signals, each with its elements under its name; one that never came has no bars."""
    return f'<div style="{_CARDS}">{"".join(card(signal, readings.get(signal.name)) for signal in signals)}</div>'


def card(signal: SignalInterface, reading: Reading | None) -> str:
    """One signal: name, unit, age where that matters, and a bar for each element."""
    title = f"<b>{escape(signal.name)}</b> {escape(_unit(signal.unit))}"
    if reading is None:
        return f'<div style="{_CARD}">{title} <span style="opacity:0.6">not heard</span></div>'
    rows = list(_rows(signal, reading.values))
    hidden = f"<div>and {len(rows) - _MOST_ROWS} more</div>" if len(rows) > _MOST_ROWS else ""
    bars = "".join(rows[:_MOST_ROWS])
    return f'<div style="{_CARD}">{title} {_told(signal, reading)}<div style="{_GRID}">{bars}</div>{hidden}</div>'


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _told(signal: SignalInterface, reading: Reading) -> str:
    """What is wrong with the reading, or that a goal is not new."""
    if reading.problem:
        return f'<span style="color:{RED}">refused: {escape(reading.problem)}</span>'
    if reading.age_s <= max(_LISTENED_S, signal.max_age_s or 0.0):
        return ""
    style = "opacity:0.6" if signal.max_age_s is None else f"color:{RED};font-weight:bold"
    return f'<span style="{style}">{reading.age_s:.1f} s ago</span>'


def _rows(signal: SignalInterface, values: NDArray[np.generic]) -> Iterator[str]:
    """A row of the grid for each element."""
    for index in np.ndindex(*signal.shape):
        *front, last = index
        name = " ".join((signal.order[last], *map(str, front)))
        low, high = (None if limit is None else limit[last] for limit in (signal.minimum, signal.maximum))
        yield bar(name, float(values[index]), low, high, near=0.0 if signal.order == _WXYZ else NEAR)


def bar(name: str, value: float, low: float | None, high: float | None, *, near: float = NEAR) -> str:
    """One element: name, least, track with a marker at the value, most, value. It is red near a limit and beyond it."""
    bad = not math.isfinite(value) or _share_left(value, low, high) < near
    weight = f"color:{RED};font-weight:bold;" if bad else ""
    return (
        f'<span style="{_CUT}" title="{escape(name)}">{escape(name)}</span>'
        f'<span style="{_LIMIT}right">{_number(low)}</span>'
        f'<div style="{_TRACK}">{_marker(value, low, high, RED if bad else BLUE)}</div>'
        f'<span style="{_LIMIT}left">{_number(high)}</span>'
        f'<span style="{weight}text-align:right">{_number(value)}</span>'
    )


def _share_left(value: float, low: float | None, high: float | None) -> float:
    """How far the nearer limit is, as a share of the range; negative beyond it, infinite where there is no range."""
    if low is None or high is None:
        return math.inf if _inside(value, low, high) else -1.0
    return min(value - low, high - value) / (high - low) if high > low else math.inf


def _inside(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _marker(value: float, low: float | None, high: float | None, colour: str) -> str:
    if low is None or high is None or high <= low or not math.isfinite(value):
        return ""
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return f'<div style="{_MARKER}{colour};left:{100 * share:.0f}%"></div>'


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if 100.0 <= abs(value) < 1e6 else f"{value:.3g}"
