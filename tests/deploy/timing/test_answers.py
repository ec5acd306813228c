"""What is told of a robot's answers, by sequences worked out by hand."""

import pytest

from isthmus_deploy.timing.answers import AnswerTimes

MS = 1_000_000


def told(*events: tuple[str, int]) -> AnswerTimes:
    """Readings are sent and commands come at these times, ms; one reading in 10 ms."""
    times = AnswerTimes(10 * MS)
    for event, at_ms in events:
        getattr(times, event)(at_ms * MS)
    return times


@pytest.mark.parametrize(
    ("events", "count", "longest_ms", "unanswered"),
    [
        ((("sent", 0), ("came", 2), ("sent", 10), ("came", 13)), 2, 3, 0),
        ((("sent", 0), ("came", 2), ("came", 5)), 1, 2, 0),
        # The one of 10 is late: it has taken at least 10 ms. What comes at 21 may be its answer, so it tells nothing.
        ((("sent", 0), ("came", 2), ("sent", 10), ("sent", 20), ("came", 21), ("sent", 30), ("came", 34)), 3, 10, 1),
        # Nobody commands the robot, or not any more: then its readings take no time.
        ((("sent", 100), ("sent", 110), ("sent", 120)), 0, 0, 2),
        ((("sent", 0), ("came", 2), *(("sent", at) for at in range(10, 100, 10))), 3, 10, 8),
        # The first command after that answers a reading of which nobody knows.
        ((("sent", 100), ("sent", 110), ("came", 111), ("sent", 120), ("came", 124)), 1, 4, 1),
    ],
)
def test_times_from_readings_to_commands(events, count, longest_ms, unanswered):
    times = told(*events)
    assert (times.histogram.count, times.histogram.max_ns, times.unanswered) == (count, longest_ms * MS, unanswered)


def test_how_evenly_readings_go_out():
    error = told(("sent", 0), ("sent", 10), ("sent", 23), ("sent", 30)).period_error
    assert (error.count, error.percentile_ns(10), error.max_ns) == (3, 1_000, 3 * MS)
