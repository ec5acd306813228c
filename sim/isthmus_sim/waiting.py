"""How torch's threads wait: they turn in a loop while the cores are theirs, and sleep beside other programs.

torch's wheels for Linux run on GNU OpenMP. Its threads turn GOMP_SPINCOUNT times at every wait before they sleep, but
not at all while it has more threads than there are cores (and OMP_WAIT_POLICY is PASSIVE; libgomp's manual,
GOMP_SPINCOUNT). That is decided anew at every wait. So a process that shall sleep keeps some threads of OpenMP more
than it has cores; they do nothing. Turning beside other programs burns the time that the thread which is waited for
needs; sleeping on an idle machine costs as much again in being woken. Measured in docs/results/training_speed.md.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

BUSY_CORES = 0.25
"""Cores that other programs use: with more the machine is not this process's own."""
_MAPS, _STAT = Path("/proc/self/maps"), Path("/proc/stat")
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_WORKING = (0, 1, 2, 5, 6)  # of a core's times: user, nice, system, irq, softirq (proc(5)); idle, iowait, steal are not


class Waiting:
    """Whether threads of this process's GNU OpenMP sleep at once when they wait. Where torch has another OpenMP,
    nothing changes here: OMP_WAIT_POLICY has told that one to sleep."""

    def __init__(self) -> None:
        self.settled = False
        """Whether the person has said how they wait: then nothing changes here either."""
        self._crowd: _Crowd | None = None

    @property
    def asleep(self) -> bool:
        """Whether torch's threads sleep while they wait."""
        return self._crowd is not None

    def sleep(self) -> None:
        """Let them sleep from now on."""
        if not self.settled and self._crowd is None and (library := _openmp()) is not None:
            self._crowd = _Crowd(library, len(os.sched_getaffinity(0)) + 1)

    def turn(self) -> None:
        """Let them turn for a while first, from now on."""
        if self._crowd is not None:
            self._crowd.disperse()
            self._crowd = None

    def suit(self, others: float) -> None:
        """Sleep or turn, as it suits a machine on which other programs use so many cores."""
        if others > BUSY_CORES:
            self.sleep()
        else:
            self.turn()


class _Crowd:
    """Threads of OpenMP that do nothing, in a team of their own."""

    def __init__(self, openmp: ctypes.CDLL, size: int) -> None:
        gathered, self._dispersed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._gather, args=(openmp, size, gathered), daemon=True)
        self._thread.start()
        gathered.wait()

    def _gather(self, openmp: ctypes.CDLL, size: int, gathered: threading.Event) -> None:
        """A parallel region of so many threads makes the team, which lasts as long as the thread that asked for it.
        What the region computes, how many threads there are, nobody reads."""
        nothing = ctypes.cast(openmp.omp_get_num_threads, ctypes.c_void_p)
        openmp.GOMP_parallel(nothing, None, ctypes.c_uint(size), ctypes.c_uint(0))
        gathered.set()
        self._dispersed.wait()

    def disperse(self) -> None:
        """Let the team end."""
        self._dispersed.set()
        self._thread.join()


def _openmp() -> ctypes.CDLL | None:
    """The GNU OpenMP that this process has loaded; None where there is none."""
    found = re.search(r"/\S*libgomp\S*", _MAPS.read_text()) if _MAPS.exists() else None
    return ctypes.CDLL(found[0]) if found else None


class OtherPrograms:
    """How many of the cores that this process may use other programs have used, from one question to the next.

    Args:
        read: Gives the text of /proc/stat.
        own: Gives the processor time that this process has used, s.
    """

    def __init__(
        self,
        read: Callable[[], str] = lambda: _STAT.read_text() if _STAT.exists() else "",
        own: Callable[[], float] = lambda: sum(os.times()[:2]),
    ) -> None:
        self._read, self._own = read, own
        self._cores = os.sched_getaffinity(0)
        self._before = self._now()

    def cores(self) -> float:
        """Since the last question; 0 when no time has passed."""
        before, self._before = self._before, self._now()
        working, passed, own = (now - then for now, then in zip(self._before, before, strict=True))
        return max(0.0, working - own) * len(self._cores) / passed if passed > 0.0 else 0.0

    def _now(self) -> tuple[float, float, float]:
        """Time of all these cores that was worked in, that has passed, and that this process has used; s."""
        times = [list(map(int, line.split()[1:9])) for line in self._read().splitlines() if self._is_core(line)]
        working = sum(each[kind] for each in times for kind in _WORKING)
        return _TICK_S * working, _TICK_S * sum(map(sum, times)), self._own()

    def _is_core(self, line: str) -> bool:
        found = re.match(r"cpu(\d+) ", line)
        return found is not None and int(found[1]) in self._cores
