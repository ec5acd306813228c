"""When a reading was taken, and which reading holds at every tick of a fixed-rate grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.info import DatasetError

SECOND = 10**9  # ns
OTHER_CLOCK_S = 1.0
"""Where stamp and receive time differ by more, the stamps are no times of capture by the recorder's clock."""
PARTS, PART = 8, 10
"""Clocks are compared in up to so many parts of a recording, each of at least so many messages: a clock may step."""
PHASES = 24
"""How many beginnings within a period are tried for a grid."""
OFTEN = 1.1
"""Observations whose readings are at most so many grid periods apart should have a new one at every tick."""
NEAR = 0.75
"""A command that comes this share of a tick later than usual may still be that of a row, where each row has its own;
half a tick where commands are slower."""
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
STALE_PERIODS = 5
"""A reading held for more than so many of its topic's usual periods is reported."""

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


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Ticks at a fixed rate.

    Args:
        ticks: (T,) ns.
        rows: feature -> (T,): the last reading not after the tick; of an action the one that was decided on the newest
            of these.
    """

    ticks: Nanoseconds
    rows: Mapping[str, NDArray[np.int64]]


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


def make_grid(times: Mapping[str, Nanoseconds], fps: int, where: str, span: Span = WHOLE) -> Grid:
    """From the time at which every feature has its first reading to the end of the observation that ends first.

    A command that is no longer sent still holds, so only observations end a grid (all features where none is one).
    Where it begins within its first period is chosen so that the fewest ticks have the reading of the tick before, of
    observations that come at least as often: a camera at the grid's own rate, with a little jitter, would else come
    before and after the tick in turns; and so that commands that come as often are nearest to when they are due: of a
    sensor twice as fast, the ticks would else have just those readings that no command was decided on.

    Args:
        times: feature -> (n,) ns, never falling, n > 0.
        fps: Ticks per second.
        where: For errors.
        span: Only ticks in it; a reading from before it may still hold.

    Raises:
        DatasetError: the features' times have no moment in common.
    """
    observed = observed_among(times)
    start, last = common_time(times, where)
    start, stop = max(start, span[0]), min(last, span[1] - 1)
    begins = (start + SECOND * phase // (fps * PHASES) for phase in range(PHASES))
    grids = (_grid(times, fps, begin, stop) for begin in begins if begin <= stop)
    often = [name for name, t in times.items() if _period(t) < OFTEN * SECOND / fps]
    leads = {name: _lead(times, observed, name, fps) for name in times if name not in observed}

    def cost(grid: Grid) -> float:
        """In periods. To be rid of a tick with the reading of the tick before is worth more than a tick at the end."""
        held = sum(int((np.diff(grid.rows[name]) == 0).sum()) for name in often if name not in leads)
        sent = {name: times[name][grid.rows[name]] for name in often if name in leads}
        apart = (np.abs(at - leads[name].due(times, grid)) * fps / SECOND for name, at in sent.items())
        return 2 * held + sum(float(each.clip(max=0.5).sum()) for each in apart) - len(grid.ticks)

    return min((_with_actions(times, grid, leads) for grid in grids), key=cost)


@dataclass(frozen=True, kw_only=True)
class _Lead:
    """What a recording's commands follow, and by how much: the same all the time, but for jitter.

    Args:
        observation: The one whose readings they are decided on; None where they follow none, but a clock of their own.
        wait: From such a reading to its command, or from the decision to it, ns.
    """

    observation: str | None
    wait: int

    def due(self, times: Mapping[str, Nanoseconds], grid: Grid) -> Nanoseconds:
        """(T,) ns: when the command that was decided on what a row shows would come."""
        name = self.observation
        return (times[name][grid.rows[name]] if name else grid.ticks) + self.wait


def _lead(times: Mapping[str, Nanoseconds], observed: Sequence[str], action: str, fps: int) -> _Lead:
    """The observation whose newest reading commands follow most regularly, in its own periods, leads them where it comes
    no more often than they do: a policy that waits for it takes less than a period.

    Beside a faster one, which reading a command was decided on shows only where it repeats the jitter of that reading.
    Where it does not, or follows nothing regularly, the policy runs by a clock of its own, and takes half a period at
    most: a quarter of one is at most a quarter off.
    """
    sent = times[action]
    periods = {name: max(1.0, _period(times[name])) for name in observed}
    delays = {name: _since(times[name], sent) for name in observed}
    spreads = {name: np.subtract(*np.percentile(delays[name], (75, 25))) / periods[name] for name in observed}
    first = min(observed, key=lambda name: spreads[name])
    if spreads[first] <= REGULAR and periods[first] >= AS_OFTEN * _period(sent):
        return _Lead(observation=first, wait=int(np.median(delays[first])))
    for name in sorted(observed, key=lambda name: -periods[name]):
        wait = _repeated_wait(times[name], sent)
        if wait is not None:
            return _Lead(observation=name, wait=wait)
    return _Lead(observation=None, wait=round(min(SECOND / fps, _period(sent)) / 4))


def _repeated_wait(readings: Nanoseconds, sent: Nanoseconds) -> int | None:
    """The usual time, ns, from a reading to the command that repeats its jitter, of those in a command's period; None
    where none does."""
    if not _roughness(sent):
        return None
    half = max(_period(readings) / 2, _period(sent) / LAGS)  # some time is well between two readings, despite jitter
    shifts = np.arange(0.0, max(1.0, _period(sent)), max(1.0, half)).astype(np.int64)
    steadiest = min((_since(readings, sent - shift) + shift for shift in shifts), key=_roughness)
    return int(np.median(steadiest)) if _roughness(steadiest) < REPEATED * _roughness(sent) else None


def _roughness(times: Nanoseconds) -> float:
    """How much each is off the middle of its neighbours, usually, ns; 0 of less than three."""
    return float(np.median(np.abs(np.diff(times, n=2)))) if len(times) > 2 else 0.0


def _period(times: Nanoseconds) -> float:
    """The usual time from one to the next, ns; for ever where there is but one."""
    return float(np.median(np.diff(times))) if len(times) > 1 else float("inf")


def _with_actions(times: Mapping[str, Nanoseconds], grid: Grid, leads: Mapping[str, _Lead]) -> Grid:
    """A row's command is the one nearest to when it is due. The last one not after the tick would be the command before,
    wherever the tick falls between a reading and its command. Where none is near, as when commands are slower or
    pause, the last one still holds."""
    tick = _period(grid.ticks) if len(grid.ticks) > 1 else 0.0
    near = {name: tick * (NEAR if _period(times[name]) < OFTEN * tick else 0.5) for name in leads}
    rows = {name: _nearest(times[name], lead.due(times, grid), near[name]) for name, lead in leads.items()}
    return replace(grid, rows={**grid.rows, **rows})


def _nearest(sent: Nanoseconds, due: Nanoseconds, near: float) -> NDArray[np.int64]:
    last = (np.searchsorted(sent, due, side="right") - 1).clip(0)
    following = (last + 1).clip(max=len(sent) - 1)
    nearer = (sent[following] - due) < (due - sent[last])
    return np.where(nearer & (sent[following] - due <= near), following, last)


def _grid(times: Mapping[str, Nanoseconds], fps: int, start: int, stop: int) -> Grid:
    steps = np.arange((stop - start) * fps // SECOND + 1, dtype=np.int64)
    ticks = start + steps * SECOND // fps
    return Grid(ticks=ticks, rows={name: np.searchsorted(t, ticks, side="right") - 1 for name, t in times.items()})


def _since(readings: Nanoseconds, sent: Nanoseconds) -> Nanoseconds:
    """Time from the newest reading to each command; of those before the first reading, to that (negative)."""
    return sent - readings[(np.searchsorted(readings, sent, side="right") - 1).clip(0)]


def time_findings(grid: Grid, times: Mapping[str, Nanoseconds], span: Span = WHOLE) -> list[str]:
    """What was cut off at the start, readings that hold for much longer than their topic's period, and which readings
    stand in two rows or in none."""
    findings = []
    first = max(span[0], min(int(t[0]) for t in times.values()))
    late = max(times, key=lambda name: int(times[name][0]))
    period = grid.ticks[1] - grid.ticks[0] if len(grid.ticks) > 1 else SECOND
    if grid.ticks[0] - first > period:
        findings.append(f"the first {(grid.ticks[0] - first) / SECOND:.2f} s are left out: {late} starts only then")
    for name, t in times.items():
        age = grid.ticks - t[grid.rows[name]]
        usual = float(np.median(np.diff(t))) if len(t) > 1 else float(SECOND)
        stale = age > STALE_PERIODS * max(usual, 1.0)
        if stale.any():
            findings.append(
                f"{name} pauses: a reading is held for up to {age.max() / SECOND:.2f} s, and {int(stale.sum())} of"
                f" {len(age)} steps are older than {STALE_PERIODS} of its usual periods ({usual / SECOND:.3f} s)"
            )
    return findings + [text for name, rows in grid.rows.items() for text in _use_findings(name, rows)]


def _use_findings(name: str, rows: NDArray[np.int64]) -> list[str]:
    """What a feature's rows make of its readings, between the first one that they have and the last."""
    held = int((np.diff(rows) == 0).sum())
    dropped = int(rows[-1] - rows[0] + 1 - len(np.unique(rows)))
    parts = [f"{held} of {len(rows)} rows hold the reading of the row before"] if held else []
    parts += [f"{dropped} of {rows[-1] - rows[0] + 1} readings are in no row"] if dropped else []
    return [f"{name}: {', '.join(parts)}; none is interpolated"] if parts else []
