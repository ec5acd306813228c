"""Whether steps are as far apart as fps says, by the times at which sensors were read.

Looked at are columns of int64 whose name ends in `_ns`: one channel per source. A source may be slower than the rows
are (its reading is then held) or have a rate that does not divide theirs; neither is a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.scan.dataset_scan import DatasetScan
from isthmus_datasets.tools.scan.finding import Finding

GAP = 0.75  # of a period: so much time is lost for good; a missed step loses a whole one
WINDOW = 5  # new readings before and behind, to tell lost time from one late reading
STALE_PERIODS = 5
JITTER_NOTE, JITTER_WARNING = 0.25, 0.5  # of a period: ticks of 15 and 25 instead of 20 ms have shaken a robot
SHARP = 0.1  # of half the usual time between readings: a source of another rate skips now and then a reading of its own
RATE = 0.02
MIN_STEPS = 2 * WINDOW


@dataclass(frozen=True, kw_only=True)
class _Source:
    """One source in one episode: times (T,) s since its first, rising, and the period of the rows in s."""

    name: str
    times: NDArray[np.float64]
    period: float

    @property
    def steps(self) -> NDArray[np.float64]:
        """Time from reading to reading (T-1,); 0 where one is held."""
        return np.diff(self.times)

    @property
    def usual(self) -> float:
        """Time between new readings."""
        new = self.steps[self.steps > 0]
        return float(np.median(new)) if len(new) else 0.0

    def lost(self) -> dict[int, float]:
        """Step -> time in s that was lost before it: from then on, new readings are so much later than rows are."""
        new = np.flatnonzero(np.diff(self.times, prepend=-1.0))
        late = self.times[new] - new * self.period
        gaps = {}
        for i in np.flatnonzero(np.diff(late) > GAP * self.period) + 1:
            lost = float(np.median(late[i : i + WINDOW]) - np.median(late[max(0, i - WINDOW) : i]))
            if lost > GAP * self.period:
                gaps[int(new[i])] = lost
        return gaps


def capture_time(scan: DatasetScan) -> Iterator[Finding]:
    """Capture times rise steadily at fps: none goes back, no gap, no reading held long, no jitter, no other rate."""
    for name, feature in scan.info.features.items():
        if feature.dtype != "int64" or not name.endswith("_ns"):
            continue
        for episode, values in scan.of(name):
            for channel in range(values.shape[1]):
                times = values[:, channel]
                if len(times) < MIN_STEPS:
                    continue
                for finding in capture_time_findings(scan.channel(name, channel), times, fps=scan.info.fps):
                    yield Finding(**{**vars(finding), "episode": episode.index})


def capture_time_findings(name: str, times: NDArray[np.int64], *, fps: int) -> Iterator[Finding]:
    """What is wrong with the times (T,) in ns of one source in one episode, which is not said."""
    back = np.diff(times) < 0
    if back.any():
        yield Finding(
            severity="error",
            check="capture-time",
            message=f"{name} goes back at step {int(np.argmax(back)) + 1}, and {int(back.sum())} times in all",
            fix="use one monotonic clock; readings may be in the wrong order",
        )
        return
    source = _Source(name=name, times=(times - times[0]) / 1e9, period=1 / fps)
    yield from _held(source)
    gaps = source.lost()
    yield from _gaps(source, gaps)
    if not source.usual:
        return
    yield from _rate(source, sum(gaps.values()))
    yield from _jitter(source, gaps)


def _held(source: _Source) -> Iterator[Finding]:
    new = np.flatnonzero(np.concatenate(([1.0], source.steps, [1.0])))
    longest = int(np.argmax(np.diff(new)))
    count = int(np.diff(new)[longest])
    held = count * source.period
    if held > STALE_PERIODS * max(source.period, source.usual):
        yield Finding(
            severity="warning",
            check="capture-time",
            message=f"{source.name} has one reading held for {held:.2f} s ({count} steps) from step {new[longest]}",
            fix="look whether the sensor or its driver hung; cut the episode there",
        )


def _gaps(source: _Source, gaps: dict[int, float]) -> Iterator[Finding]:
    if gaps:
        worst = max(gaps, key=gaps.__getitem__)
        yield Finding(
            severity="warning",
            check="capture-time",
            message=f"{source.name}: {gaps[worst]:.3f} s are missing before step {worst}; {len(gaps)} such gaps",
            fix="split the episode there: the rows say that no time has passed",
        )


def _rate(source: _Source, lost: float) -> Iterator[Finding]:
    new = np.flatnonzero(source.steps) + 1  # without the first row, whose reading may have been held for long
    steps, elapsed = int(new[-1] - new[0]), float(source.times[new[-1]] - source.times[new[0]]) - lost
    slack = max(RATE * steps * source.period, 1.5 * max(source.period, source.usual))
    if abs(elapsed - steps * source.period) > slack:
        yield Finding(
            severity="warning",
            check="capture-time",
            message=f"{source.name}: {steps / elapsed:.4g} rows a second were recorded, fps is {1 / source.period:g}",
            fix="set fps to the rate of the recording, or resample: played back, it has another speed",
        )


def _jitter(source: _Source, gaps: dict[int, float]) -> Iterator[Finding]:
    steps = np.delete(source.steps, [step - 1 for step in gaps])
    steps = steps[steps > 0]
    error = float(np.percentile(np.abs(steps - source.usual), 95)) if len(steps) else 0.0
    if error > JITTER_NOTE * source.period:
        halves = 2 * steps / source.usual
        other_rate = float(np.mean(np.abs(halves - halves.round()) < SHARP)) > 0.95
        yield Finding(
            severity="warning" if error > JITTER_WARNING * source.period and not other_rate else "note",
            check="capture-time",
            message=f"{source.name}: one step in 20 is more than {1e3 * error:.1f} ms off its usual"
            f" {1e3 * source.usual:.1f} ms",
            fix="record with real-time priority; if the source has another rate than the rows, resample by its times",
        )
