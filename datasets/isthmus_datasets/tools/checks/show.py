"""Findings for a terminal and for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from isthmus_datasets.tools.scan.dataset_scan import DatasetScan
from isthmus_datasets.tools.scan.finding import SEVERITIES, Finding

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_LISTED = 8  # runs of episodes

Group = list[Finding]


def grouped(findings: Sequence[Finding]) -> list[Group]:
    """Findings that one thing may have caused, in the order given: of one check and severity, their messages alike but
    for numbers."""
    groups: dict[tuple[str, str, str], Group] = {}
    for finding in findings:
        alike = re.sub(r"[-+]?\d[\d.]*", "#", finding.message)
        groups.setdefault((finding.check, finding.severity, alike), []).append(finding)
    return list(groups.values())


def where(group: Group) -> str:
    """The episodes of a group: "3, 7, 12–19 …", or "dataset" for findings about all of it."""
    runs: list[list[int]] = []
    for episode in sorted({finding.episode for finding in group if finding.episode is not None}):
        if runs and runs[-1][-1] == episode - 1:
            runs[-1].append(episode)
        else:
            runs.append([episode])
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs[:_LISTED]]
    return ", ".join(shown) + (" …" if len(runs) > _LISTED else "") or "dataset"


def what(group: Group) -> str:
    """The message of the first, and how many more there are."""
    more = len({finding.message for finding in group}) - 1
    return group[0].message + (f" (and {more} more like it)" if more else "")


def summary(scan: DatasetScan, findings: Sequence[Finding]) -> str:
    """One line."""
    steps = sum(episode.row.length for episode in scan.episodes)
    minutes = steps / scan.info.fps / 60
    said = ", ".join(count(sum(f.severity == severity for f in findings), severity) for severity in SEVERITIES)
    size = f"{count(len(scan.episodes), 'episode')}, {count(steps, 'step')}, {minutes:.1f} min"
    return f"{size}: {said if findings else 'nothing found'}"


def count(number: int, what: str) -> str:
    """A number of things in words: "1 step", "2 steps"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def show(console: Console, scan: DatasetScan, findings: Sequence[Finding]) -> None:
    """A table, one row a group, and the summary."""
    table = Table(
        "severity", "check", Column("episode", max_width=16), Column("what was seen, what to do", overflow="fold")
    )
    for group in grouped(findings):
        first = group[0]
        text = Text(what(group) + "\n").append(f"→ {first.fix}", "dim")
        table.add_row(Text(first.severity, STYLES[first.severity]), first.check, where(group), text)
    if findings:
        console.print(table)
    console.print(summary(scan, findings), highlight=False)


def to_json(scan: DatasetScan, findings: Sequence[Finding]) -> bytes:
    """Everything, for programs."""
    counts = {f"{severity}s": sum(f.severity == severity for f in findings) for severity in SEVERITIES}
    plain: dict[str, Any] = {
        "dataset": str(scan.root),
        "episodes": len(scan.episodes),
        "steps": sum(episode.row.length for episode in scan.episodes),
        **counts,
        "findings": [asdict(finding) for finding in findings],
    }
    return (json.dumps(plain, indent=2) + "\n").encode()
