"""When readings were taken, and whether their clocks agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.info import DatasetError

SECOND = 10**9  # ns
OTHER_CLOCK_S = 1.0
"""Where stamp and receive time differ by more, the stamps are no times of capture by the recorder's clock."""
PARTS, PART = 8, 10
"""Clocks are compared in up to so many parts of a recording, each of at least so many messages: a clock may step."""

Nanoseconds = NDArray[np.int64]
Stamps = Literal["auto", "header", "arrival"]
Span = tuple[int, int]
"""From a time in ns, and up to another, which it does not hold."""
WHOLE: Span = (-(2**63), 2**63 - 1)
"""All the time there is."""


def capture_times(
    received: Nanoseconds, stamps: Nanoseconds, topic: str, wanted: Stamps = "auto"
) -> tuple[Nanoseconds, str | None]:
    """When the messages' content was measured (n,), in ns, never falling.

    Of themselves the header stamps where all of them can be believed, otherwise the times at which the bag received the
    messages: a mixture would jump by the transport's delay.

    Args:
        received: (n,) ns, never falling.
        stamps: (n,) ns from the headers; 0 where there is none.
        topic: For the finding.
        wanted: "header" or "arrival" where somebody knows which is right.

    Returns:
        The times, and why they are not the stamps, or None.

    Raises:
        DatasetError: the stamps are wanted, and are none, or go backwards.
    """
    if wanted == "arrival":
        return received, None
    why = None
    zero = int((stamps == 0).sum())
    offset_s = float(np.median(received - stamps)) / SECOND
    if zero:
        why = f"{zero} of {len(stamps)} messages have no header stamp or a zero one"
    elif (np.diff(stamps) < 0).any():
        why = f"header stamps go backwards at message {int(np.argmax(np.diff(stamps) < 0)) + 1}"
    elif abs(offset_s) > OTHER_CLOCK_S and wanted == "auto":
        why = f"header stamps are {offset_s:.3f} s behind the bag's clock"
    if why is None:
        return stamps, None
    if wanted == "header":
        raise DatasetError(f"{topic}: {why}: they are no times of capture; take arrival instead")
    return received, f"{topic}: {why}: the time at which the bag received them is taken for capture time"


def clock_findings(clocks: Mapping[str, tuple[Nanoseconds, Nanoseconds]], fps: int) -> list[str]:
    """By how much each topic's header stamps are behind the bag's clock, where these offsets differ from one another,
    or from none at all, by more than half a row; nothing otherwise.

    A delay on the way looks like a clock that is behind: only a person knows which it is.

    Args:
        clocks: topic -> (n,) ns at which its messages were received, (n,) ns of their stamps; 0 where there is none.
            A topic without stamps, or with some, has the bag's clock.
        fps: Rows per second.
    """
    offsets = {topic: _offsets_s(*times) for topic, times in clocks.items() if len(times[1]) and times[1].all()}
    found = [0.0, *(offset for each in offsets.values() for offset in each)]
    rows = (max(found) - min(found)) * fps
    if rows <= 0.5:
        return []
    named = [f"{topic} {_range(low, high, 0.5 / fps)} s" for topic, (low, high) in offsets.items()]
    return [
        f"header stamps are behind the bag's clock by (medians) {', '.join(named)}: these differ by up to"
        f" {max(found) - min(found):.3f} s, {rows:.1f} rows; where that is a clock's fault and no delay on the way,"
        " take arrival as the time of all"
    ]


def _offsets_s(received: Nanoseconds, stamps: Nanoseconds) -> tuple[float, float]:
    """The least and the most of the parts' medians."""
    parts = np.array_split(received - stamps, max(1, min(PARTS, len(stamps) // PART)))
    medians = [float(np.median(part)) / SECOND for part in parts]
    return min(medians), max(medians)


def _range(low: float, high: float, apart: float) -> str:
    return f"{low:.3f} to {high:.3f}" if high - low > apart else f"{(low + high) / 2:.3f}"


def observed_among(names: Iterable[str]) -> list[str]:
    """The observations; all of them where none is one."""
    names = list(names)
    return [name for name in names if name.startswith("observation.")] or names


def common_time(times: Mapping[str, Nanoseconds], where: str) -> tuple[int, int]:
    """When every feature has its first reading, and when the observation that ends first has its last one, in ns.

    Raises DatasetError, about `where`, when that is before.
    """
    start, last = max(int(t[0]) for t in times.values()), min(int(times[name][-1]) for name in observed_among(times))
    if last < start:
        first = min(int(t[0]) for t in times.values())
        spans = [f"{n} {(t[0] - first) / SECOND:.3f} to {(t[-1] - first) / SECOND:.3f} s" for n, t in times.items()]
        raise DatasetError(f"{where}: the topics have no time in common: {'; '.join(spans)}")
    return start, last


def period_of(times: Nanoseconds) -> float:
    """The usual time from one to the next, ns; for ever where there is but one."""
    return float(np.median(np.diff(times))) if len(times) > 1 else float("inf")
