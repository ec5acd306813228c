"""A small dataset that is as it should be, for tests to spoil."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.tools.checks.suite import run_checks
from isthmus_datasets.tools.scan.gather import gather

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

FPS, STEPS, EPISODES = 10, 60, 10
JOINTS = ("shoulder", "elbow", "gripper")
FEATURES: Features = {
    "action": Feature(dtype="float32", shape=(3,), names=JOINTS),
    "observation.state": Feature(dtype="float32", shape=(3,), names=JOINTS),
    "capture_time_ns": Feature(dtype="int64", shape=(2,), names=("state", "camera")),
    "camera": Feature(dtype="video", shape=(32, 32, 3)),
}


class Demonstrations:
    """Makes episodes of an arm whose joints follow their targets two steps later, and looks at what was found."""

    fps, steps, features = FPS, STEPS, FEATURES

    @staticmethod
    def episodes(count: int = EPISODES, steps: int = STEPS) -> list[Episode]:
        return [_episode(index, steps) for index in range(count)]

    @staticmethod
    def save(root: Path, episodes: list[Episode], features: Features = FEATURES) -> Path:
        """With those of the columns and videos that `features` has. Not flushed: no crash is looked at here."""
        with mock.patch("os.fsync"), DatasetWriter.create(root, fps=FPS, features=features) as writer:
            for episode in episodes:
                columns = {name: values for name, values in episode.columns.items() if name in features}
                videos = {name: frames for name, frames in episode.videos.items() if name in features}
                writer.append(replace(episode, columns=columns, videos=videos))
        return root

    @staticmethod
    def check(root: Path) -> tuple[list[tuple[str, str, int | None]], str]:
        """Severity, check and episode of every finding; and all messages."""
        findings = run_checks(gather(root))
        found = [(finding.severity, finding.check, finding.episode) for finding in findings]
        return found, "\n".join(finding.message for finding in findings)


def _episode(index: int, steps: int) -> Episode:
    rng = np.random.default_rng(index)
    time = np.arange(-2, steps) / FPS
    waves = [sum(np.sin(f * time + p) for f, p in rng.uniform((1, 0), (5, 6), (4, 2))) for _ in JOINTS]
    target = np.stack(waves, axis=1) * 0.3
    state = target[:-2]
    frames = np.full((steps, 32, 32, 3), 90, np.uint8)
    for frame, (x, y, _) in zip(frames, state, strict=True):
        row, column = (np.clip((x, y), -1.2, 1.2) * 10 + 12).astype(int)
        frame[row : row + 8, column : column + 8] = (240, 200, 30)
    clock = (
        10**12 * (index + 1) + np.arange(steps)[:, None] * (10**9 // FPS) + rng.normal(0, 2e6, (steps, 2)).astype(int)
    )
    columns = {"action": target[2:], "observation.state": state + rng.normal(0, 0.002, state.shape)}
    return Episode(
        columns={name: values.astype(np.float32) for name, values in columns.items()} | {"capture_time_ns": clock},
        videos={"camera": frames},
        task="reach" if index % 2 else "return",
        facts={"operator": "Ada" if index < 5 else "Bob", "success": index != 3},
    )


@pytest.fixture(scope="session")
def demonstrations() -> Demonstrations:
    return Demonstrations()


@pytest.fixture(scope="session")
def clean_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return Demonstrations.save(tmp_path_factory.mktemp("checked") / "arm", Demonstrations.episodes())


@pytest.fixture
def dataset(clean_dataset: Path, tmp_path: Path) -> Path:
    """To be spoilt."""
    return Path(shutil.copytree(clean_dataset, tmp_path / "arm"))
