"""Windows: the rows around a step that a policy learns from, and what stands beyond an episode's ends."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

Offsets = tuple[int, int]
"""First and last row of a window, both in it, relative to the current step: (-1, 0) is the previous and this one."""


@dataclass(frozen=True, kw_only=True)
class Mask:
    """Which rows of a window count, such as those in which a person drove.

    Args:
        column: A column of one number a row, such as "control".
        values: Those with which a row counts, such as (0,).
        offsets: The rows; beyond an episode's ends none counts.
    """

    column: str
    values: tuple[float, ...]
    offsets: Offsets


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A later moment of the same episode, drawn anew each time: what was reached there was, in hindsight, a goal
    (Andrychowicz et al. 2017, "Hindsight Experience Replay").

    Args:
        columns, cameras: What is seen of it; batches call it "goal.NAME".
        least, most: How many steps later it is. It is never later than the episode's last step, and None sets no other
            bound.

    Raises:
        ValueError: nothing is seen of it, or it would not be later.
    """

    columns: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    least: int = 1
    most: int | None = None

    def __post_init__(self) -> None:
        if not self.columns and not self.cameras:
            raise ValueError("a goal needs at least one column or camera")
        if not 0 <= self.least <= (math.inf if self.most is None else self.most):
            raise ValueError(f"a goal is {self.least} to {self.most} steps later: least must be from 0 to most")


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """What is cut out around each current step. Beyond an episode's ends stand its first and last row, and a mask says
    so, as with LeRobot's delta_timestamps. Where the dataset keeps what was observed after the last action, that is the
    row after the last one of "observation." and "simulation." columns and of cameras so called: it is no padding, and
    what is further behind repeats it. So a learner that asks for the next observation, offset 1, can bootstrap an
    episode that was cut short ("next.truncated").

    Args:
        columns: Name of a column -> offsets of its rows.
        cameras: Name of a video or image feature -> offsets of its frames.
        pad_before, pad_after: How many rows a window, taken as the whole of its columns and cameras, may reach over
            the start and the end of an episode; steps with windows that reach further are no current steps. None sets
            no bound: every step of an episode is a current step.
        masks: Name in a batch -> which rows count.
        goal: A later moment that belongs to each window; None for none.

    Raises:
        ValueError: neither a column nor a camera, offsets that hold no row, negative padding, or a mask by the name of
            something else.
    """

    columns: Mapping[str, Offsets] = field(default_factory=dict)
    cameras: Mapping[str, Offsets] = field(default_factory=dict)
    pad_before: int | None = None
    pad_after: int | None = None
    masks: Mapping[str, Mask] = field(default_factory=dict)
    goal: Goal | None = None

    def __post_init__(self) -> None:
        if not self.columns and not self.cameras:
            raise ValueError("a window needs at least one column or camera")
        masks = {name: mask.offsets for name, mask in self.masks.items()}
        for name, (first, last) in {**self.columns, **self.cameras, **masks}.items():
            if first > last:
                raise ValueError(f"{name!r}: offsets ({first}, {last}) hold no row: the first is behind the last")
        if taken := sorted(masks.keys() & {*self.columns, *self.cameras}):
            raise ValueError(f"a mask cannot be called {taken[0]!r}: that is a column or camera of the window")
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

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        goal = self.goal.columns if self.goal else ()
        return tuple(dict.fromkeys((*self.columns, *(mask.column for mask in self.masks.values()), *goal)))

    @property
    def all_cameras(self) -> tuple[str, ...]:
        """Every camera that is looked at, each once."""
        return tuple(dict.fromkeys((*self.cameras, *(self.goal.cameras if self.goal else ()))))

    @property
    def next_observations(self) -> tuple[str, ...]:
        """Columns and cameras of which rows behind the current one are asked for."""
        return tuple(name for name, (_, last) in {**self.columns, **self.cameras}.items() if last > 0)

    def current_steps(self, length: int, final: Collection[str] = ()) -> range:
        """The current steps of an episode of so many rows, and one more of the columns and cameras in `final`."""
        offsets = {**self.columns, **self.cameras}
        first = min(low for low, _ in offsets.values())
        last = max(high - (name in final) for name, (_, high) in offsets.items())
        start = 0 if self.pad_before is None else -first - self.pad_before
        stop = length if self.pad_after is None else length + self.pad_after - last
        return range(max(start, 0), max(min(stop, length), 0))
