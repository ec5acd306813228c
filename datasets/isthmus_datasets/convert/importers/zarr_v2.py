"""Replay buffers of the diffusion policy project: all steps end to end, and where each episode ends.

    data/action (N, A), data/state (N, S), data/img (N, H, W, 3), data/NAME (N, …)
    meta/episode_ends (E,): the step after an episode's last
    final/NAME (E', …): what was observed after the last action, of those episodes that the attribute `final` lists

`exporters.zarr_v2` writes the same layout, and in attributes what the layout has no place for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.image_scales import ROUNDING, image_feature, image_scale, is_images, to_uint8
from isthmus_datasets.convert.importers.source import ImportOptions, LazyEpisodes, Source, require
from isthmus_datasets.convert.importers.zarr_array import ArrayRows
from isthmus_datasets.format.episode import Episode, Scalar
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.final import final_features
from isthmus_datasets.format.images.pixels import Pixels, is_depth
from isthmus_datasets.format.images.storage import depth_camera
from isthmus_datasets.format.info import DatasetError

KIND = "zarr v2 replay buffer: a folder with .zgroup, data/ and meta/episode_ends"
FEATURE_NAMES = {"img": "observation.images.scene", "state": "observation.state", "action": "action"}
"""What the arrays of the Push-T data are called here; others become observation.NAME or observation.images.NAME,
and simulation.NAME what only a simulator knows (`format.roles`)."""
_STATE = (
    "data/keypoint is there, so data/state may hold what only a simulator knows too, as that of Push-T, the block's "
    "pose behind the first two: choose columns of observation.state"
)
_GROUPS = ("data", "meta", "final")
_ATTRIBUTES = ("fps", "robot_type", "tasks", "facts", "final", "extra")


def recognises(path: Path) -> bool:
    """Whether `path` is a zarr v2 group."""
    return (path / ".zgroup").is_file()


def open_replay_buffer(path: Path, options: ImportOptions) -> Source:
    """Episodes of a replay buffer. Images become videos, all else is kept bit for bit.

    Raises:
        DatasetError: there is no data or no episode_ends, the ends do not rise or lie beyond the arrays, arrays differ
            in length, or neither the file nor `options` says the rate and the task. While reading: a chunk is missing
            or damaged, an image is not one; with file and episode.
    """
    options.only("fps", "task", "robot_type", "images", "empty_chunks", "lossless", path=path)
    findings: list[str] = []
    columns = [_column(folder, options, findings) for folder in _array_folders(path)]
    ends = _episode_ends(path, columns, findings)
    columns = [column for column in columns if options.images or not column.feature.is_image]
    said = _attributes(path)
    tasks = [options.task] * len(ends) if options.task else said.get("tasks")
    why = "a replay buffer says neither its rate nor what was asked"
    fps, tasks = require(path, why, fps=options.fps or said.get("fps"), task=tasks)
    facts = said.get("facts", [{}] * len(ends))
    if not len(tasks) == len(facts) == len(ends):
        raise DatasetError(f"{path}/.zattrs has {len(tasks)} tasks and {len(facts)} facts for {len(ends)} episodes")
    if {"state", "keypoint"} <= {column.array.path.name for column in columns}:
        findings.append(_STATE)
    if left := _left(path, said):
        findings.append(f"not imported: {', '.join(left)}")
    final = _final(path, said.get("final", []), columns)
    buffer = _Buffer(columns=columns, ends=ends, tasks=tasks, facts=facts, final=final, findings=findings)
    return Source(
        fps=fps,
        features={column.name: column.feature for column in columns},
        robot_type=options.robot_type or said.get("robot_type"),
        episodes=LazyEpisodes(len(ends), buffer.episode),
        extra=said.get("extra", {}),
        findings=findings,
    )


@dataclass(frozen=True, kw_only=True)
class _Column:
    array: ArrayRows
    name: str
    feature: Feature
    scale: int = 1
    """What grey levels are multiplied by."""


@dataclass(frozen=True, kw_only=True)
class _Final:
    """The numbers of the episodes that have a final observation, in the order of the arrays' rows."""

    episodes: list[int]
    arrays: dict[str, ArrayRows]


@dataclass(frozen=True, kw_only=True)
class _Buffer:
    columns: list[_Column]
    ends: list[int]
    tasks: list[str]
    facts: list[dict[str, Scalar]]
    final: _Final
    findings: list[str]

    def episode(self, index: int) -> Episode:
        start, stop = [0, *self.ends][index], self.ends[index]
        where, numbers = f"episode {index}", [column for column in self.columns if not column.feature.is_image]
        return Episode(
            columns={c.name: c.array.rows(start, stop, where).reshape(stop - start, *c.feature.shape) for c in numbers},
            videos={c.name: partial(self._images, c, start, stop, where) for c in self.columns if c.feature.is_image},
            task=self.tasks[index],
            facts=dict(self.facts[index]),
            final=self._last(index),
        )

    def _last(self, index: int) -> dict[str, NDArray[Any]] | None:
        """What was observed after the last action, where that is there."""
        if index not in self.final.episodes:
            return None
        row = self.final.episodes.index(index)
        read = {name: array.rows(row, row + 1, f"episode {index}") for name, array in self.final.arrays.items()}
        return {c.name: read[c.name].reshape(c.feature.shape) for c in self.columns if c.name in read}

    def _images(self, column: _Column, start: int, stop: int, where: str) -> Iterator[Pixels]:
        """One after the other; as many are read at a time as a chunk holds."""
        rounded = 0.0
        for begin, end in column.array.chunks(start, stop):
            values = column.array.rows(begin, end, where)
            if column.feature.is_depth:
                yield from values
                continue
            try:
                images, error = to_uint8(values, column.scale)
            except ValueError as problem:
                raise DatasetError(f"{column.array.path}: {where}: {problem}") from problem
            rounded = max(rounded, error)
            yield from images
        if rounded > ROUNDING:
            self.findings.append(f"{column.array.path.name}: {where}: grey levels rounded by up to {rounded:.2g}")


