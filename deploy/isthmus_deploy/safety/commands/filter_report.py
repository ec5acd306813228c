"""What the stages of the safety filter changed, how often and by how much."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.safety.commands.elements import flat, slices

COUNTED = 1e-5
"""Fraction of a range: a float32 rounded past its limit is not worth a count."""
_KEPT = 256  # calls


class FilterReport:
    """Counts since the start of the process, per stage and command.

    A call only notes what came of it; notes are counted when somebody asks, and before they become too many. What
    range and rate did is worked out then.

    Args:
        commands: In the order of the flat vectors.
        period_s: Time from one call to the next.
        stages: Names of the stages in their order, and whether there is such a stage.
    """

    def __init__(self, commands: Sequence[Command], period_s: float, stages: dict[str, bool]):
        self._commands, self._stages = [item.name for item in commands], stages
        self._starts = [part.start for part in slices(commands)]
        self._minimum, self._maximum = flat(commands, "minimum"), flat(commands, "maximum")
        self._largest_step = flat(commands, "max_rate") * period_s
        self._counted = COUNTED * (self._maximum - self._minimum)
        self._notes: list[tuple[list[float], ...]] = []
        self._steps = np.zeros((len(stages), len(commands)), np.int64)
        self._any_steps = np.zeros(len(stages), np.int64)
        self._largest = np.zeros((len(stages), len(commands)))

    def add(self, *note: list[float]) -> None:
        """Note one call: what was sent before it, what was asked for, and what was left of that after effort,
        acceleration, approach and workspace."""
        if note[-1] != note[1]:
            self._notes.append(note)
            if len(self._notes) == _KEPT:
                self._count()

    def _count(self) -> None:
        if not self._notes:
            return
        last, asked, effort, acceleration, approach, workspace = self._noted()
        ranged = np.clip(asked, self._minimum, self._maximum)
        rate = np.clip(acceleration, last - self._largest_step, last + self._largest_step)
        changes = np.abs(np.diff([asked, ranged, effort, acceleration, rate, approach, workspace], axis=0))
        beyond = np.logical_or.reduceat(changes > self._counted, self._starts, axis=2)
        self._steps += beyond.sum(axis=1)
        self._any_steps += beyond.any(axis=2).sum(axis=1)
        largest = np.maximum.reduceat(changes.max(axis=1), self._starts, axis=1)
        np.maximum(self._largest, largest, out=self._largest)
        self._notes.clear()

    def _noted(self) -> np.ndarray:
        """(rows of a note, notes, elements), without the detour that np.array takes through nested lists."""
        values = chain.from_iterable(chain.from_iterable(self._notes))
        notes, rows = len(self._notes), len(self._notes[0])
        return np.fromiter(values, float).reshape(notes, rows, -1).swapaxes(0, 1)

    def steps(self, stage: str) -> int:
        """Calls in which the stage changed at least one element."""
        self._count()
        return int(self._any_steps[list(self._stages).index(stage)])

    @property
    def counters(self) -> dict[str, float]:
        """Per command and stage: calls in which the stage changed it, and the largest change, in its unit."""
        self._count()
        found: dict[str, float] = {}
        for row, (stage, there) in enumerate(self._stages.items()):
            for column, command in enumerate(self._commands if there else ()):
                found[f"{command}.{stage}.steps"] = int(self._steps[row, column])
                found[f"{command}.{stage}.largest"] = float(self._largest[row, column])
        return found
