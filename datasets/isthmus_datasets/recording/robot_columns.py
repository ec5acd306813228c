"""A robot's steps as a dataset's columns: what they are called, and whether they are what the robot declared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.features import INDEX_FEATURES, Feature, Features
from isthmus_datasets.format.images.storage import without_loss
from isthmus_datasets.format.info import INFO_FILE, DatasetError, DatasetInfo
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.operator import Controller
from isthmus_datasets.recording.quarantine import recover
from isthmus_datasets.recording.robot import Observation, RobotFeatures

RENAMED = {
    "action.sent": "sent_action",
    "observation.environment_state": "simulation.environment_state",
}
"""What an earlier version called columns, and what they are called now."""


def column_name(name: str) -> str:
    """What an observation column is called in the dataset."""
    return f"observation.{name}"


def simulation_name(name: str) -> str:
    """What a column is called that only a simulator knows."""
    return f"simulation.{name}"


def camera_name(name: str) -> str:
    """What a camera is called in the dataset."""
    return f"observation.images.{name}"


def dataset_features(robot: RobotFeatures) -> Features:
    """What is recorded of a robot: observation.*, action (the operator's), sent_action (what the robot made of it),
    control (see `Controller`), intervention (whether a person drove where a policy would have), policy_action (what
    that did or would have done), policy_known (whether it is known; where no policy or script was asked, policy_action
    is the action and says nothing), capture_time_ns (one per sensor), what followed the action (next.done,
    next.truncated, next.success and, where the robot tells it, next.reward) and, where there is a simulator,
    simulation.* and simulator_state, at the observation.

    Learners take what begins with "observation" for input and with "action" for output, so nothing else does.
    """
    control = {"values": [controller.name.lower() for controller in Controller]}
    flag = Feature(dtype="bool", shape=(1,))
    optional = {
        "simulator_state": Feature(dtype="float64", shape=(robot.simulator_state,)) if robot.simulator_state else None,
        "next.reward": Feature(dtype="float32", shape=(1,)) if robot.reward else None,
    }
    return {
        **{column_name(name): feature for name, feature in robot.columns.items()},
        **{camera_name(name): Feature(dtype="video", shape=(*size, 3)) for name, size in robot.cameras.items()},
        "action": robot.action,
        "sent_action": robot.action,
        "policy_action": robot.action,
        "control": Feature(dtype="int64", shape=(1,), info=control),
        "policy_known": flag,
        "intervention": flag,
        "capture_time_ns": Feature(
            dtype="int64", shape=(len(robot.sensors),), names=robot.sensors, info={"units": ["ns"] * len(robot.sensors)}
        ),
        **{simulation_name(name): feature for name, feature in robot.simulation.items()},
        **{name: feature for name, feature in optional.items() if feature},
        "next.success": flag,
        "next.done": flag,
        "next.truncated": flag,
    }


def open_dataset(root: Path, robot: RobotFeatures, *, fps: int, lossless: Collection[str] = ()) -> DatasetWriter:
    """Go on with the robot's dataset in `root`, or make one with the robot's cameras `lossless` without loss. Finished
    episodes that had found no room there are saved.

    Raises:
        DatasetError: what is there is of another robot or rate (the message says what differs), damaged, being written
            by another process, no dataset, or with loss where there shall be none; or there is no such camera.
        OSError: there is no room, not even for those.
    """
    if unknown := sorted(set(lossless) - set(robot.cameras)):
        known = ", ".join(robot.cameras) or "none"
        raise DatasetError(f"there is no camera {', '.join(unknown)} to store without loss; the robot has {known}")
    exact = [camera_name(name) for name in lossless]
    if not (root / INFO_FILE).exists():
        features = without_loss(dataset_features(robot), exact)
        return DatasetWriter.create(root, fps=fps, features=features, robot_type=robot.robot_type)
    writer = DatasetWriter.open(root)
    try:
        check_dataset(writer, robot, fps=fps)
        if lossy := [name for name in exact if not writer.info.features[name].is_lossless]:
            raise DatasetError(f"{root} was begun with loss in {', '.join(lossy)}: record into another folder")
        recover(writer)
    except (DatasetError, OSError):
        writer.close()
        raise
    return writer


def check_dataset(writer: DatasetWriter, robot: RobotFeatures, *, fps: int) -> None:
    """Raises DatasetError where the dataset is not as recording this robot makes one, saying what differs."""
    root = writer.root
    if is_earlier(writer.info.features):
        raise DatasetError(
            f"{root} was recorded by an earlier version of this program: make today's of it by "
            f"`isthmus-dataset migrate {root} NEW` and go on there"
        )
    found = differences(writer.info, robot, fps=fps)
    if found:
        raise DatasetError(f"{root} is not of this robot: {'; '.join(found)}: record into another folder")


def is_earlier(features: Collection[str]) -> bool:
    """Whether columns of these names are as an earlier version recorded them."""
    return bool(RENAMED.keys() & set(features)) or ("policy_action" in features and "policy_known" not in features)


def next_seed(root: Path) -> int:
    """The first seed after all that the dataset's episodes began with, so that none begins as another did. Raises
    DatasetError."""
    seeds = [row.facts.get("seed") for row in DatasetReader(root).episodes]
    return 1 + max((seed for seed in seeds if isinstance(seed, int)), default=-1)


def differences(info: DatasetInfo, robot: RobotFeatures, *, fps: int) -> list[str]:
    """How a dataset differs from the one that recording this robot makes; empty when it does not."""
    there = {name: _said(feature) for name, feature in info.features.items() if name not in INDEX_FEATURES}
    wanted = {name: _said(feature) for name, feature in dataset_features(robot).items()}
    there |= {"fps": info.fps, "robot_type": info.robot_type}
    wanted |= {"fps": fps, "robot_type": robot.robot_type}
    names = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
    return [f"{name} is {there.get(name, 'not there')}, the robot's {wanted.get(name, 'not there')}" for name in names]


def _said(feature: Feature) -> dict[str, Any]:
    """What must be the same from one recording to the next, units among it."""
    units = (feature.info or {}).get("units")
    said = {"dtype": feature.dtype, "shape": feature.shape, "names": feature.names, "units": units}
    return {name: value for name, value in said.items() if value is not None}


def observed(robot: RobotFeatures, observation: Observation) -> dict[str, Any]:
    """The columns of a step that an observation fills. Raises DatasetError when it lacks something or has more."""
    _check_names("column", robot.columns, observation.columns)
    _check_names("image", robot.cameras, observation.images)
    _check_names("simulation's column", robot.simulation, observation.simulation)
    _check_names("capture time", robot.sensors, observation.capture_time_ns)
    times = [observation.capture_time_ns[sensor] for sensor in robot.sensors]
    columns = {column_name(name): values for name, values in observation.columns.items()}
    columns |= {simulation_name(name): values for name, values in observation.simulation.items()}
    return columns | {"capture_time_ns": np.array(times)}


def followed(robot: RobotFeatures, observation: Observation, end: Ending | None) -> dict[str, Any]:
    """The columns of a step that the next observation fills, and how the episode ends with it, if it does. Raises
    DatasetError when the observation lacks one."""
    told = {"reward": (robot.reward, observation.reward), "success": (robot.success, observation.success)}
    lacking = [name for name, (declared, value) in told.items() if declared and value is None]
    if lacking:
        raise DatasetError(f"the robot declares {' and '.join(lacking)}, but did not tell it after an action")
    reward = {"next.reward": [observation.reward]} if robot.reward else {}
    return reward | {
        "next.success": [end is Ending.SUCCESS or bool(observation.success)],
        "next.done": [end is not None],
        "next.truncated": [end is not None and end.truncated],
    }


def _check_names(kind: str, declared: Any, given: Mapping[str, Any]) -> None:
    if set(declared) != set(given):
        raise DatasetError(f"the robot gave the {kind}s {sorted(given)}, declared are {sorted(declared)}")


def checked(name: str, feature: Feature, values: Any) -> NDArray[Any]:
    """A copy of `values` as one row of the column.

    Raises:
        DatasetError: of another shape, of a type that does not become the declared one, or not finite.
    """
    array = np.asarray(values)
    if array.shape != feature.shape:
        raise DatasetError(f"{name!r} has shape {array.shape}, declared is {feature.shape}")
    if not np.can_cast(array.dtype, feature.numpy, "same_kind"):
        raise DatasetError(f"{name!r} is {array.dtype}, declared is {feature.numpy}")
    row = array.astype(feature.numpy)
    if row.dtype.kind == "f" and not np.isfinite(row).all():
        raise DatasetError(f"{name!r} is not finite: {row.tolist()}")
    return row
