"""What a process prints does not hold it up where nobody reads it: a full pipe, or a launcher that hangs."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

_LAST_S = 0.5  # how long the last lines are waited for at the end
_CHUNK = 65536


@contextmanager
def unblocked() -> Iterator[int]:
    """Meanwhile, standard output and standard error are pipes that never block, and threads hand on what comes through
    them. Where nobody takes it from these, lines are lost. Gives the descriptor of the real standard error, for a child
    that outlives this process.

    A line of Python's own `print` that finds the pipe full raises BlockingIOError; rclpy's loggers lose it silently.
    """
    with ExitStack() as stack:
        sys.stdout.flush()
        sys.stderr.flush()
        stack.enter_context(_unblocked(1))
        yield stack.enter_context(_unblocked(2))
        sys.stdout.flush()
        sys.stderr.flush()


@contextmanager
def _unblocked(number: int) -> Iterator[int]:
    kept = os.dup(number)
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    os.dup2(sink, number)
    os.close(sink)
    # A daemon: one that hangs in a full pipe does not keep the process from ending.
    thread = threading.Thread(target=_hand_on, args=(source, kept), name=f"output {number}", daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        os.dup2(kept, number)  # the last end of the pipe to write into is closed with that, and the thread ends
        thread.join(_LAST_S)
        if not thread.is_alive():
            os.close(source)
            os.close(kept)


def _hand_on(source: int, target: int) -> None:
    with suppress(OSError):  # whoever read it is gone
        while data := os.read(source, _CHUNK):
            while data:
                data = data[os.write(target, data) :]
