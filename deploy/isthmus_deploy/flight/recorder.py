"""The control loop's side of the flight recorder: a row a tick, and a process that makes the bag of them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from isthmus_deploy.controller import PolicyController
from isthmus_deploy.flight import flown
from isthmus_deploy.flight.flown import FlownPolicy
from isthmus_deploy.flight.folder import run_name
from isthmus_deploy.flight.ring import Ring
from isthmus_deploy.flight.row import CAUSE_BYTES, STATES, Layout, images_fit
from isthmus_deploy.flight.writer import Job
from isthmus_deploy.safety.chain import Values
from isthmus_deploy.safety.supervisor import ACTIVE
from isthmus_deploy.timing.loop import ControlLoop

_BUFFERED_S = 10.0  # what the ring holds: the other process may stand still for so long, as while it is starting
_LARGEST_RING = 64_000_000  # bytes
_SMALLEST_RING = 16  # rows
_AFTER_NS = 10_000_000_000  # how long every tick is recorded after the robot was last driven
_SELDOM_NS = 1_000_000_000  # from record to record while nothing is driven, which may be for days
_END_S = 5.0
_CODES = {state: code for code, state in enumerate(STATES)}


class FlightRecorder:
    """Records a run. Its process starts with it, and ends when `close` is called or this process ends.

    Args:
        chain: What drives.
        loop: Whose ticks are recorded.
        files: Those of its policies.
        root: The folder of all flights.
        limit: Of all flights together, in bytes.

    Raises:
        OSError: no process can be started.
    """

    def __init__(
        self, chain: PolicyController, loop: ControlLoop, *, files: Sequence[Path], root: Path, limit: int
    ) -> None:
        self._chain, self._loop = chain, loop
        self._drivers = list(chain.drivers.values())
        contract = chain.contract
        layout = Layout(contract, images=images_fit(contract), policies=len(self._drivers))
        self.without_images = layout.images != [signal for signal in contract.signals if signal.dtype == "uint8"]
        """Whether the policy's images are too large to be recorded."""
        now = time.gmtime()
        run = run_name(contract.robot, time.strftime("%Y%m%d-%H%M%S", now), os.getpid())
        self.folder = root / run
        """Where the bag is written."""
        self._row = np.zeros(1, layout.row)
        self._bytes = self._row.view(np.uint8)
        row = self._row[0]
        self._numbers, self._chunks, self._ages = row["numbers"], row["chunks"], row["ages_s"]
        self._has_wanted, self._has_sent = self._row["has_wanted"], self._row["has_sent"]
        self._signals = layout.signal_views(row)
        self._wanted, self._sent = layout.command_views(row, "wanted"), layout.command_views(row, "sent")
        self._names = [signal.name for signal in contract.signals]
        self._ticks = 0
        self._all_until_ns = self._due_ns = 0
        self._told: tuple[object, object] = (None, None)
        self._ring = Ring.create(layout.row, _ring_size(layout.row.itemsize, contract.control_period_s))
        job = Job(
            ring_fd=self._ring.fd,
            contract=contract.to_json(),
            images=bool(layout.images),
            policies=flown.to_json(_flown(chain, files)),
            ramp_s=chain.ramp_s,
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
            epoch_ns=time.time_ns() - time.monotonic_ns(),
            root=str(root.absolute()),
            run=run,
            limit=limit,
        )
        self._process = _start(job)
        os.close(self._ring.fd)  # both processes have the memory itself

    @property
    def lost(self) -> int:
        """Ticks that were not recorded because the other process was too slow."""
        return self._ring.lost

    @property
    def pid(self) -> int:
        """Number of the recorder's process."""
        return self._process.pid

    def record(
        self, now_ns: int, signals: Values, ages_s: Mapping[str, float], sent: Values | None, latency_ns: int = 0
    ) -> None:
        """Record a tick, after it: it copies some numbers, and never waits.

        While nothing is driven, and has not been for 10 s, only one a second and those that change the state.

        Args:
            now_ns: When it began.
            signals: What the chain was given, by name.
            ages_s: Their ages.
            sent: What was sent, by name; None for nothing.
            latency_ns: From the reading to its command's publication; 0 where it answers none.
        """
        self._ticks += 1
        if self._is_due(now_ns):
            self._fill(now_ns, signals, ages_s, sent, latency_ns)
            self._ring.put(self._bytes)

    def problem(self) -> str | None:
        """Why nothing is recorded any more; None while all is well. It asks the system: not in every tick."""
        status = self._process.poll()
        if status is None:
            return None
        if self._ring.ended:
            return self._ring.ended
        return f"its process was ended by {signal.Signals(-status).name}" if status < 0 else "its process has ended"

    def close(self) -> bool:
        """Let the bag be finished. Returns whether it was within 5 s; what was not goes on by itself."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _is_due(self, now_ns: int) -> bool:
        state = self._chain.state
        if state in ACTIVE:
            self._all_until_ns = now_ns + _AFTER_NS
        return now_ns < self._all_until_ns or now_ns >= self._due_ns or state is not self._told[0]

    def _fill(
        self, now_ns: int, signals: Values, ages_s: Mapping[str, float], sent: Values | None, latency_ns: int
    ) -> None:
        chain, loop = self._chain, self._loop
        self._due_ns = now_ns + _SELDOM_NS
        if self._told != (chain.state, chain.cause):
            self._told = (chain.state, chain.cause)
            row = self._row[0]
            row["state"], row["cause"] = _CODES[chain.state], (chain.cause or "").encode()[:CAUSE_BYTES]
        self._ages[:] = [ages_s.get(name, math.inf) for name in self._names]
        for name, view in self._signals.items():
            view[...] = signals[name]
        self._has_wanted[0], self._has_sent[0] = chain.wanted is not None, sent is not None
        for views, values in ((self._wanted, chain.wanted), (self._sent, sent)):
            if values is not None:
                for name, view in views.items():
                    view[...] = values[name]
        self._chunks[:] = [driver.taken_chunks for driver in self._drivers]
        self._numbers[:] = (  # in the order of NUMBERS
            self._ticks,
            now_ns,
            time.time_ns(),
            latency_ns,
            time.monotonic_ns() - now_ns,
            chain.starts,
            self._drivers.index(chain.driver),
            self._drivers.index(chain.selected),
            loop.missed_readings,
            loop.overruns,
            chain.clipped_steps,
            chain.rate_limited_steps,
            self._ring.lost,
        )


def _flown(chain: PolicyController, files: Sequence[Path]) -> list[FlownPolicy]:
    return [
        FlownPolicy(name=name, sha256=driver.digest, file=file.absolute())
        for (name, driver), file in zip(chain.drivers.items(), files, strict=True)
    ]


def _ring_size(row_bytes: int, period_s: float) -> int:
    return max(_SMALLEST_RING, min(math.ceil(_BUFFERED_S / period_s), _LARGEST_RING // row_bytes))


def _start(job: Job) -> subprocess.Popen[bytes]:
    """The recorder's process. It is in a session of its own: what ends this one does not reach it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "isthmus_deploy.flight.writer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(job.ring_fd,),
        start_new_session=True,
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already: `problem` says so
        process.stdin.write(json.dumps(dataclasses.asdict(job)).encode() + b"\n")
        process.stdin.flush()
    return process
