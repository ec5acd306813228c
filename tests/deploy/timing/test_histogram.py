"""The latency histogram beside what was recorded."""

from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.timing.histogram import LatencyHistogram


def test_percentiles_are_bucket_edges_at_most_an_eighth_too_high():
    histogram = LatencyHistogram()
    for microseconds in range(1, 1001):
        histogram.record(microseconds * 1_000)
    for percent in (1, 50, 90, 99):
        exact = percent * 10_000
        assert exact <= histogram.percentile_ns(percent) <= exact * 1.125
    assert histogram.percentile_ns(100) == histogram.max_ns == 1_000_000
    summary = histogram.summary()
    assert (summary["count"], summary["mean_us"], summary["max_us"]) == (1000, 500.5, 1000.0)


def test_durations_beyond_the_buckets_are_counted():
    histogram = LatencyHistogram()
    for duration in (0, 500, 5_000_000_000):
        histogram.record(duration)
    assert histogram.percentile_ns(50) == 1_000
    assert histogram.percentile_ns(99) == 5_000_000_000
    assert histogram.count == 3


def test_an_empty_histogram_is_zero():
    assert LatencyHistogram().summary() == {
        "count": 0, "mean_us": 0.0, "p50_us": 0.0, "p90_us": 0.0, "p99_us": 0.0, "p99.9_us": 0.0, "max_us": 0,
        "buckets_us": {},
    }  # fmt: skip


@given(durations=st.lists(st.integers(0, 3_000_000_000), min_size=1), percent=st.integers(1, 100))
def test_a_percentile_is_never_below_the_true_one(durations, percent):
    histogram = LatencyHistogram()
    for duration in durations:
        histogram.record(duration)
    rank = -(-percent * len(durations) // 100)
    assert sorted(durations)[rank - 1] <= histogram.percentile_ns(percent) <= max(durations)


def test_what_is_written_down_has_every_duration_by_its_buckets_upper_edge():
    histogram = LatencyHistogram()
    for duration in (500, 1_000_000, 990_000, 1_000_001, 7_000_000_000):
        histogram.record(duration)
    assert histogram.summary()["buckets_us"] == {"1": 1, "1000": 2, "1122.02": 1, "7e+06": 1}
