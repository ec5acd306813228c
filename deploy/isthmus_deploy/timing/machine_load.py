"""Whether other programs keep this machine so busy that nothing on it can be judged by the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LOOKS, _APART_S = 10, 0.02
_REAL_TIME_NEEDS = 0.5  # cores: robot, node and operator sleep most of the time
_SPEED_BEARS = 0.25  # of all cores: a training wants every one


@dataclass(frozen=True, kw_only=True)
class MachineLoad:
    """What a machine of `cores` cores has to do besides this program: `others` threads, on average, that run or wait
    for a core."""

    others: float
    cores: int

    def real_time_note(self) -> str | None:
        """What to tell the person where less than half a core is left, too little to judge a robot in real time."""
        if self.cores - self.others >= _REAL_TIME_NEEDS:
            return None
        return self._note("a robot in real time cannot be judged on it")

    def speed_note(self) -> str | None:
        """What to tell the person where others want more than a quarter of the cores, so that speeds say little."""
        if self.others <= _SPEED_BEARS * self.cores:
            return None
        return self._note("its speeds cannot be compared with others")

    def _note(self, consequence: str) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return (
            f"this machine is busy: other programs have {self.others:.1f} threads at work on its {cores}, so "
            f"{consequence}"
        )


def runnable() -> int:
    """Threads of the whole machine that run or wait for a core at this moment, the caller among them; proc(5)."""
    return int(Path("/proc/loadavg").read_text().split()[3].split("/")[0])


def machine_load(
    *, own: int = 1, look: Callable[[], int] = runnable, wait: Callable[[float], object] = time.sleep
) -> MachineLoad:
    """Look around for a fifth of a second.

    The system's load average would not do: it is of the last minutes, and so of this program's own training as well.

    Args:
        own: Threads of this program that run meanwhile and are not to be counted.
        look: Counts the threads that run or wait.
        wait: Lets so many seconds pass between two looks.
    """
    counts = []
    for _ in range(_LOOKS):
        wait(_APART_S)
        counts.append(max(0, look() - own))
    return MachineLoad(others=sum(counts) / _LOOKS, cores=os.cpu_count() or 1)
