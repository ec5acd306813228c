"""How long something takes, over and over, counted without allocating memory."""

from __future__ import annotations

import bisect
from typing import Any

_BUCKETS_PER_DECADE = 20
_FIRST_NS = 1_000
_DECADES = 6


class LatencyHistogram:
    """Durations in fixed buckets from 1 µs to 1 s, 20 a decade (12 % wide). Recording allocates no memory."""

    EDGES_NS = tuple(
        round(_FIRST_NS * 10 ** (index / _BUCKETS_PER_DECADE)) for index in range(_DECADES * _BUCKETS_PER_DECADE + 1)
    )

    def __init__(self):
        self._counts = [0] * (len(self.EDGES_NS) + 1)
        self._sum_ns = 0
        self.count = 0
        """Durations recorded."""
        self.max_ns = 0
        """Longest duration recorded."""

    def record(self, duration_ns: int) -> None:
        """Add one duration."""
        self._counts[bisect.bisect_left(self.EDGES_NS, duration_ns)] += 1
        self._sum_ns += duration_ns
        self.count += 1
        self.max_ns = max(self.max_ns, duration_ns)

    def percentile_ns(self, percent: float) -> int:
        """Duration that `percent` of the records do not exceed, rounded up to a bucket's edge; 0 without records."""
        wanted = percent / 100.0 * self.count
        below = 0
        for index, edge in enumerate(self.EDGES_NS):
            below += self._counts[index]
            if below >= wanted and below:
                return min(edge, self.max_ns)
        return self.max_ns

    def summary(self) -> dict[str, Any]:
        """Count, mean, p50, p90, p99, p99.9 and maximum in microseconds, and of each bucket that is not empty how many
        durations are in it, by its upper edge in microseconds; ready for JSON."""
        mean = self._sum_ns / self.count if self.count else 0.0
        percentiles = {f"p{percent:g}_us": self.percentile_ns(percent) / 1e3 for percent in (50, 90, 99, 99.9)}
        edges = (*self.EDGES_NS, self.max_ns)
        buckets = {f"{edge / 1e3:g}": count for edge, count in zip(edges, self._counts, strict=True) if count}
        times = {"mean_us": mean / 1e3, **percentiles, "max_us": self.max_ns / 1e3}
        return {"count": self.count, **times, "buckets_us": buckets}
