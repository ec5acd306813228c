"""How late the readings of each sensor reach a command, beside what the policy was trained for."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus_deploy.contracts.limits import Signal
from isthmus_deploy.timing.histogram import LatencyHistogram

_PERIODS = 2
_MACHINE_S = 0.005
_SUSTAINED_NS = 200_000_000
_SUSTAINED_READINGS = 20


def allowed_latency_s(signals: Sequence[Signal], trained_s: float, period_s: float) -> float:
    """How late the readings of one sensor may reach a command all the time, s.

    That is the latency that training has seen, and beyond it two control periods and 5 ms: a policy that runs at a
    period bears a change of its loop by about as much (a sensor that is not read in step with it is up to one period
    late already), and a busy machine takes a few milliseconds. It is never more than `max_age_s`.

    Args:
        signals: What the sensor gives; at least one has a `max_age_s`.
        trained_s: What training has seen, where a signal does not say it itself.
        period_s: The control period.
    """
    slack_s = _PERIODS * period_s + _MACHINE_S
    ageing = [signal for signal in signals if signal.max_age_s is not None]
    return min(min(trained_latency_s(signal, trained_s) + slack_s, signal.max_age_s or 0.0) for signal in ageing)


def trained_latency_s(signal: Signal, otherwise_s: float) -> float:
    """The latency of this signal that training has seen, s; `otherwise_s` where the contract has only one for all."""
    return otherwise_s if signal.trained_latency_s is None else signal.trained_latency_s


class SensorLatency:
    """Time from the stamps of one sensor's readings to the first command after each.

    It is a fault when for a fifth of a second, and for 20 readings, none was in time: machines and networks delay some
    readings, a sensor or a link that is late delays all. What this machine was late by is not the sensor's.

    Args:
        name: Of the sensor's topic.
        allowed_s: How late its readings may be all the time; infinite for what does not age.
        trained_s: What training has seen.
    """

    def __init__(self, name: str, allowed_s: float, trained_s: float) -> None:
        self.name = name
        self.histogram = LatencyHistogram()
        self._allowed_ns, self._trained_s = allowed_s * 1e9, trained_s
        self._late_since_ns: int | None = None
        self._late = 0
        self._least_ns = 0

    def record(self, taken_ns: int, now_ns: int, held_up_ns: int = 0) -> None:
        """The reading that was taken then has been answered by a command now, `held_up_ns` of that by this machine."""
        self.histogram.record(now_ns - taken_ns)
        latency_ns = now_ns - taken_ns - held_up_ns
        if latency_ns <= self._allowed_ns:
            self._late_since_ns = None
            return
        if self._late_since_ns is None:
            self._late_since_ns, self._late, self._least_ns = now_ns, 0, latency_ns
        self._late += 1
        self._least_ns = min(self._least_ns, latency_ns)

    @property
    def summary(self) -> str:
        """Median, 99th percentile and what training has seen, in words."""
        p50, p99 = (self.histogram.percentile_ns(percent) * 1e-6 for percent in (50, 99))
        return f"p50 {p50:.3g} ms, p99 {p99:.3g} ms, trained for {self._trained_s * 1e3:.3g} ms"

    def problem(self, now_ns: int) -> str | None:
        """Why the robot should not be moved by such readings; None where there is no reason."""
        if self._late_since_ns is None or self._late < _SUSTAINED_READINGS:
            return None
        sustained_ns = now_ns - self._late_since_ns
        if sustained_ns < _SUSTAINED_NS:
            return None
        return (
            f"{self.name}: for {sustained_ns * 1e-9:.2g} s no reading came to a command within "
            f"{self._allowed_ns * 1e-6:.3g} ms, the fastest took {self._least_ns * 1e-6:.3g} ms (trained for "
            f"{self._trained_s * 1e3:.3g} ms)"
        )
