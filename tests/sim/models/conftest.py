"""Users' models, written and loaded."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus_sim.models.reading import LoadedModel
from isthmus_sim.robots.quadruped.model import load_model

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

Load = Callable[..., LoadedModel]
CASES = Path(__file__).parents[4] / "shared" / "cases" / "models"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Text of a model, and what in it to replace by what -> its file."""

    def write(text: str, *edits: tuple[str, str]) -> Path:
        for old, new in edits:
            assert re.search(old, text)
            text = re.sub(old, new, text, count=1)
        path = tmp_path / ("dog.urdf" if text.startswith("<robot") else "dog.xml")
        path.write_text(text)
        return path

    return write


@pytest.fixture
def load(write: Callable[..., Path]) -> Load:
    """As `write`, and how to load it -> the quadruped on that model."""
    return lambda text, *edits, **options: load_model(str(write(text, *edits)), **options)
