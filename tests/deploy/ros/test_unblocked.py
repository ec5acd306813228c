"""A process whose output nobody reads goes on; where somebody reads, every line arrives."""

from __future__ import annotations

import subprocess
import sys

TALKING = """
import os, sys
from isthmus_deploy.ros.unblocked import unblocked
with unblocked():
    for line in range(int(sys.argv[1])):
        try:
            os.write(2, b"%06d " % line + 92 * b"x" + b"\\n")
        except BlockingIOError:
            pass
        sys.stdin.readline() if line % 100 == 99 and sys.argv[2] == "paced" else None
print("at the end", flush=True)
"""


def talking(lines: int, how: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", TALKING, str(lines), how]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_nobody_reads():
    """Megabytes, where a pipe holds 64 kB."""
    with talking(50_000, "at once") as process:
        assert process.wait(timeout=60) == 0


def test_somebody_reads():
    """All of it, also what was printed last."""
    with talking(1_000, "paced") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        heard = []
        for _ in range(10):
            heard += [process.stderr.readline() for _ in range(100)]
            process.stdin.write(b"\n")
            process.stdin.flush()
        assert [int(line[:6]) for line in heard] == list(range(1_000))
        assert process.wait(timeout=60) == 0
