"""The episode in progress: its rows in memory, its images on their way to the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode, Scalar
from isthmus_datasets.format.features import Features
from isthmus_datasets.format.final import final_features
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.recording.encoding.episode_videos import EpisodeVideos
from isthmus_datasets.recording.robot import Observation, RobotFeatures
from isthmus_datasets.recording.robot_columns import camera_name, checked, dataset_features, observed


class EpisodeBuffer:
    """Rows are put together piece by piece, since a step's columns are not known at the same time.

    Args:
        robot: What is recorded.
        videos: Where its images go.
    """

    def __init__(self, robot: RobotFeatures, videos: EpisodeVideos) -> None:
        features = dataset_features(robot)
        self._columns: Features = {name: feature for name, feature in features.items() if not feature.is_video}
        self._cameras = {name: features[camera_name(name)] for name in robot.cameras}
        self._rows: dict[str, list[NDArray[Any]]] = {name: [] for name in self._columns}
        self._videos = videos
        self._robot = robot
        self._final: dict[str, NDArray[Any]] | None = None

    @property
    def length(self) -> int:
        """Steps begun."""
        return len(self._rows["action"])

    def add(self, values: Mapping[str, Any]) -> None:
        """Some columns of the current step: copied. Raises DatasetError when they are not as declared."""
        for name, value in values.items():
            self._rows[name].append(checked(name, self._columns[name], value))

    def add_images(self, images: Mapping[str, NDArray[np.uint8]]) -> None:
        """Those of the current step: copied. Waits while the encoder is behind.

        Raises:
            DatasetError: an image is not as declared.
            VideoError: it cannot be encoded.
        """
        self._check(images)
        self._videos.write(images)

    def finish(self, observation: Observation) -> None:
        """What the last action has led to: copied. Raises DatasetError when it is not as declared."""
        seen = observed(self._robot, observation)
        columns = {name: checked(name, self._columns[name], seen[name]) for name in seen if name != "capture_time_ns"}
        self._final = columns | self._copied(observation.images)

    def cut(self, observation: Observation) -> None:
        """End the episode, truncated, before the newest step, since nobody has seen what that led to. The observation
        that it began upon is the final one. Raises DatasetError when an image of it is not as declared."""
        complete = len(self._rows["next.done"])
        acted = len(self._rows["sent_action"]) > complete  # and so its images have been handed on
        images = self._videos.take_back() if acted else observation.images
        seen = {name: self._rows[name][complete] for name in final_features(self._columns)}
        self._final = seen | self._copied(images)
        for rows in self._rows.values():
            del rows[complete:]
        if complete:
            self._rows["next.done"][-1] = self._rows["next.truncated"][-1] = np.array([True])

    def _copied(self, images: Mapping[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
        self._check(images)
        return {camera_name(name): images[name].copy() for name in self._cameras}

    def _check(self, images: Mapping[str, NDArray[np.uint8]]) -> None:
        for name, feature in self._cameras.items():
            image = images[name]
            if image.shape != feature.shape or image.dtype != np.uint8:
                raise DatasetError(
                    f"the image of camera {name!r} is {image.dtype} {image.shape}, declared is uint8 {feature.shape}"
                )

    def last(self, column: str) -> NDArray[Any]:
        """The column's newest row."""
        return self._rows[column][-1]

    def episode(self, task: str, facts: dict[str, Scalar]) -> Episode:
        """All of it, its videos as files that are there until they are cleared. Raises VideoError."""
        paths = self._videos.finish()
        return Episode(
            columns={name: np.stack(rows) for name, rows in self._rows.items()},
            videos={camera_name(camera): path for camera, path in paths.items()},
            task=task,
            facts=facts,
            final=self._final,
        )
