"""Episodes that are two: found at the step where the second begins; what only looks like it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.tools.checks.jumps import jumps
from isthmus_datasets.tools.scan.finding import Finding
from isthmus_datasets.tools.scan.gather import gather

STEPS, CHANNELS = 80, 6
Spoil = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def arm(index: int) -> NDArray[np.float64]:
    """(STEPS, CHANNELS): joints that go from near a pose to somewhere, smoothly, with an encoder's noise."""
    random = np.random.default_rng(index)
    start, end = random.normal(0, 0.05, CHANNELS), random.uniform(-1, 1, CHANNELS)
    way = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, STEPS))[:, None]
    return start + way * (end - start) + random.normal(0, 0.0005, (STEPS, CHANNELS))


def found(root: Path, spoil: Spoil, episode: int = 2) -> list[Finding]:
    """What is said of eight episodes, one of them spoilt."""
    features = {"observation.state": Feature(dtype="float32", shape=(CHANNELS,)),
                "action": Feature(dtype="float32", shape=(1,))}  # fmt: skip
    with DatasetWriter.create(root, fps=30, features=features) as writer:
        for index in range(8):
            states = spoil(arm(index)) if index == episode else arm(index)
            columns = {"observation.state": states.astype(np.float32), "action": np.zeros((len(states), 1), np.float32)}
            writer.append(Episode(columns=columns, task="reach"))
    return list(jumps(gather(root)))


def test_a_world_that_began_anew_inside_an_episode(tmp_path: Path):
    findings = found(tmp_path / "d", lambda states: np.concatenate((states[:60], arm(40)[:30])))
    assert [(f.severity, f.check, f.episode) for f in findings] == [("warning", "jumps", 2)]
    assert "jump at once from step 59 to 60" in findings[0].message


def test_it_is_told_how_often(tmp_path: Path):
    parts = [arm(40 + i)[:70] for i in range(3)]
    (finding,) = found(tmp_path / "d", lambda states: np.concatenate((states, *parts)))
    assert "from step 79 to 80, and 2 times more" in finding.message


def wrapped(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two joints cross half a turn."""
    states[:, :2] += np.linspace(2.5, 4.0, STEPS)[:, None]
    return (states + np.pi) % (2 * np.pi) - np.pi


def flipped(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four channels are a quaternion that is told with the other sign from the middle on."""
    quaternion = np.full(4, 0.5) + 0.01 * states[:, :4]
    states[:, :4] = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    states[STEPS // 2 :, :4] *= -1
    return states


def snapped(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """One channel is a gripper that shuts in a step."""
    states[:, 5] = np.where(np.arange(STEPS) < 50, 1.0, -1.0)
    return states


def hurried(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """A hand that is four times as fast for a while."""
    return np.concatenate((states[:30], states[30:60:4], states[60:]))


@pytest.mark.parametrize("look_alike", [lambda states: states, wrapped, flipped, snapped, hurried])
def test_what_only_looks_like_it(tmp_path: Path, look_alike: Spoil):
    assert found(tmp_path / "d", look_alike) == []
