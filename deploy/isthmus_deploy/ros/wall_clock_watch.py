"""Notices when somebody sets this machine's wall clock, to wake what waits by it.

The rclpy of the wheels is built for C libraries without `pthread_cond_clockwait`, so its executors wait for a moment of
the wall clock although they ask for a steady one. When that clock is set back by an hour while they wait, they wait for
an hour, unless a message comes: a robot whose sensors have just died would go on with its last command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import threading
import time
from collections.abc import Callable

_NON_BLOCKING = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE, _CANCEL_ON_SET = 1, 2  # timerfd_create(2): TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET


class _Moment(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


class _Timer(ctypes.Structure):
    """`struct itimerspec`: it never comes again, and not for a hundred years."""

    _fields_ = (("interval", _Moment), ("value", _Moment))


class WallClockWatch:
    """A thread that sleeps until the wall clock is set, which the kernel tells (timerfd_create(2)).

    Args:
        on_set: Called from that thread each time.

    Raises:
        OSError: this system has no such timer.
    """

    def __init__(self, on_set: Callable[[], object]) -> None:
        self._on_set = on_set
        libc = ctypes.CDLL(None, use_errno=True)
        self._timer = _called(libc.timerfd_create(time.CLOCK_REALTIME, _NON_BLOCKING))
        far = _Timer(_Moment(0, 0), _Moment(int(time.time()) + 100 * 365 * 86400, 0))
        _called(libc.timerfd_settime(self._timer, _ABSOLUTE | _CANCEL_ON_SET, ctypes.byref(far), None))
        self._end = os.eventfd(0)
        self._thread = threading.Thread(target=self._watch, name="wall clock watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        os.eventfd_write(self._end, 1)
        self._thread.join()
        os.close(self._timer)
        os.close(self._end)

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._timer, select.POLLIN)
        poll.register(self._end, select.POLLIN)
        while self._end not in dict(poll.poll()):
            with contextlib.suppress(OSError):  # ECANCELED: so it is told
                os.read(self._timer, 8)
            self._on_set()


def _called(result: int) -> int:
    """What a function of the C library gave. Raises OSError where it failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