def _attributes(path: Path) -> dict[str, Any]:
    try:
        return dict(zarr.open_group(str(path), mode="r", zarr_format=2).attrs)
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"{path} is not a zarr v2 group that can be read: {error}") from error


def _array_folders(path: Path) -> list[Path]:
    data = path / "data"
    folders = sorted(folder for folder in data.iterdir() if folder.is_dir()) if data.is_dir() else []
    if not folders:
        raise DatasetError(f"{data} holds no arrays; a replay buffer has its steps there")
    return folders


def _left(path: Path, said: dict[str, Any]) -> list[str]:
    """What the buffer has besides."""
    attributes = [f"{name} of .zattrs" for name in said if name not in _ATTRIBUTES]
    meta = [f"meta/{name}" for name in _visible(path / "meta") if name != "episode_ends"]
    return [*sorted(attributes), *meta, *(name for name in _visible(path) if name not in _GROUPS)]


def _visible(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))


def _final(path: Path, episodes: list[int], columns: list[_Column]) -> _Final:
    names = final_features({column.name: column.feature for column in columns}) if episodes else {}
    arrays = {c.name: ArrayRows(path / "final" / c.array.path.name) for c in columns if c.name in names}
    for array in arrays.values():
        if array.shape[0] != len(episodes):
            raise DatasetError(f"{array.path} has {array.shape[0]} rows, .zattrs lists {len(episodes)} in final")
    return _Final(episodes=episodes, arrays=arrays)


def _declared(array: ArrayRows) -> Feature | None:
    """What whoever exported it said of the feature. Raises DatasetError where the array is not that."""
    if "declared" not in array.attributes:
        return None
    try:
        feature = Feature.from_json(array.attributes["declared"])
    except ValueError as error:
        raise DatasetError(f"{array.path}/.zattrs: {error}") from error
    if (array.shape[1:], array.dtype) != (feature.shape, feature.numpy):
        raise DatasetError(f"{array.path} is {array.dtype} {array.shape}, its .zattrs say {feature}")
    return feature


def _column(folder: Path, options: ImportOptions, findings: list[str]) -> _Column:
    array = ArrayRows(folder, empty_chunks=options.empty_chunks)
    images = is_images(array.shape, array.dtype)
    prefix = "observation.images." if images else "observation."
    name = array.attributes.get("feature") or FEATURE_NAMES.get(folder.name, f"{prefix}{folder.name}")
    if declared := _declared(array):
        return _Column(array=array, name=name, feature=declared)
    if array.attributes.get("is_depth_map") and is_depth(np.empty((0, *array.shape[1:]), array.dtype)):
        return _Column(array=array, name=name, feature=depth_camera(*array.shape[1:3]))
    if images:
        first = array.rows(0, 1, "episode 0") if array.shape[0] else np.zeros(0)
        return _Column(array=array, name=name, feature=image_feature(array.shape), scale=image_scale(first))
    if len(array.shape) == 4:
        findings.append(f"{folder.name} of shape {array.shape} is not (N, H, W, 3): kept as numbers, not as images")
    names = array.attributes.get("names")
    try:
        feature = Feature(
            dtype="string" if array.is_text else array.dtype.name,
            shape=array.shape[1:] or (1,),
            names=tuple(names) if names else None,
        )
    except ValueError as error:
        raise DatasetError(f"{folder}: {error}") from error
    return _Column(array=array, name=name, feature=feature)


def _episode_ends(path: Path, columns: list[_Column], findings: list[str]) -> list[int]:
    """Rising, and within all arrays, which are equally long."""
    steps = columns[0].array.shape[0]
    for column in columns[1:]:
        if column.array.shape[0] != steps:
            first = columns[0].array.path.name
            raise DatasetError(f"{column.array.path} has {column.array.shape[0]} steps, data/{first} has {steps}")
    array = ArrayRows(path / "meta" / "episode_ends")
    if len(array.shape) != 1 or array.dtype.kind not in "iu" or not array.shape[0]:
        raise DatasetError(f"{array.path} is {array.dtype} {array.shape}; it must be integers (E,), E > 0")
    ends = array.rows(0, array.shape[0], "every episode").tolist()
    for index, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
        if stop <= start:
            raise DatasetError(f"{array.path}: episode {index} ends at step {stop}, but starts at {start}")
        if stop > steps:
            raise DatasetError(f"{array.path}: episode {index} ends at step {stop}, but data/ has {steps}")
    if ends[-1] < steps:
        findings.append(f"steps {ends[-1]} to {steps - 1} lie beyond the last episode's end: left out")
    return ends
