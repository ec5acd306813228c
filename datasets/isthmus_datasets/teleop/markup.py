"""What is written on the page, as HTML."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

_LINE = "margin:0.2em 0.9em;font-size:0.85em;line-height:1.4;overflow-wrap:anywhere"
_BOX = "margin:0.3em 0.9em;padding:0.5em 0.8em;border-radius:6px;color:white;font-variant-numeric:tabular-nums"
_KEY = "border:1px solid #bbb;border-radius:3px;padding:0 0.3em;background:#f4f4f4;color:#222"


class Phase(enum.Enum):
    """What is going on."""

    WAITING = "waiting"
    RECORDING = "recording"
    SAVING = "saving"
    FAILED = "failed"
    ENDED = "ended"


_COLOURS = {
    Phase.WAITING: "#5c6773", Phase.RECORDING: "#c92a2a", Phase.SAVING: "#a86a12", Phase.FAILED: "#7a1420",
    Phase.ENDED: "#2b2f33",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Titles:
    """What stands on the page from the beginning.

    Args:
        task: Its name.
        words: What is asked.
        dataset: Where episodes go.
        keys: Which there are -> what they do.
    """

    task: str
    words: str
    dataset: str
    keys: Mapping[str, str]


def heading(titles: Titles) -> str:
    """Task and dataset."""
    return (
        f'<div style="{_LINE}"><b style="font-size:1.3em">{escape(titles.task)}</b><br>{escape(titles.words)}<br>'
        f'<span style="opacity:0.65">into {escape(titles.dataset)}</span></div>'
    )


def state_box(phase: Phase, *, steps: int, seconds: float, human: bool | None, saved: str) -> str:
    """What is going on, in a box of its colour."""
    said = {
        Phase.WAITING: ("Waiting", "Start records"),
        Phase.RECORDING: ("● Recording", f"step {steps} · {seconds:.1f} s"),
        Phase.SAVING: ("Saving…", f"{steps} steps"),
        Phase.FAILED: ("Stopped by an error", "Start tries again"),
        Phase.ENDED: ("Ended", "close this page"),
    }
    title, detail = said[phase]
    driver = {None: "", True: "you drive", False: "the policy drives"}[human]
    rows = ((f'<b style="font-size:1.2em">{title}</b>', driver), (detail, saved))
    return (
        f'<div id="isthmus-state" data-phase="{phase.value}" data-steps="{steps}" '
        f'style="{_BOX};background:{_COLOURS[phase]}">{"".join(_row(*row) for row in rows)}</div>'
    )


def _row(left: str, right: str) -> str:
    style = "display:flex;justify-content:space-between;gap:0.6em"
    return f'<div style="{style}"><span>{left}</span><span>{right}</span></div>'


def message_line(message: str, *, good: bool) -> str:
    """What became of the last episode, or what is wrong."""
    colour = "#2f7d3b" if good else "#b3261e"
    return f'<div id="isthmus-message" style="{_LINE};min-height:1.4em;color:{colour}">{escape(message)}</div>'


def keys_table(keys: Mapping[str, str]) -> str:
    """Keys and what they do."""
    rows = "".join(
        f'<tr><td style="padding-right:0.8em;white-space:nowrap">{_caps(key)}</td><td>{escape(what)}</td></tr>'
        for key, what in keys.items()
    )
    return f'<table style="{_LINE};opacity:0.8">{rows}</table>'


def _caps(keys: str) -> str:
    return " ".join(f'<span style="{_KEY}">{escape(key)}</span>' for key in keys.split())
