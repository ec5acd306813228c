"""Episodes that are two: found at the step where the second begins; what only looks like it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from written import written

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
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
    return of_channels(root, [spoil(arm(index)) if index == episode else arm(index) for index in range(8)])


def test_a_world_that_began_anew_inside_an_episode(tmp_path: Path):
    findings = found(tmp_path / "d", lambda states: np.concatenate((states[:60], arm(40)[:30])))
    assert [(f.severity, f.check, f.episode) for f in findings] == [("warning", "jumps", 2)]
    assert "jump at once from step 59 to 60" in findings[0].message


def test_it_is_told_how_often(tmp_path: Path):
    parts = [arm(40 + i)[:70] for i in range(3)]
    (finding,) = found(tmp_path / "d", lambda states: np.concatenate((states, *parts)))
    assert "from step 79 to 80, and 2 times more" in finding.message


def of_channels(root: Path, states: list[NDArray[np.float64]]) -> list[Finding]:
    """What is said of episodes of any number of channels."""
    features = {"observation.state": Feature(dtype="float32", shape=states[0].shape[1:]),
                "action": Feature(dtype="float32", shape=(1,))}  # fmt: skip
    columns = [
        {"observation.state": each.astype(np.float32), "action": np.zeros((len(each), 1), np.float32)}
        for each in states
    ]
    written(root, features, [Episode(columns=each, task="reach") for each in columns], fps=30)
    return list(jumps(gather(root)))


def test_a_cart_of_one_channel_that_began_anew(tmp_path: Path):
    states = [arm(index)[:, :1] for index in range(8)]
    states[2] = np.concatenate((states[2][:60], arm(40)[:30, :1]))
    (finding,) = of_channels(tmp_path / "d", states)
    assert "1 channels of observation.state jump at once from step 59 to 60" in finding.message


def test_four_of_sixteen_channels_began_anew(tmp_path: Path):
    """The arm is put back to where it began, its twelve neighbours go on."""
    states = [np.tile(arm(index), 3)[:, :16] for index in range(8)]
    states[2][60:, :4] = arm(40)[: STEPS - 60, :4]
    (finding,) = of_channels(tmp_path / "d", states)
    assert "from step 59 to 60" in finding.message


def test_a_world_that_begins_anew_all_the_time(tmp_path: Path):
    """Every twelve steps, throughout: nearly a tenth of all steps are jumps."""
    states = [np.concatenate([arm(10 * index + part)[::7] for part in range(6)]) for index in range(8)]
    findings = of_channels(tmp_path / "d", states)
    assert [finding.episode for finding in findings] == list(range(8))


def test_a_blow_is_no_beginning(tmp_path: Path):
    """Four of sixteen channels are a force that is at once there, rings, and goes."""
    states = [np.tile(arm(index), 3)[:, :16] for index in range(8)]
    blow = np.where(np.arange(STEPS) < 40, 0.0, np.exp(-np.arange(STEPS) / 20) * np.cos(2.0 * np.arange(STEPS)))
    for index, each in enumerate(states):
        noise = np.random.default_rng(index).normal(0, 1e-3, (STEPS, 4))
        each[:, :4] = np.outer(np.roll(blow, index), (1.0, -2.0, 3.0, 0.5)) + noise
    assert of_channels(tmp_path / "d", states) == []


def test_grippers_that_shut_at_once(tmp_path: Path):
    """Two fingers in a column of their own, and an encoder's noise."""
    shut = [np.where(np.arange(STEPS) < 30 + index, 0.04, 0.0) for index in range(8)]
    noise = np.random.default_rng(0).normal(0, 1e-5, (8, STEPS, 2))
    assert of_channels(tmp_path / "d", [np.stack((s, -s), axis=1) + n for s, n in zip(shut, noise, strict=True)]) == []


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
