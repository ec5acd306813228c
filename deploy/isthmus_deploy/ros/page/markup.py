"""What is written on the page about the node, as HTML. Whatever comes from the network is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape

from isthmus_deploy.safety.supervisor import State

SILENT_S = 2.5
"""A node speaks every second; after so long without a word nobody knows how it is."""

GREY, BLUE, GREEN, AMBER, RED = "#5c6773", "#1e5aa0", "#2b7a3d", "#a66200", "#b3261e"
_COLOURS = {
    State.PASSIVE: GREY, State.STAND_UP: BLUE, State.READY: BLUE, State.RAMP_IN: GREEN, State.RUNNING: GREEN,
    State.RAMP_OUT: GREEN, State.STOPPED: AMBER, State.DAMPING: AMBER, State.FAULT: RED,
}  # fmt: skip
_SENSOR = "stamp_to_command_"  # in front of a sensor's topic, in diagnostics
_BOX = "margin:0.3em 0.9em;padding:0.6em 0.8em;border-radius:6px;color:white"
_LINE = "margin:0.3em 0.9em;font-size:0.9em;line-height:1.4;overflow-wrap:anywhere;font-variant-numeric:tabular-nums"


_LABEL = "padding-right:0.8em;vertical-align:top;white-space:nowrap;opacity:0.7"


def heading(robot: str, node: str) -> str:
    """Which robot this is, as far as it is known, and which node."""
    return f'<div style="{_LINE}"><b style="font-size:1.3em">{escape(robot or "a robot")}</b> {escape(node)}</div>'


def state_box(state: str, cause: str, silence_s: float) -> str:
    """The state in large letters, and under it the cause.

    Args:
        state: As the node said last; empty when it never did.
        cause: Why it stopped or is in fault.
        silence_s: How long ago that was, s.
    """
    if not state:
        return _box(GREY, "no node", "no word from a policy node yet: is it running, does --namespace name it?")
    if silence_s > SILENT_S:
        last = f"{_name(state)}: {cause}" if cause else _name(state)
        return _box(RED, "unknown", f"no word from the node for {silence_s:.1f} s; its last one was {last}")
    return _box(_colour(state), _name(state), cause)


def _box(colour: str, title: str, words: str) -> str:
    return (
        f'<div id="isthmus-state" style="{_BOX};background:{colour}">'
        f'<b style="font-size:2.2em;line-height:1.1;text-transform:uppercase">{escape(title)}</b>'
        f'<div style="min-height:2.8em;line-height:1.4;overflow-wrap:anywhere">{escape(words)}</div></div>'
    )


def _colour(state: str) -> str:
    return next((colour for known, colour in _COLOURS.items() if known.value == state), GREY)


def _name(state: str) -> str:
    return state.replace("_", "-")


def figures(values: Mapping[str, str], silence_s: float) -> str:
    """How the node's loop is doing, by its diagnostics, and how old those are (s)."""
    rows = {
        "last word": ("never" if math.isinf(silence_s) else f"{silence_s:.1f} s ago", silence_s > SILENT_S),
        "reading to command": (_latency(values), False),
        "overruns": (f"{values.get('overruns', '–')} of {values.get('cycles', '–')} cycles", False),
        "late readings": (values.get("missed_readings", "–"), False),
        "machine held it up": (f"{values.get('held_up_ms', '–')} ms at most", False),
    }
    sensors = [key for key in values if key.startswith(_SENSOR)]
    rows |= {f"{key.removeprefix(_SENSOR)} to command": (values[key], False) for key in sensors}
    for key, words in (("silent_topics", "silent topics"), ("incompatible_qos", "cannot be heard")):
        if values.get(key):
            rows[words] = (values[key], True)
    return f'<table style="{_LINE}">{"".join(_row(name, *said) for name, said in rows.items())}</table>'


def _row(name: str, said: str, bad: bool) -> str:
    style = f' style="color:{RED};font-weight:bold"' if bad else ""
    return f'<tr><td style="{_LABEL}">{escape(name)}</td><td{style}>{escape(said)}</td></tr>'


def _latency(values: Mapping[str, str]) -> str:
    p50, p99 = (_milliseconds(values.get(f"latency_{percent}_us", "")) for percent in ("p50", "p99"))
    return f"p50 {p50}, p99 {p99}"


def _milliseconds(microseconds: str) -> str:
    try:
        value = float(microseconds) * 1e-3
    except ValueError:
        return "–"
    return f"{value:.2f} ms" if math.isfinite(value) else "–"


def log(changes: Iterable[tuple[str, str, str]]) -> str:
    """Changes of the state, the newest first: time, state, cause. It scrolls by itself, so that the buttons stay."""
    rows = "".join(
        f'<tr><td style="{_LABEL}">{escape(when)}</td>'
        f'<td><b style="color:{_colour(state)}">{escape(_name(state))}</b> {escape(cause)}</td></tr>'
        for when, state, cause in changes
    )
    return f'<div style="{_LINE};max-height:7em;overflow-y:auto"><table>{rows}</table></div>'


def answer_line(words: str, *, good: bool) -> str:
    """What the node answered to the last button."""
    colour = GREEN if good else RED
    return f'<div id="isthmus-answer" style="{_LINE};min-height:1.4em;color:{colour}">{escape(words)}</div>'


def note(words: str) -> str:
    """What stands in the place of the bars while there are none."""
    return f'<div style="{_LINE}">{escape(words)}</div>'
