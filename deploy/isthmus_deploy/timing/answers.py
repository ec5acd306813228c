"""How evenly readings go out and how soon commands answer them, as the robot sees it."""

from __future__ import annotations

from isthmus_deploy.timing.histogram import LatencyHistogram

_DRIVEN_PERIODS = 3


class AnswerTimes:
    """The time from each reading to the command that answers it.

    A command does not say which reading it answers. While every reading is answered before the next one, it is the
    newest. A reading that is not has taken at least until then, and that is recorded; the next one is not timed, since
    the command that comes then may well be the late one of the reading before.

    Args:
        period_ns: From one reading to the next.
    """

    def __init__(self, period_ns: int) -> None:
        self.histogram = LatencyHistogram()
        self.period_error = LatencyHistogram()
        """Absolute difference between the time from reading to reading and the period."""
        self.unanswered = 0
        """Readings that nothing answered before the next one; those of a robot that nobody commands among them."""
        self._period_ns = period_ns
        self._sent_ns: int | None = None
        self._came_ns = 0
        self._waiting = False
        self._certain = False

    def sent(self, now_ns: int) -> None:
        """A reading goes out."""
        if self._sent_ns is not None:
            passed_ns = now_ns - self._sent_ns
            self.period_error.record(abs(passed_ns - self._period_ns))
            if self._waiting and now_ns - self._came_ns <= _DRIVEN_PERIODS * self._period_ns:
                self.histogram.record(passed_ns)
        self.unanswered += self._waiting
        self._certain = not self._waiting
        self._sent_ns, self._waiting = now_ns, True

    def came(self, now_ns: int) -> None:
        """A command has come."""
        if self._sent_ns is not None and self._waiting and self._certain:
            self.histogram.record(now_ns - self._sent_ns)
        self._came_ns, self._waiting = now_ns, False
