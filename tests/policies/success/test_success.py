"""A camera that tells success: learned from recorded episodes, refused where it is of no use, and a robot with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.robot import Observation, RobotError, RobotFeatures, quantities
from isthmus_policies.networks.cnn import CnnConfig
from isthmus_policies.success.classifier import SuccessClassifier, load_classifier
from isthmus_policies.success.command import main
from isthmus_policies.success.robot import ClassifiedRobot
from isthmus_policies.training.checkpoint import CheckpointError

CAMERA = "observation.images.wrist"
QUICK = ("--size", "32", "32", "--steps", "150", "--shift", "1", "--image.channels", "8", "8", "--between", "3")


def image(done: bool, random: np.random.Generator) -> NDArray[np.uint8]:
    """A bright square is in the corner of the table that it belongs to, or somewhere else."""
    picture = random.integers(60, 90, (32, 32, 3), dtype=np.uint8)
    row, column = (22, 22) if done else (int(random.integers(0, 12)), int(random.integers(0, 22)))
    picture[row : row + 8, column : column + 8] = 230
    return picture


def images(steps: int, success: bool, seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return np.stack([image(success and step >= steps - 6, random) for step in range(steps)])


def write(root: Path, successes: Sequence[bool], *, blind: bool = False) -> Path:
    """Episodes of 20 images; `blind`: whatever they show."""
    features = {CAMERA: Feature(dtype="video", shape=(32, 32, 3)), "action": Feature(dtype="float32", shape=(1,))}
    with DatasetWriter.create(root, fps=10, features=features, robot_type="arm") as writer:
        for seed, success in enumerate(successes):
            frames = images(20, success and not blind, seed)
            writer.append(
                Episode(
                    columns={"action": np.zeros((20, 1), np.float32)},
                    videos={CAMERA: frames},
                    task="put it there",
                    facts={"success": success},
                )
            )
    return root


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("success")
    write(folder / "data", [True, False] * 10)
    main([str(folder / "data"), "--camera", "wrist", "--out", str(folder / "file"), *QUICK])
    return folder / "file"


def test_it_tells_success_when_it_is_there(file: Path):
    classifier = load_classifier(file)
    for seed in range(50, 60):
        classifier.begin()
        said = [classifier.done(each) for each in images(20, True, seed)]
        assert not any(said[:14])
        assert said[-1]
        classifier.begin()
        assert not any(classifier.done(each) for each in images(20, False, seed))


def test_images_of_another_size_are_seen_as_well(file: Path):
    classifier = load_classifier(file)
    said = [classifier.done(each.repeat(3, axis=0).repeat(3, axis=1)) for each in images(20, True, 77)]
    assert said[-1]
    assert not any(said[:14])


def test_one_that_cannot_tell_is_refused(tmp_path: Path):
    """Nothing in the images says that these have succeeded."""
    write(tmp_path / "data", [True, False] * 6, blind=True)
    with pytest.raises(SystemExit, match="the classifier cannot be used: of 2 held-out episodes"):
        main([str(tmp_path / "data"), "--camera", "wrist", "--out", str(tmp_path / "file"), *QUICK])
    assert not (tmp_path / "file").exists()


def test_what_is_not_there_is_named(tmp_path: Path, file: Path):
    data = str(write(tmp_path / "data", [False] * 4))
    with pytest.raises(SystemExit, match="has no camera 'scene'; there are: wrist"):
        main([data, "--camera", "scene", "--out", "file"])
    with pytest.raises(SystemExit, match="no episode succeeded"):
        main([data, "--camera", "wrist", "--out", "file"])
    (tmp_path / "cut").write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_classifier(tmp_path / "cut")


class Camera:
    """A robot that is nothing but a camera."""

    def __init__(self, shown: Sequence[NDArray[np.uint8]], name: str = "wrist") -> None:
        action = quantities({"x": "m"})
        self.features = RobotFeatures(robot_type="arm", columns={}, cameras={name: (32, 32)}, action=action)
        self._shown, self._name, self.readings = list(shown), name, ()

    def reset(self, seed: int) -> None:
        pass

    def observe(self) -> Observation:
        return Observation(columns={}, images={self._name: self._shown.pop(0)}, capture_time_ns={})

    def signals(self, observation: Observation) -> dict[str, NDArray[np.uint8]]:
        return dict(observation.images)

    def act(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        return action

    def close(self) -> None:
        pass


def test_a_robot_is_rewarded_for_success_and_ends_with_it(file: Path):
    robot = ClassifiedRobot(Camera(list(images(20, True, 90))), load_classifier(file))
    assert robot.features.success
    assert robot.features.reward
    robot.reset(0)
    told = []
    for _ in range(20):
        told.append(robot.observe())
        robot.act(np.zeros(1, np.float32))
        if told[-1].ended:
            break
    assert [each.reward for each in told[:-1]] == [0.0] * (len(told) - 1)
    assert told[-1].reward == 1.0
    assert told[-1].success
    assert 16 <= len(told) <= 18, "after three images of success"


def test_success_at_once_stops_the_robot(file: Path):
    robot = ClassifiedRobot(Camera(list(images(20, True, 91)[-3:])), load_classifier(file))
    robot.reset(0)
    with pytest.raises(RobotError, match="sees success before anything was done: put things back"):
        robot.observe()


def test_a_robot_without_the_camera_is_refused(file: Path):
    with pytest.raises(ValueError, match="told by the camera 'wrist', and the robot has: scene"):
        ClassifiedRobot(Camera([], "scene"), load_classifier(file))


def test_hold_is_what_it_waits_for(file: Path):
    classifier = load_classifier(file)
    slower = SuccessClassifier(classifier._network, replace(classifier.seen, hold=5))
    frames = images(20, True, 92)
    first = [[each.done(frame) for frame in frames].index(True) for each in (classifier, slower)]
    assert first[1] == first[0] + 2
    assert classifier.seen.image == CnnConfig(channels=(8, 8))
