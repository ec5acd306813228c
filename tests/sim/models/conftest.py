"""Users' models, written and loaded."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus_sim.description import RobotDescription
from isthmus_sim.models.legged import load_legged
from isthmus_sim.models.reading import LoadedModel
from isthmus_sim.models.robot_file import RobotFile
from isthmus_sim.models.user_robot import user_robot
from isthmus_sim.robots.quadruped.description import FEET, JOINTS, MOTORS, ROBOT

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

Load = Callable[..., LoadedModel]
Dog = Callable[..., tuple[RobotDescription, tuple[str, ...]]]
DRIVES = {name: MOTORS[name.split("_")[1]] for name in JOINTS}
ENDS = {foot: f"{foot}_calf_joint" for foot in FEET}
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
def dog(write: Callable[..., Path]) -> Dog:
    """As `write`, and what else a robot file says -> the quadruped with that model, and what was said of it."""

    def dog(text: str, *edits: tuple[str, str], **fields) -> tuple[RobotDescription, tuple[str, ...]]:
        path = write(text, *edits)
        file = RobotFile(path=path.with_suffix(".toml"), name="dog", base="quadruped", model=str(path))
        return user_robot(replace(file, **fields), ROBOT)

    return dog


@pytest.fixture
def load(write: Callable[..., Path]) -> Load:
    """As `write`, and how to load it -> the quadruped's joints and feet on that model."""
    return lambda text, *edits, **options: load_legged(str(write(text, *edits)), DRIVES, ENDS, **options)
