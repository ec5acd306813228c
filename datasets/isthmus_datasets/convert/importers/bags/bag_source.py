"""Episodes from ROS 2 bags: topics put on a fixed-rate grid, each tick with the last reading not after it.

A bag is an episode, or is cut into several; so is each of a folder of bags, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.bags.bag import Bag, Track, open_bag
from isthmus_datasets.convert.importers.bags.bag_files import is_bag
from isthmus_datasets.convert.importers.bags.capture_times import WHOLE, Nanoseconds, Span
from isthmus_datasets.convert.importers.bags.episode_spans import find_spans
from isthmus_datasets.convert.importers.bags.grid import Grid, make_grid, time_findings
from isthmus_datasets.convert.importers.source import ImportOptions, LazyEpisodes, Source, require
from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.images.storage import depth_camera
from isthmus_datasets.format.images.video import VideoWriter
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.staging import CRF, KEY_EVERY

KIND = "ROS 2 bag: a folder with metadata.yaml, a .mcap or .db3 file, or a folder of such"
CAPTURE_TIME = "capture_time_ns"
"""The column with the time in ns at which the reading of each source was taken, by the source's clock."""


def recognises(path: Path) -> bool:
    """Whether `path` is a bag or a folder of bags."""
    return bool(_find_bags(path))


def open_bags(path: Path, options: ImportOptions) -> Source:
    """The features that `options.topics` asks for, and `CAPTURE_TIME`. Image topics become videos,
    those of depths in mm.

    One episode a bag, of which nothing but the first is read yet; where they are to be cut, all of them are, once.

    Raises:
        DatasetError: rate, task or topics are not said, a bag is damaged, a topic is missing (those there are listed),
            has messages that nobody defines or that differ in size, or the topics have no time in common; or cutting
            leaves no episode.
        OSError: the disk is full: numbers that are no longer needed in memory are in a temporary file.
    """
    options.only("fps", "task", "robot_type", "topics", "stamps", "joints", "gap_s", "episodes", "lossless", path=path)
    paths = _find_bags(path)
    if not options.topics:
        with open_bag(paths[0]) as bag:
            raise DatasetError(f"{path}: say which topics to take, as feature: TOPIC or TOPIC:FIELD, of{bag.topics()}")
    fps, task = require(
        path, "a bag says neither the rate of the grid nor the task", fps=options.fps, task=options.task
    )
    bags = _Bags(paths=paths, fps=fps, task=task, options=options)
    features = _features(bags.tracks(paths[0]))
    spans = bags.spans()
    return Source(
        fps=fps,
        features=features,
        robot_type=options.robot_type,
        episodes=LazyEpisodes(len(spans), lambda index: bags.episode(*spans[index], index, features)),
        findings=bags.findings,
    )


