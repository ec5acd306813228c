"""Rows handed from one process to another through shared memory, without a lock: one puts, the other takes."""

from __future__ import annotations

import mmap
import os

import numpy as np

_HEADER = np.dtype([("written", "<u8"), ("taken", "<u8"), ("lost", "<u8"), ("ended", "S256")])


class Ring:
    """A ring of rows of one size in anonymous shared memory, which is freed with the last process that has it.

    Two counters, each written by one side only, say how many rows have been put and taken. A row counts once it is
    whole, so that a process killed while it puts one leaves none that is half written. Where there is no room, a new
    row is lost and counted; nothing waits, and nothing that was put is overwritten.

    Processors with a weak memory model, such as ARM's, may let the other side see a counter before the row. So what
    one side says is acted on only one `look` later, which is some 0.1 s: by then the memory of all cores agrees.

    Args:
        fd: Of the shared memory.
        row: Type of a row.
    """

    def __init__(self, fd: int, row: np.dtype) -> None:
        self.fd, self._row = fd, row
        memory = mmap.mmap(fd, 0)
        self._header = np.frombuffer(memory, _HEADER, 1)[0]
        self._counters = np.frombuffer(memory, "<u8", 3)
        self._slots = np.frombuffer(memory, np.uint8, offset=_HEADER.itemsize).reshape(-1, row.itemsize)
        self.size = len(self._slots)
        """How many rows it holds."""
        self._written = self._lost = self._taken = self._whole = self._seen = 0

    @classmethod
    def create(cls, row: np.dtype, size: int) -> Ring:
        """A ring of `size` rows, all of whose memory is there from the start."""
        fd = os.memfd_create("isthmus-flight-recorder")
        os.ftruncate(fd, _HEADER.itemsize + size * row.itemsize)
        ring = cls(fd, row)
        ring._slots.fill(0)
        return ring

    @property
    def lost(self) -> int:
        """Rows that found no room."""
        return int(self._counters[2])

    @property
    def ended(self) -> str:
        """Why nothing is taken any more; empty where that was not said."""
        return self._header["ended"].decode(errors="replace")

    @ended.setter
    def ended(self, why: str) -> None:
        self._header["ended"] = why.encode()[: _HEADER["ended"].itemsize]

    def put(self, row: np.ndarray) -> None:
        """Append the bytes of one row, (row size,) uint8; they are lost where the ring is full. Allocates nothing."""
        if self._written - int(self._counters[1]) >= self.size:
            self._lost += 1
            self._counters[2] = self._lost
            return
        self._slots[self._written % self.size] = row
        self._written += 1
        self._counters[0] = self._written

    def look(self, *, last: bool = False) -> None:
        """Let `take` take what had been put at the look before this one, and `put` use the room of what was taken.

        Args:
            last: Nobody puts any more: everything can be taken.
        """
        self._counters[1] = self._taken
        written = int(self._counters[0])
        self._whole, self._seen = (written if last else self._seen), written

    def take(self, most: int) -> np.ndarray:
        """A copy of the oldest rows that can be taken, `most` at most."""
        count = min(most, self._whole - self._taken)
        places = np.arange(self._taken, self._taken + count) % self.size
        self._taken += count
        return self._slots[places].reshape(-1).view(self._row)
