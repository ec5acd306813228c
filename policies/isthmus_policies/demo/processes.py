"""Processes of a demonstration: each in a log file, none outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus_deploy.ros import realtime

_STOP_S = 10.0
_REAL_TIME = ("robot", "node", "echo")


class ProcessError(RuntimeError):
    """A process failed; the message gives the cause and where to read more."""


class Process:
    """`python -m module` with its output in a log file."""

    def __init__(
        self, name: str, module: str, arguments: tuple[object, ...], log: Path, prefix: list[str] | None = None
    ) -> None:
        self.name, self.log = name, log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [*(prefix or []), sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def ended(self, timeout_s: float = 0.0) -> bool:
        """Wait at most this long for its end."""
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def output(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    def end(self, patience_s: float = _STOP_S) -> None:
        """Ask it to end as Ctrl-C would; after some time make it."""
        if self._popen.poll() is None:
            self._popen.terminate()
            if not self.ended(patience_s):
                self._popen.kill()
                self._popen.wait()

    def require_success(self, status: int = 0) -> None:
        """Raises ProcessError with the last line of its output unless it has ended with this status."""
        if self._popen.returncode != status:
            lines = self.output().strip().splitlines() or ["it said nothing"]
            found = self._popen.returncode
            raise ProcessError(f"{self.name} ended with status {found}: {lines[-1]} (see {self.log})")


class Processes:
    """Processes that do not outlive the block. They share a ROS domain of their own, on this machine only."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._started: list[Process] = []
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        os.environ["ROS_DOMAIN_ID"] = str(61 + os.getpid() % 40)  # up to 101 every port is free on Linux
        os.environ["ROS_LOG_DIR"] = str((out / "ros_log").absolute())

    def start(self, name: str, module: str, *arguments: object) -> Process:
        """Start `python -m module arguments…`; its output goes to NAME.log. What controls or is timed runs in real time
        where the machine permits it, as on a robot."""
        prefix = realtime.prefix() if name in _REAL_TIME else []
        with _signals_wait():  # one that came between the two lines would leave the process behind
            process = Process(name, module, arguments, self._out / f"{name}.log", prefix)
            self._started.append(process)
        return process

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.end()


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Ctrl-C and SIGTERM take effect at the end of the block. (Blocking them would be inherited by what it starts.)"""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
