"""A robot that cannot tell success, and a classifier that looks on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from isthmus_datasets.recording.robot import HeldRobot, Observation, RobotError, RobotFeatures
from isthmus_policies.demonstrate.demonstration import MeasuredRobot
from isthmus_policies.success.classifier import SuccessClassifier


class ClassifiedRobot:
    """The robot, whose observations tell success and a reward of 1 for it, as the classifier sees it.

    Raises:
        ValueError: the robot has no such camera.
    """

    def __init__(self, robot: MeasuredRobot, classifier: SuccessClassifier) -> None:
        self._robot, self._classifier = robot, classifier
        camera = classifier.seen.camera
        if camera not in robot.features.cameras:
            there = ", ".join(robot.features.cameras) or "none"
            raise ValueError(f"success is told by the camera {camera!r}, and the robot has: {there}")
        self.features: RobotFeatures = replace(robot.features, reward=True, success=True, simulator_state=0)
        self._acted = False

    def reset(self, seed: int) -> None:
        """As the robot's; the classifier begins anew."""
        self._robot.reset(seed)
        self._classifier.begin()
        self._acted = False

    def observe(self) -> Observation:
        """Raises RobotError where success is seen before anything was done: the scene was not put back, or the
        classifier is wrong."""
        seen = self._robot.observe()
        done = self._classifier.done(seen.images[self._classifier.seen.camera])
        if self._classifier.shows and not self._acted:
            raise RobotError("the classifier sees success before anything was done: put things back, or train it anew")
        return replace(seen, success=done, reward=float(done), ended=done or seen.ended)

    @property
    def readings(self) -> tuple[str, ...]:
        """As the robot's."""
        return self._robot.readings

    def signals(self, observation: Observation) -> Mapping[str, NDArray[Any]]:
        """As the robot's."""
        return self._robot.signals(observation)

    def act(self, action: NDArray[Any]) -> NDArray[Any]:
        """As the robot's."""
        self._acted = True
        return self._robot.act(action)

    def hold(self) -> None:
        """As the robot's, where it has that."""
        if isinstance(self._robot, HeldRobot):
            self._robot.hold()

    def close(self) -> None:
        """As the robot's."""
        self._robot.close()