@dataclass(frozen=True, kw_only=True)
class _Bags:
    paths: list[Path]
    fps: int
    task: str
    options: ImportOptions
    findings: list[str] = field(default_factory=list)
    folder: TemporaryDirectory[str] = field(default_factory=lambda: TemporaryDirectory(prefix="isthmus-import-"))
    """Holds the videos of the episode that was read last."""
    kept: dict[Path, dict[str, Track]] = field(default_factory=dict)
    """The tracks of the bag that was read last: its episodes come one after the other."""

    def tracks(self, path: Path) -> dict[str, Track]:
        """What every feature had from a bag."""
        if path not in self.kept:
            self.kept.clear()
            with open_bag(path) as bag:
                self.kept[path] = _tracks(bag, self.options, self.fps, self.findings)
        return self.kept[path]

    def spans(self) -> list[tuple[Path, Span]]:
        """Where each episode is."""
        if self.options.gap_s is None and not self.options.episodes:
            return [(path, WHOLE) for path in self.paths]
        found: list[tuple[Path, Span]] = []
        why: list[str] = []
        for path in self.paths:
            times = {name: track.times for name, track in self.tracks(path).items()}
            with open_bag(path) as bag:
                spans, texts = find_spans(bag, times, self.fps, self.options)
            found += [(path, span) for span in spans]
            why += [f"{path}: {text}" for text in texts]
            _note(self.findings, path.name, texts)
        if not found:
            raise DatasetError("; ".join(why))
        return found

    def episode(self, path: Path, span: Span, index: int, features: Features) -> Episode:
        """One of a bag's spans. Raises DatasetError when the bag's features are not those of the first one."""
        tracks = self.tracks(path)
        self._check_features(path, features, _features(tracks))
        times = {name: track.times for name, track in tracks.items()}
        grid = make_grid(times, self.fps, str(path), span, _heard(tracks))
        where = path.name if span == WHOLE else f"{path.name}, episode {index}"
        _note(self.findings, where, time_findings(grid, times, span))
        columns = {n: t.values.take(grid.rows[n]) for n, t in tracks.items() if t.values is not None}
        _check_finite(path, columns, {name: track.names for name, track in tracks.items()})
        columns[CAPTURE_TIME] = np.stack([times[name][grid.rows[name]] for name in tracks], axis=1)
        videos = self._videos(path, {n: t for n, t in tracks.items() if t.values is None}, grid)
        facts = {"bag": path.name, "start_ns": int(grid.ticks[0])}
        return Episode(columns=columns, videos=videos, task=self.task, facts=facts)

    def _check_features(self, path: Path, wanted: Features, there: Features) -> None:
        for name, feature in wanted.items():
            if there[name] != feature:
                raise DatasetError(
                    f"{path}: {name} is {there[name].dtype} {there[name].shape} {there[name].names}, in"
                    f" {self.paths[0]} it is {feature.dtype} {feature.shape} {feature.names}"
                )

    def _videos(self, path: Path, tracks: Mapping[str, Track], grid: Grid) -> dict[str, Path]:
        if not tracks:
            return {}
        with open_bag(path) as bag:
            return {name: self._video(bag, name, track, grid.rows[name]) for name, track in tracks.items()}

    def _video(self, bag: Bag, name: str, track: Track, rows: NDArray[np.int64]) -> Path:
        path = Path(self.folder.name) / f"{name}.mp4"
        lossless = name in self.options.lossless
        try:
            with VideoWriter(path, fps=self.fps, crf=CRF, key_every=KEY_EVERY, lossless=lossless) as video:
                for image in bag.images(track, rows):
                    video.write(image)
        except ValueError as error:
            raise DatasetError(f"{bag.path}: {track.topic}: {error}") from error
        return path


def _find_bags(path: Path) -> list[Path]:
    """Itself, or those in it."""
    if is_bag(path):
        return [path]
    return sorted(child for child in path.iterdir() if child.is_dir() and is_bag(child)) if path.is_dir() else []


def _note(findings: list[str], where: str, texts: list[str]) -> None:
    """Add those that are new: an episode may be read again."""
    named = dict.fromkeys(f"{where}: {text}" for text in texts)
    findings += [text for text in named if text not in findings]


def _tracks(bag: Bag, options: ImportOptions, fps: int, findings: list[str]) -> dict[str, Track]:
    found: list[str] = []
    tracks = _same_joint_order(bag.tracks(options, fps, found), found)
    _note(findings, bag.path.name, bag.findings() + found)
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
    return replace(track, names=order, values=track.values.reordered([track.names.index(name) for name in order]))


def _heard(tracks: Mapping[str, Track]) -> dict[str, Nanoseconds]:
    """When readings were taken where all say it, else when the bag received them: what a policy decided on is told by
    the same clock for readings and commands, behind the same way."""
    stamped = all(track.stamped for track in tracks.values())
    return {name: track.times if stamped else track.received for name, track in tracks.items()}


def _features(tracks: Mapping[str, Track]) -> Features:
    features = {name: _feature(track) for name, track in tracks.items()}
    info = {"units": ["ns"] * len(tracks)}
    return features | {CAPTURE_TIME: Feature(dtype="int64", shape=(len(tracks),), names=tuple(tracks), info=info)}


def _feature(track: Track) -> Feature:
    if track.values is None:
        height, width, channels = track.shape
        return depth_camera(height, width) if channels == 1 else Feature(dtype="video", shape=track.shape)
    info = track.values.info()
    return Feature(dtype=track.values.dtype.name, shape=track.shape, names=track.names, info=info)


def _check_finite(path: Path, columns: Mapping[str, NDArray[Any]], names: Mapping[str, tuple[str, ...] | None]) -> None:
    for name, values in columns.items():
        if not np.isfinite(values).all():
            step, element = map(int, np.argwhere(~np.isfinite(values))[0])
            which = (names[name] or {element: f"element {element}"})[element]
            raise DatasetError(f"{path}: {name}: {which} is not a number at step {step}: choose other fields or joints")
