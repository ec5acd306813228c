"""Episodes from ROS 2 bags: topics put on a fixed-rate grid, each tick with the last reading not after it.

A bag is an episode; a folder of bags is one episode each, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.ros2_recording import Bag, Track, is_bag, open_bag
from isthmus_datasets.convert.importers.ros2_time import make_grid, time_findings
from isthmus_datasets.convert.importers.source import ImportOptions, LazyEpisodes, Source, require
from isthmus_datasets.format.cameras import depth_camera
from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.staging import CRF, KEY_EVERY
from isthmus_datasets.format.video import VideoWriter

KIND = "ROS 2 bag: a folder with metadata.yaml, a .mcap or .db3 file, or a folder of such"
CAPTURE_TIME = "capture_time_ns"
"""The column with the time in ns at which the reading of each source was taken, by the source's clock."""


def recognises(path: Path) -> bool:
    """Whether `path` is a bag or a folder of bags."""
    return bool(_find_bags(path))


def open_bags(path: Path, options: ImportOptions) -> Source:
    """One episode a bag: the features that `options.topics` asks for, and `CAPTURE_TIME`. Image topics become videos,
    those of depths in mm.

    Raises:
        DatasetError: rate, task or topics are not said, a bag is damaged, a topic is missing (those there are listed),
            has messages that nobody defines or that differ in size, or the topics have no time in common.
    """
    options.only("fps", "task", "robot_type", "topics", "stamps", "joints", "lossless", path=path)
    paths = _find_bags(path)
    if not options.topics:
        with open_bag(paths[0]) as bag:
            raise DatasetError(f"{path}: say which topics to take, as feature: TOPIC or TOPIC:FIELD, of{bag.topics()}")
    fps, task = require(
        path, "a bag says neither the rate of the grid nor the task", fps=options.fps, task=options.task
    )
    findings: list[str] = []
    with open_bag(paths[0]) as bag:
        features = _features(_tracks(bag, options, findings))
    bags = _Bags(paths=paths, fps=fps, task=task, features=features, options=options, findings=findings)
    return Source(
        fps=fps,
        features=features,
        robot_type=options.robot_type,
        episodes=LazyEpisodes(len(paths), bags.episode),
        findings=findings,
    )


@dataclass(frozen=True, kw_only=True)
class _Bags:
    paths: list[Path]
    fps: int
    task: str
    features: Features
    options: ImportOptions
    findings: list[str]
    folder: TemporaryDirectory[str] = field(default_factory=lambda: TemporaryDirectory(prefix="isthmus-import-"))
    """Holds the videos of the episode that was read last."""

    def episode(self, index: int) -> Episode:
        path = self.paths[index]
        with open_bag(path) as bag:
            tracks = _tracks(bag, self.options, self.findings)
            self._check_features(path, _features(tracks))
            times = {name: track.times for name, track in tracks.items()}
            grid = make_grid(times, self.fps, str(path))
            _note(self.findings, path, time_findings(grid, times))
            columns = {n: t.values[grid.rows[n]] for n, t in tracks.items() if t.values is not None}
            videos = {n: self._video(bag, n, t, grid.rows[n]) for n, t in tracks.items() if t.values is None}
        _check_finite(path, columns, {name: track.names for name, track in tracks.items()})
        columns[CAPTURE_TIME] = np.stack([times[name][grid.rows[name]] for name in tracks], axis=1)
        facts = {"bag": path.name, "start_ns": int(grid.ticks[0])}
        return Episode(columns=columns, videos=videos, task=self.task, facts=facts)

    def _check_features(self, path: Path, features: Features) -> None:
        for name, feature in self.features.items():
            if features[name] != feature:
                raise DatasetError(
                    f"{path}: {name} is {features[name].dtype} {features[name].shape} {features[name].names}, in"
                    f" {self.paths[0]} it is {feature.dtype} {feature.shape} {feature.names}"
                )

    def _video(self, bag: Bag, name: str, track: Track, rows: NDArray[np.int64]) -> Path:
        repeats = np.bincount(rows, minlength=len(track.times))
        path = Path(self.folder.name) / f"{name}.mp4"
        lossless = name in self.options.lossless
        try:
            with VideoWriter(path, fps=self.fps, crf=CRF, key_every=KEY_EVERY, lossless=lossless) as video:
                for image in bag.images(track.topic, repeats):
                    video.write(image)
        except ValueError as error:
            raise DatasetError(f"{bag.path}: {track.topic}: {error}") from error
        return path


def _find_bags(path: Path) -> list[Path]:
    """Itself, or those in it."""
    if is_bag(path):
        return [path]
    return sorted(child for child in path.iterdir() if child.is_dir() and is_bag(child)) if path.is_dir() else []


def _note(findings: list[str], path: Path, texts: list[str]) -> None:
    """Add those that are new: an episode may be read again."""
    named = dict.fromkeys(f"{path.name}: {text}" for text in texts)
    findings += [text for text in named if text not in findings]


def _tracks(bag: Bag, options: ImportOptions, findings: list[str]) -> dict[str, Track]:
    found: list[str] = []
    tracks = _same_joint_order(bag.tracks(options, found), found)
    _note(findings, bag.path, bag.findings() + found)
    return tracks


def _same_joint_order(tracks: dict[str, Track], found: list[str]) -> dict[str, Track]:
    """Joints in the order of the first feature that has them, where a later one has the same joints."""
    joints = {name: track.names for name, track in tracks.items() if track.joints and track.names}
    if not joints:
        return tracks
    first, order = next(iter(joints.items()))
    for name, names in joints.items():
        if set(names) != set(order):
            found.append(f"{name} has the joints {', '.join(names)}, {first} has {', '.join(order)}: not matched")
        elif names != order:
            found.append(f"{name} has the joints in another order than {first}: put into its order")
    return {name: _reordered(track, order) for name, track in tracks.items()}


def _reordered(track: Track, order: tuple[str, ...]) -> Track:
    if not track.joints or track.names is None or set(track.names) != set(order) or track.values is None:
        return track
    return replace(track, names=order, values=track.values[:, [track.names.index(name) for name in order]])


def _features(tracks: Mapping[str, Track]) -> Features:
    features = {name: _feature(track) for name, track in tracks.items()}
    return features | {CAPTURE_TIME: Feature(dtype="int64", shape=(len(tracks),), names=tuple(tracks))}


def _feature(track: Track) -> Feature:
    if track.values is None:
        height, width, channels = track.shape
        return depth_camera(height, width) if channels == 1 else Feature(dtype="video", shape=track.shape)
    return Feature(dtype=track.values.dtype.name, shape=track.shape, names=track.names)


def _check_finite(path: Path, columns: Mapping[str, NDArray[Any]], names: Mapping[str, tuple[str, ...] | None]) -> None:
    for name, values in columns.items():
        if not np.isfinite(values).all():
            step, element = map(int, np.argwhere(~np.isfinite(values))[0])
            which = (names[name] or {element: f"element {element}"})[element]
            raise DatasetError(f"{path}: {name}: {which} is not a number at step {step}: choose other fields or joints")
