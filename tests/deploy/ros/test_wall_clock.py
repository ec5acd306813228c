"""A wall clock that somebody sets back while the node waits. The machine's own is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros

WAITING = """
import ctypes, threading, time
from isthmus_deploy.ros import ros2
ros2.require()
link = ros2.Link("waiting")
begin = time.time()
threading.Timer(0.3, ctypes.CDLL(None).set_back, (3600,)).start()
for _ in range(60):
    link.wait(0.05)
assert time.time() < begin - 3500, "the clock was not set back"
link.wait(0.05)
print("went on", flush=True)
link.close()
"""


@pytest.fixture(scope="module")
def wall_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that gives the process before which it is loaded a wall clock of its own."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("wall_clock") / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library


def test_a_wait_ends_although_the_clock_is_set_back(domain, wall_clock):
    environment = {**os.environ, "LD_PRELOAD": str(wall_clock)}
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITING], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        output, _ = waiting.communicate(timeout=60.0)
    except subprocess.TimeoutExpired:
        waiting.kill()
        pytest.fail(f"it waits by the wall clock: {waiting.communicate()[0]}")
    assert "went on" in output
