"""Windows: the rows around a step that a policy learns from, and what stands beyond an episode's ends."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Offsets = tuple[int, int]
"""First and last row of a window, both in it, relative to the current step: (-1, 0) is the previous and this one."""


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """What is cut out around each current step. Beyond an episode's ends stand its first and last row, and a mask says
    so, as with LeRobot's delta_timestamps.

    Args:
        columns: Name of a column -> offsets of its rows.
        cameras: Name of a video or image feature -> offsets of its frames.
        pad_before, pad_after: How many rows a window, taken as the whole of its columns and cameras, may reach over
            the start and the end of an episode; steps with windows that reach further are no current steps. None sets
            no bound: every step of an episode is a current step.

    Raises:
        ValueError: neither a column nor a camera, offsets that hold no row, or negative padding.
    """

    columns: Mapping[str, Offsets] = field(default_factory=dict)
    cameras: Mapping[str, Offsets] = field(default_factory=dict)
    pad_before: int | None = None
    pad_after: int | None = None

    def __post_init__(self) -> None:
        if not self.columns and not self.cameras:
            raise ValueError("a window needs at least one column or camera")
        for name, (first, last) in {**self.columns, **self.cameras}.items():
            if first > last:
                raise ValueError(f"{name!r}: offsets ({first}, {last}) hold no row: the first is behind the last")
        if min(self.pad_before or 0, self.pad_after or 0) < 0:
            raise ValueError(f"padding ({self.pad_before}, {self.pad_after}) must not be negative")

    @classmethod
    def diffusion(
        cls,
        *,
        observations: Iterable[str] = (),
        cameras: Iterable[str] = (),
        actions: Iterable[str] = ("action",),
        observed: int = 2,
        predicted: int = 16,
        executed: int = 8,
    ) -> WindowConfig:
        """Diffusion policy's windows (Chi et al. 2023): `observed` rows up to the current step and, from the first of
        these on, `predicted` actions; at most observed - 1 rows before an episode and executed - 1 behind it. With
        these numbers an episode's last 7 steps are not current ones."""
        seen = (1 - observed, 0)
        return cls(
            columns=dict.fromkeys(observations, seen) | dict.fromkeys(actions, (1 - observed, predicted - observed)),
            cameras=dict.fromkeys(cameras, seen),
            pad_before=observed - 1,
            pad_after=executed - 1,
        )

    def current_steps(self, length: int) -> range:
        """The current steps of an episode of so many rows."""
        offsets = [*self.columns.values(), *self.cameras.values()]
        first, last = min(low for low, _ in offsets), max(high for _, high in offsets)
        start = 0 if self.pad_before is None else -first - self.pad_before
        stop = length if self.pad_after is None else length + self.pad_after - last
        return range(max(start, 0), max(min(stop, length), 0))


class Windows:
    """All windows of a dataset whose episodes stand one behind the other.

    Args:
        config: What is cut out.
        lengths: Rows of every episode.
        episodes: Those whose steps are current steps; None for all.

    Raises:
        IndexError: there is no such episode.
        ValueError: no episode has a window.
    """

    def __init__(self, config: WindowConfig, lengths: Sequence[int], episodes: Sequence[int] | None = None) -> None:
        chosen = list(range(len(lengths))) if episodes is None else list(episodes)
        if any(not 0 <= index < len(lengths) for index in chosen):
            raise IndexError(f"there are {len(lengths)} episodes, asked for {chosen}")
        starts = np.cumsum([0, *lengths])
        steps = [config.current_steps(lengths[index]) for index in chosen]
        counts = [len(each) for each in steps]
        if not sum(counts):
            raise ValueError(f"no step of {len(chosen)} episodes has a window: allow more padding, or shorten it")
        self._current = np.concatenate(
            [starts[i] + np.arange(s.start, s.stop) for i, s in zip(chosen, steps, strict=True)]
        )
        self._low = np.repeat(starts[chosen], counts)
        self._high = np.repeat(starts[np.array(chosen) + 1] - 1, counts)

    def __len__(self) -> int:
        return len(self._current)

    @property
    def fingerprint(self) -> str:
        """Tells windows with other current steps, or episodes cut otherwise, from these."""
        checksum = zlib.crc32(self._low.tobytes(), zlib.crc32(self._current.tobytes()))
        return f"{len(self)}-{checksum:08x}"

    def rows(self, chosen: NDArray[np.int64], offsets: Offsets) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows of the dataset that stand in the windows numbered `chosen` (B,), and which of them are padding: each
        (B, n)."""
        first, last = offsets
        wanted = self._current[chosen, None] + np.arange(first, last + 1)
        rows = wanted.clip(self._low[chosen, None], self._high[chosen, None])
        return rows, rows != wanted
