"""What the commands of a recording were decided on: an observation that they follow, or a clock of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus_datasets.convert.importers.bags.capture_times import SECOND, Nanoseconds, period_of

REGULAR = 0.35
"""Half of the times from an observation's newest reading to a command are within this share of its period, where the
commands follow it; of commands that do not, within half of it."""
AS_OFTEN = 0.9
"""A policy waits for an observation whose period is at least this share of the commands'."""
REPEATED = 0.7
"""Times from readings to commands are at most this share as uneven as the commands are, where these repeat the
readings' jitter; of jitters that are independent of one another, they are more uneven."""
LAGS = 64
"""So many times from a reading to its command are tried in a command's period, at most."""


@dataclass(frozen=True, kw_only=True)
class Lead:
    """What a recording's commands follow, and by how much: the same all the time, but for jitter.

    Args:
        observation: The one whose readings they are decided on; None where they follow none, but a clock of their own.
        wait: From such a reading to its command, or from the decision to it, ns.
    """

    observation: str | None
    wait: int

    def due(self, ticks: Nanoseconds, shown: Mapping[str, Nanoseconds]) -> Nanoseconds:
        """(T,) ns: when the command that was decided on what a row shows would come.

        Args:
            ticks: (T,) ns.
            shown: observation -> (T,) ns: when the reading of each row was taken.
        """
        return (shown[self.observation] if self.observation else ticks) + self.wait


def find_lead(times: Mapping[str, Nanoseconds], observed: Sequence[str], action: str, fps: int) -> Lead:
    """The observation whose newest reading commands follow most regularly, in its own periods, leads them where it
    comes no more often than they do: a policy that waits for it takes less than a period.

    Beside a faster one, which reading a command was decided on shows only where it repeats the jitter of that reading.
    Where it does not, or follows nothing regularly, the policy runs by a clock of its own, and takes half a period at
    most: a quarter of one is at most a quarter off.
    """
    sent = times[action]
    periods = {name: max(1.0, period_of(times[name])) for name in observed}
    delays = {name: _since(times[name], sent) for name in observed}
    spreads = {name: np.subtract(*np.percentile(delays[name], (75, 25))) / periods[name] for name in observed}
    first = min(observed, key=lambda name: spreads[name])
    if spreads[first] <= REGULAR and periods[first] >= AS_OFTEN * period_of(sent):
        return Lead(observation=first, wait=int(np.median(delays[first])))
    for name in sorted(observed, key=lambda name: -periods[name]):
        wait = _repeated_wait(times[name], sent)
        if wait is not None:
            return Lead(observation=name, wait=wait)
    return Lead(observation=None, wait=round(min(SECOND / fps, period_of(sent)) / 4))


def _repeated_wait(readings: Nanoseconds, sent: Nanoseconds) -> int | None:
    """The usual time, ns, from a reading to the command that repeats its jitter, of those in a command's period; None
    where none does."""
    if not _roughness(sent):
        return None
    # By half a period: one of two is well between two readings, despite their jitter.
    half = max(period_of(readings) / 2, period_of(sent) / LAGS)
    shifts = np.arange(0.0, max(1.0, period_of(sent)), max(1.0, half)).astype(np.int64)
    steadiest = min((_since(readings, sent - shift) + shift for shift in shifts), key=_roughness)
    return int(np.median(steadiest)) if _roughness(steadiest) < REPEATED * _roughness(sent) else None


def _roughness(times: Nanoseconds) -> float:
    """How much each is off the middle of its neighbours, usually, ns; 0 of less than three."""
    return float(np.median(np.abs(np.diff(times, n=2)))) if len(times) > 2 else 0.0


def _since(readings: Nanoseconds, sent: Nanoseconds) -> Nanoseconds:
    """Time from the newest reading to each command; of those before the first reading, to that (negative)."""
    return sent - readings[(np.searchsorted(readings, sent, side="right") - 1).clip(0)]
