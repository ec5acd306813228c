"""Findings for a terminal and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from isthmus_datasets.checks.evidence import Evidence
from isthmus_datasets.checks.finding import SEVERITIES, Finding

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_LISTED = 8  # episodes

Group = list[Finding]


def grouped(findings: Sequence[Finding]) -> list[Group]:
    """Findings that one thing may have caused, in the order given: of one check, severity and fix."""
    groups: dict[tuple[str, str, str], Group] = {}
    for finding in findings:
        groups.setdefault((finding.check, finding.severity, finding.fix), []).append(finding)
    return list(groups.values())


def where(group: Group) -> str:
    """The episodes of a group: "3, 7, 12 … (31)", or "all" for findings about the dataset."""
    episodes = list(dict.fromkeys(finding.episode for finding in group if finding.episode is not None))
    if not episodes:
        return "dataset"
    shown = ", ".join(map(str, episodes[:_LISTED]))
    return shown + (f" … ({len(episodes)})" if len(episodes) > _LISTED else "")


def what(group: Group) -> str:
    """The message of the first, and how many more there are."""
    more = len({finding.message for finding in group}) - 1
    return group[0].message + (f" (and {more} more like it)" if more else "")


def summary(evidence: Evidence, findings: Sequence[Finding]) -> str:
    """One line."""
    steps = sum(seen.row.length for seen in evidence.episodes)
    minutes = steps / evidence.info.fps / 60
    said = ", ".join(count(sum(f.severity == severity for f in findings), severity) for severity in SEVERITIES)
    size = f"{count(len(evidence.episodes), 'episode')}, {count(steps, 'step')}, {minutes:.1f} min"
    return f"{size}: {said if findings else 'nothing found'}"


def count(number: int, what: str) -> str:
    """In words: "1 step", "2 steps"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def show(console: Console, evidence: Evidence, findings: Sequence[Finding]) -> None:
    """A table, one row a group, and the summary."""
    table = Table(title_justify="left", show_lines=True, expand=True)
    for name, ratio in (("severity", None), ("check", None), ("episode", 2), ("what was seen", 5), ("what to do", 4)):
        table.add_column(name, ratio=ratio, no_wrap=ratio is None)
    for group in grouped(findings):
        first = group[0]
        severity = Text(first.severity, STYLES[first.severity])
        table.add_row(severity, first.check, where(group), Text(what(group)), Text(first.fix))
    if findings:
        console.print(table)
    console.print(summary(evidence, findings), highlight=False)


def to_json(evidence: Evidence, findings: Sequence[Finding]) -> bytes:
    """Everything, for programs."""
    counts = {f"{severity}s": sum(f.severity == severity for f in findings) for severity in SEVERITIES}
    plain: dict[str, Any] = {
        "dataset": str(evidence.root),
        "episodes": len(evidence.episodes),
        "steps": sum(seen.row.length for seen in evidence.episodes),
        **counts,
        "findings": [asdict(finding) for finding in findings],
    }
    return (json.dumps(plain, indent=2) + "\n").encode()
