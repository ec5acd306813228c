"""What the commands of a recording were decided on: an observation that they follow, or a clock of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.bags.capture_times import SECOND, Nanoseconds, period_of

REGULAR = 0.35
"""Half of the times from an observation's newest reading to a command are within this share of its period, where the
commands follow it; of commands that do not, within half of it."""
AS_OFTEN = 0.9
"""Where a policy waits for a reading, the shorter one of its period and the commands' is at least this share of the
longer."""
EARLY = 0.25
"""Commands come earlier after their reading than usual by at most this share of its period; later by any time."""
REPEATED = 0.7
"""Times from readings to commands are at most this share as uneven as the commands are, where these repeat the
readings' jitter; of jitters that are independent of one another, they are more uneven."""
LAGS = 64
"""So many times from a reading to its command are tried in a command's period, at most."""
_EVER = float(2**62)  # ns


@dataclass(frozen=True, kw_only=True, eq=False)
class Lead:
    """What a recording's commands were decided on.

    Args:
        observation: The one whose readings they follow; None where they follow none, but a clock of their own.
        decided: (m,) ns: when the reading was heard that each command was decided on; without an observation, when the
            command was decided.
    """

    observation: str | None
    decided: Nanoseconds

    def shown(self, ticks: Nanoseconds, shown: Mapping[str, Nanoseconds]) -> Nanoseconds:
        """(T,) ns: what `decided` is for a command that was decided on what a row shows.

        Args:
            ticks: (T,) ns.
            shown: observation -> (T,) ns: when the reading of each row was heard.
        """
        return shown[self.observation] if self.observation else ticks


def find_lead(heard: Mapping[str, Nanoseconds], observed: Sequence[str], action: str, fps: int) -> Lead:
    """The observation whose newest reading commands follow most regularly, in its own periods, leads them where it
    comes as often as they do: a policy that waits for it takes less than a period, usually.

    Beside a faster one, which reading a command was decided on shows only where it repeats the jitter of that reading.
    Where it does not, or follows nothing regularly, the policy runs by a clock of its own, and takes half a period at
    most: a quarter of one is at most a quarter off.

    Args:
        heard: feature -> (n,) ns: when its readings came.
        observed: The observations among them.
        action: The commands.
        fps: Ticks per second.
    """
    sent = heard[action]
    own, periods = period_of(sent), {name: min(max(1.0, period_of(heard[name])), _EVER) for name in observed}
    usual = {name: _usual(_since(heard[name], sent), periods[name]) for name in observed}
    first = min(observed, key=lambda name: usual[name][0] / periods[name])
    spread, wait = usual[first]
    as_often = min(own, periods[first]) >= AS_OFTEN * max(own, periods[first])
    if as_often and spread <= REGULAR * periods[first]:
        return Lead(observation=first, decided=_decided(heard[first], sent, wait))
    for name in sorted(observed, key=lambda name: -periods[name]):
        repeated = _repeated_wait(heard[name], sent)
        if repeated is not None:
            return Lead(observation=name, decided=_decided(heard[name], sent, repeated))
    return Lead(observation=None, decided=sent - round(min(SECOND / fps, own) / 4))


def _decided(readings: Nanoseconds, sent: Nanoseconds, wait: float) -> Nanoseconds:
    """(m,) ns: the newest reading that each command can have been decided on, of those which come `wait` ns before it
    usually; before the first reading, some time before that. A policy on a busy machine is often late, but answers
    nothing before it comes."""
    latest = sent - max(0, round(wait - EARLY * period_of(readings)))
    return np.where(latest < readings[0], latest, readings[_newest(readings, latest)])


def _usual(delays: Nanoseconds, period: float) -> tuple[float, float]:
    """Length and median, ns, of the shortest stretch of time with half of the delays (Rousseeuw & Leroy 1988, "A robust
    scale estimator based on the shortest half"): a busy machine makes many of them longer, and none shorter.

    One of a period is one of none: the stretch may lie across that.
    """
    once = np.sort(delays % period)
    twice, half = np.concatenate([once, once + period]), (len(once) + 1) // 2
    lengths = twice[half - 1 : half - 1 + len(once)] - once
    first = int(lengths.argmin())
    return float(lengths[first]), float(np.median(twice[first : first + half]))


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
    return sent - readings[_newest(readings, sent)]


def _newest(readings: Nanoseconds, at: Nanoseconds) -> NDArray[np.int64]:
    """Number of the last reading not after each time; before the first one, that."""
    return (np.searchsorted(readings, at, side="right") - 1).clip(0)
