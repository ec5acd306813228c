"""Benchmarks are programs, not a package: their folder is put where Python looks."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Their folder, from which modules can be imported."""
    folder = Path(__file__).parents[2] / "benchmarks"
    # What their packages add when they are first imported does not outlive the test that does it.
    monkeypatch.syspath_prepend(folder.parent / "tests" / "deploy" / "ros")
    monkeypatch.syspath_prepend(folder)
    return folder
