"""Capture times: what a slow loop, a hung sensor and a wrong rate leave behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus_datasets.tools.checks.timing import capture_time_findings

PERIOD = 100_000_000  # ns
STEPS = 80
Times = np.ndarray


def ticks(jitter_ns: float = 2e6, rate: float = 1.0) -> Times:
    """As a loop at 10 Hz gives them, by a clock that began long ago."""
    noise = np.random.default_rng(0).normal(0, jitter_ns, STEPS)
    return 10**17 + (np.arange(STEPS) * PERIOD / rate + noise).astype(np.int64)


def source(period_ns: float) -> Times:
    """The last reading, at each tick, of a sensor with another rate."""
    return 10**17 + (np.arange(STEPS) * PERIOD // period_ns * period_ns).astype(np.int64)


def lost(step: int, periods: float) -> Times:
    times = ticks()
    times[step:] += int(periods * PERIOD)
    return times


def held(start: int, count: int) -> Times:
    times = ticks()
    times[start : start + count] = times[start]
    return times


def swapped() -> Times:
    times = ticks()
    times[[20, 21]] = times[[21, 20]]
    return times


def late(step: int) -> Times:
    times = ticks()
    times[step] += int(0.8 * PERIOD)
    return times


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (lost(30, 1), [("warning", "s: 0.10")]),
        (lost(30, 20), [("warning", "are missing before step 30; 1 such gaps")]),
        (held(40, 12), [("warning", "one reading held for 1.20 s (12 steps) from step 40")]),
        (np.full(STEPS, 5), [("warning", "one reading held for 8.00 s (80 steps) from step 0")]),
        (swapped(), [("error", "goes back at step 21, and 1 times in all")]),
        (ticks(jitter_ns=0, rate=0.8), [("warning", "8 rows a second were recorded, fps is 10")]),
        (ticks(jitter_ns=5e6), []),
        (ticks(jitter_ns=1e7), [("note", "is more than")]),
        (ticks(jitter_ns=2e7), [("warning", "is more than")]),
    ],
    ids=["a step lost", "seconds lost", "held", "stopped", "back", "rate", "little jitter", "jitter", "much jitter"],
)
def test_what_is_wrong_with_times(times: Times, expected: list[tuple[str, str]]):
    found = list(capture_time_findings("s", times, fps=10))
    assert [finding.severity for finding in found] == [severity for severity, _ in expected]
    for finding, (_, message) in zip(found, expected, strict=True):
        assert message in finding.message


@pytest.mark.parametrize("period_ns", [PERIOD / 4, PERIOD / 1.11, PERIOD * 2, PERIOD * 3.3])
def test_a_source_with_another_rate_is_neither_late_nor_stuck(period_ns: float):
    found = list(capture_time_findings("s", source(period_ns), fps=10))
    assert [finding for finding in found if finding.severity != "note"] == []


def test_one_late_reading_is_no_lost_time():
    assert list(capture_time_findings("s", late(30), fps=10)) == []


@pytest.mark.parametrize(
    ("change", "expected"), [(lambda t: t, []), (lambda t: t + (np.arange(60) > 30)[:, None] * PERIOD * 3, [5, 5])]
)
def test_sources_and_episodes_are_named(
    tmp_path: Path, demonstrations, change: Callable[[Any], Any], expected: list[int]
):
    episodes = demonstrations.episodes(7)
    episodes[5].columns["capture_time_ns"] = change(episodes[5].columns["capture_time_ns"])
    features = {name: feature for name, feature in demonstrations.features.items() if name != "camera"}
    found, said = demonstrations.check(demonstrations.save(tmp_path / "d", episodes, features))
    assert found == [("warning", "capture-time", episode) for episode in expected]
    assert all(f"capture_time_ns[{name}]: 0.3" in said for name in ("state", "camera") if expected)
