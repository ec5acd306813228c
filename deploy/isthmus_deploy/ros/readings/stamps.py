"""Which messages of a topic are new, by their stamps alone."""

from __future__ import annotations

_STEPPED = 3
"""So many messages in a row with older stamps than one before them are not late: their clock has stepped back."""


class Stamps:
    """Which messages of a topic are new, by their stamps alone: no clock of this machine is asked.

    One with its predecessor's stamp is no new reading: a driver that repeats itself is as good as silent. One that is
    older comes late, over another way or from a replay. But where several in a row are older, their clock has stepped
    back, as a time server makes it, and they are new.
    """

    def __init__(self) -> None:
        self._newest: int | None = None
        self._older: list[int] = []
        self.repeated = 0
        """Messages with the stamp of the one before."""
        self.late = 0
        """Messages that were older than one before and not used."""
        self.steps = 0
        """How often the clock of the stamps has stepped back."""

    def is_new(self, stamp_ns: int | None, *, ordered: bool = True) -> bool:
        """Whether a message with this stamp is a new reading. One without a stamp always is; where they are not
        `ordered`, also an older one."""
        if stamp_ns is None:
            return True
        if self._newest is None or stamp_ns > self._newest or (not ordered and stamp_ns != self._newest):
            self._older.clear()
            self._newest = stamp_ns
            return True
        if stamp_ns == self._newest or stamp_ns in self._older:
            self.repeated += 1
            return False
        self._older.append(stamp_ns)
        if len(self._older) < _STEPPED:
            self.late += 1
            return False
        self._older.clear()
        self.steps += 1
        self._newest = stamp_ns
        return True

    def shift(self, by_ns: int) -> None:
        """The clock of the stamps is known to have been set by so much."""
        if self._newest is not None:
            self._newest += by_ns
        self._older.clear()
