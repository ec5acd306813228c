"""Signals by which a process is ended are waited for by one that has a robot to lay down."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

WAITING = """
import signal, socket, sys
from isthmus_deploy.ros.ros2 import StopRequest
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2] == "nohup" else signal.SIG_DFL)
heard, told = socket.socketpair()
told.setblocking(False)
signal.set_wakeup_fd(told.fileno())  # a signal that comes before it is waited for is not missed
stop = StopRequest(again=sys.argv[1] == "again")
print("ready", flush=True)
while not stop:
    heard.recv(1)
print(stop.signal, flush=True)
sys.stdin.readline()
print("at rest", flush=True)
"""


@pytest.fixture
def waiting(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process that has been asked nothing yet; after its first signal it takes until it is told a line to end."""
    command = [sys.executable, "-c", WAITING, *request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize("waiting", [("once", "terminal")], indirect=True)
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_no_second_signal_cuts_the_end_short(waiting: subprocess.Popen[str], first: signal.Signals):
    waiting.send_signal(first)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == f"{first.name}\n"
    for second in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        waiting.send_signal(second)
    out, _ = waiting.communicate("\n", timeout=60)
    assert (out, waiting.returncode) == ("at rest\n", 0)


@pytest.mark.parametrize("waiting", [("again", "terminal")], indirect=True)
def test_elsewhere_a_second_interrupt_ends_it_at_once(waiting: subprocess.Popen[str]):
    waiting.send_signal(signal.SIGTERM)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "SIGTERM\n"
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(timeout=60) == -signal.SIGINT


@pytest.mark.parametrize("waiting", [("once", "nohup")], indirect=True)
def test_what_nohup_began_outlives_its_terminal(waiting: subprocess.Popen[str]):
    waiting.send_signal(signal.SIGHUP)
    waiting.send_signal(signal.SIGTERM)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "SIGTERM\n"
