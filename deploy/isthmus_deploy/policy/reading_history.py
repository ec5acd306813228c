"""The last readings of a robot, one a control period: what a policy of chunks infers from."""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np


class ReadingHistory:
    """Keeps copies. Where an episode begins, its first readings stand for those before.

    Args:
        names: Signals to keep.
        observed: Readings of each.
    """

    def __init__(self, names: Sequence[str], observed: int):
        self._names = names
        self._observed = observed
        self._rows: deque[dict[str, np.ndarray]] = deque(maxlen=observed)

    def clear(self) -> None:
        """An episode begins."""
        self._rows.clear()

    def see(self, signals: Mapping[str, np.ndarray], periods: int) -> None:
        """Take the readings of a control period, by name and unbatched, `periods` after the last ones.

        In periods that were skipped, what was read before was the newest there was. Readings of the same period as the
        last ones replace them.
        """
        row = {name: np.array(signals[name]) for name in self._names}
        if not self._rows:
            self._rows.extend([row] * self._observed)
            return
        before = self._rows[-1]
        if periods == 0:
            self._rows.pop()
        self._rows.extend([before] * min(periods - 1, self._observed))
        self._rows.append(row)

    def windows(self) -> dict[str, np.ndarray]:
        """(observed, *shape) by name, oldest first: new arrays. There must be a reading."""
        return {name: np.stack([row[name] for row in self._rows]) for name in self._names}
