"""What the stages of the safety filter changed, how often and by how much."""

from collections.abc import Sequence

import numpy as np

from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.safety.commands.elements import flat, slices

COUNTED = 1e-5
"""Fraction of a range: a float32 rounded past its limit is not worth a count."""
_KEPT = 256  # calls


class FilterReport:
    """Counts since the start of the process, per stage and command.

    A call only notes what it changed; notes are counted when somebody asks, and before they become too many.

    Args:
        commands: In the order of the flat vectors.
        stages: Names of the stages, in their order.
    """

    def __init__(self, commands: Sequence[Command], stages: Sequence[str]):
        self._commands, self._stages = [item.name for item in commands], list(stages)
        self._starts = [part.start for part in slices(commands)]
        self._counted = COUNTED * (flat(commands, "maximum") - flat(commands, "minimum"))
        self._changes = np.zeros((_KEPT, len(stages), len(self._counted)))
        self._kept = 0
        self._steps = np.zeros((len(stages), len(commands)), np.int64)
        self._any_steps = np.zeros(len(stages), np.int64)
        self._largest = np.zeros((len(stages), len(commands)))

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        """Note one call: (stages, elements) before and after each stage."""
        np.subtract(after, before, out=self._changes[self._kept])
        self._kept += 1
        if self._kept == _KEPT:
            self._count()

    def _count(self) -> None:
        changes = np.abs(self._changes[: self._kept])
        beyond = np.logical_or.reduceat(changes > self._counted, self._starts, axis=2)
        self._steps += beyond.sum(axis=0)
        self._any_steps += beyond.any(axis=2).sum(axis=0)
        largest = np.maximum.reduceat(changes.max(axis=0, initial=0.0), self._starts, axis=1)
        np.maximum(self._largest, largest, out=self._largest)
        self._kept = 0

    def steps(self, stage: str) -> int:
        """Calls in which the stage changed at least one element; 0 for a stage that there is not."""
        self._count()
        return int(self._any_steps[self._stages.index(stage)]) if stage in self._stages else 0

    @property
    def counters(self) -> dict[str, float]:
        """Per command and stage: calls in which the stage changed it, and the largest change, in its unit."""
        self._count()
        found: dict[str, float] = {}
        for row, stage in enumerate(self._stages):
            for column, command in enumerate(self._commands):
                found[f"{command}.{stage}.steps"] = int(self._steps[row, column])
                found[f"{command}.{stage}.largest"] = float(self._largest[row, column])
        return found
