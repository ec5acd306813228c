"""What can be wrong with a dataset, and how to find out. A check is a function in `CHECKS`; its docstring says what is
so when it finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isthmus_datasets.checks.actions import changed_actions, saturated
from isthmus_datasets.checks.agreement import statistics
from isthmus_datasets.checks.channels import constant, finite
from isthmus_datasets.checks.episodes import duplicates, short, unusual_length
from isthmus_datasets.checks.evidence import Evidence
from isthmus_datasets.checks.finding import SEVERITIES, Finding, Severity
from isthmus_datasets.checks.following import delay
from isthmus_datasets.checks.gather import gather
from isthmus_datasets.checks.indices import index
from isthmus_datasets.checks.pictures import empty_pictures, frames, stuck
from isthmus_datasets.checks.structure import files, leftovers, names, rows, tasks, totals
from isthmus_datasets.checks.timing import capture_time

Check = Callable[[Evidence], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    files, leftovers, totals, rows, names, tasks, index, frames, statistics,
    finite, short, unusual_length, duplicates,
    constant, saturated, changed_actions, delay, capture_time, stuck, empty_pictures,
)  # fmt: skip


def name_of(check: Check) -> str:
    """As findings have it."""
    return check.__name__.replace("_", "-")


def run_checks(evidence: Evidence) -> list[Finding]:
    """All findings: errors first, then in the order of `CHECKS`, then by episode."""
    findings = [finding for check in CHECKS for finding in check(evidence)]
    order = [name_of(check) for check in CHECKS]
    key = lambda f: (SEVERITIES.index(f.severity), order.index(f.check), -1 if f.episode is None else f.episode)  # noqa: E731
    return sorted(findings, key=key)


__all__ = ["CHECKS", "Check", "Evidence", "Finding", "Severity", "gather", "name_of", "run_checks"]
