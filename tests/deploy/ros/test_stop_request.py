"""Signals by which a process is ended are waited for by one that has a robot to lay down."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

WAITING = """
import signal, sys
from isthmus_deploy.ros.ros2 import StopRequest
stop = StopRequest(again=sys.argv[1] == "again")
print("ready", flush=True)
while not stop:
    signal.pause()
print(stop.signal, flush=True)
sys.stdin.readline()
print("at rest", flush=True)
"""


@pytest.fixture
def waiting(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that has been asked nothing yet; after its first signal it takes until it is told a line to end."""
    command = [sys.executable, "-c", WAITING, request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize("waiting", ["not again"], indirect=True)
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_no_second_signal_cuts_the_end_short(waiting: subprocess.Popen[str], first: signal.Signals):
    waiting.send_signal(first)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == f"{first.name}\n"
    for second in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        waiting.send_signal(second)
    out, _ = waiting.communicate("\n")
    assert (out, waiting.returncode) == ("at rest\n", 0)


@pytest.mark.parametrize("waiting", ["again"], indirect=True)
def test_elsewhere_a_second_interrupt_ends_it_at_once(waiting: subprocess.Popen[str]):
    waiting.send_signal(signal.SIGTERM)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "SIGTERM\n"
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait() == -signal.SIGINT
