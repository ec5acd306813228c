"""All checks, and how they are run. A check is a function in `CHECKS`; its docstring says what is so when it finds
nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isthmus_datasets.tools.checks.actions import changed_actions, saturated
from isthmus_datasets.tools.checks.channels import constant, finite
from isthmus_datasets.tools.checks.column_roles import roles
from isthmus_datasets.tools.checks.episodes import duplicates, lost_sensors, short, unusual_length
from isthmus_datasets.tools.checks.following import delay
from isthmus_datasets.tools.checks.images import empty_images, frames, stuck
from isthmus_datasets.tools.checks.indices import index
from isthmus_datasets.tools.checks.jumps import jumps
from isthmus_datasets.tools.checks.statistics_match import statistics
from isthmus_datasets.tools.checks.structure import files, leftovers, names, rows, tasks, totals
from isthmus_datasets.tools.checks.timing import capture_time
from isthmus_datasets.tools.scan.dataset_scan import DatasetScan
from isthmus_datasets.tools.scan.finding import SEVERITIES, Finding

Check = Callable[[DatasetScan], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    files, leftovers, totals, rows, names, roles, tasks, index, frames, statistics,
    finite, short, unusual_length, lost_sensors, duplicates, jumps,
    constant, saturated, changed_actions, delay, capture_time, stuck, empty_images,
)  # fmt: skip


def name_of(check: Check) -> str:
    """As findings have it."""
    return check.__name__.replace("_", "-")


def run_checks(scan: DatasetScan) -> list[Finding]:
    """All findings: errors first, then in the order of `CHECKS`, then by episode."""
    findings = [finding for check in CHECKS for finding in check(scan)]
    order = [name_of(check) for check in CHECKS]
    key = lambda f: (SEVERITIES.index(f.severity), order.index(f.check), -1 if f.episode is None else f.episode)  # noqa: E731
    return sorted(findings, key=key)
