"""The flight recorder's process: takes rows from the ring and writes the bag, until the control loop's process ends.

It is started by `FlightRecorder`, which writes a `Job` to its standard input and holds that open. However the other
process ends, `kill -9` included, the system closes it, and what is left in the ring is written and the file finished.
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.flight import flown
from isthmus_deploy.flight.folder import FlightFolder
from isthmus_deploy.flight.mcap import McapWriter
from isthmus_deploy.flight.ring import Ring
from isthmus_deploy.flight.row import STATES, Layout
from isthmus_deploy.flight.topics import Messages

METADATA = "isthmus"
"""Name of the bag's metadata record."""
_EVERY_MS = 400  # rows wait at most twice this long: a row is taken at the second look
_CHUNK_BYTES = 4_000_000
_MESSAGES_BYTES = 800  # what the messages of a row and their index take beside the row itself, at most
_NICE = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What to record, and where."""

    ring_fd: int
    contract: str
    """As JSON."""
    images: bool
    policies: str
    """As JSON."""
    ramp_s: float
    started: str
    """ISO 8601 time."""
    epoch_ns: int
    """What the wall clock was when the monotonic one was 0."""
    root: str
    run: str
    limit: int
    """The largest size of all flights together, in bytes."""


class BagWriter:
    """Writes a run's rows into the files of its bag.

    Args:
        job: What to record.
    """

    def __init__(self, job: Job) -> None:
        policies = len(flown.from_json(job.policies))
        self._layout = Layout(Contract.from_json(job.contract), images=job.images, policies=policies)
        self.row = self._layout.row
        """Type of a row."""
        self._epoch_ns = job.epoch_ns
        self._messages = Messages(self._layout, job.epoch_ns)
        self._folder = FlightFolder(Path(job.root), job.run, job.limit)
        self._metadata = {
            METADATA: {
                "contract": job.contract,
                "policies": job.policies,
                "ramp_s": repr(job.ramp_s),
                "robot": self._layout.contract.robot,
                "started": job.started,
                "images": str(job.images).lower(),
                "states": " ".join(state.value for state in STATES),
            }
        }
        largest = min(_CHUNK_BYTES, self._folder.file_size // 4)
        self.most = max(1, largest // (self.row.itemsize + _MESSAGES_BYTES))
        """How many rows to write at a time, at most."""
        self._file: McapWriter | None = None
        self._close: Callable[[], None] = lambda: None

    def write(self, rows: np.ndarray) -> None:
        """Append rows (n,), from one to `most`. Raises OSError."""
        size = rows.nbytes + len(rows) * _MESSAGES_BYTES
        if self._file is not None and self._file.size + size > self._folder.file_size:
            self.finish()
        if self._file is None:
            self._messages = Messages(self._layout, self._epoch_ns)  # each file tells the state, and has the images
            file = self._folder.open_next()
            self._close = file.close
            self._file = McapWriter(file, self._metadata, self._messages.channels)
        self._file.write(self._messages.of(rows))

    def finish(self) -> None:
        """End the file that is open. Raises OSError."""
        if self._file is not None:
            self._file.finish()
            self._close()
        self._file = None


def main() -> None:
    """Entry point of `python -m isthmus_deploy.flight.writer`."""
    _step_back()
    line = sys.stdin.buffer.readline()
    if not line:
        return
    job = Job(**json.loads(line))
    writer = BagWriter(job)
    ring = Ring(job.ring_fd, writer.row)
    try:
        _record(ring, writer)
    except OSError as error:
        ring.ended = f"cannot write {error.filename or job.root}: {error.strerror}"
        raise SystemExit(1) from None


def _record(ring: Ring, writer: BagWriter) -> None:
    """Until nobody holds the standard input open any more."""
    source = select.poll()
    source.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
    ended = False
    while not ended:
        ended = bool(source.poll(_EVERY_MS))
        ring.look(last=ended)
        while len(rows := ring.take(writer.most)):
            writer.write(rows)
    writer.finish()


def _step_back() -> None:
    """Leave the cores to the control loop, whose real-time scheduling is inherited, and outlive what ends it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)


if __name__ == "__main__":
    main()
