"""LeRobot itself beside our datasets, where it is installed: `make test-lerobot` does that, in 8 GB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".lerobot/bin/python"


@pytest.mark.skipif(not PYTHON.exists(), reason="LeRobot is not installed: make test-lerobot does that")
def test_lerobot_reads_trains_on_and_appends_to_what_is_made_here(tmp_path: Path):
    command = [sys.executable, str(ROOT / "benchmarks/with_lerobot.py"), "--episodes", "2"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
