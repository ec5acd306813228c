"""LeRobot's datasets before v3.0: one Parquet file and one mp4 for every episode.

meta/info.json  meta/episodes.jsonl  meta/tasks.jsonl
data/chunk-000/episode_000000.parquet
videos/chunk-000/{video_key}/episode_000000.mp4
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.source import ImportOptions, LazyEpisodes, Source
from isthmus_datasets.format.episode import Episode, ImageFiles, Scalar
from isthmus_datasets.format.features import INDEX_FEATURES, Feature, Features
from isthmus_datasets.format.image_rows import image_files
from isthmus_datasets.format.info import DatasetError, other_splits
from isthmus_datasets.format.parquet import from_arrow, open_parquet, read_rows

KIND = "LeRobot v2.1 or v2.0: a folder with meta/info.json that says so, and meta/episodes.jsonl"
VERSIONS = ("v2.0", "v2.1")
MOST_NAMED = 10
"""Missing files that are named."""
_INFO = (
    "codebase_version", "robot_type", "fps", "features", "data_path", "video_path", "chunks_size", "splits",
    "total_episodes", "total_frames", "total_tasks", "total_videos", "total_chunks",
)  # fmt: skip
_FILES = ("info.json", "episodes.jsonl", "tasks.jsonl", "stats.json", "episodes_stats.jsonl")
"""What meta/ has by its own format; statistics are computed anew."""
TOLERANCE_S = 1e-4
"""How far a row's timestamp may be from frame_index / fps: LeRobot's limit."""


def recognises(path: Path) -> bool:
    """Whether `path` has a meta/info.json of v2.x."""
    info = path / "meta" / "info.json"
    return info.is_file() and '"v2.' in info.read_text(errors="replace")


def open_lerobot_v21(path: Path, options: ImportOptions) -> Source:
    """Its episodes, with the videos as they are: not decoded, not encoded again.

    Raises:
        DatasetError: a file of an episode is missing, a JSON file is not what it should be, a feature is wrong, or
            tasks say more than their words. While reading: a Parquet file is truncated, lacks a column or has one that
            is not declared, has not as many rows as the episode has steps, or names a task that meta/tasks.jsonl does
            not have.
    """
    options.only("task", "robot_type", "images", path=path)
    info = _info(path)
    features = _features(path, info["features"])
    if not options.images:
        features = {name: feature for name, feature in features.items() if not feature.is_image}
    findings: list[str] = []
    tasks = _lines(path, "tasks", ("task_index", "task"))
    others = {name for line in tasks for name in line if name not in ("task_index", "task")}
    _refuse(path / "meta/tasks.jsonl", others, "a task has a number and words")
    dataset = _Dataset(
        path=path,
        info=info,
        features=features,
        rows=sorted(_lines(path, "episodes", ("episode_index", "tasks", "length")), key=lambda r: r["episode_index"]),
        tasks={line["task_index"]: line["task"] for line in tasks},
        task=options.task,
        findings=findings,
    )
    dataset.check()
    return Source(
        fps=info["fps"],
        features=features,
        robot_type=options.robot_type or info.get("robot_type"),
        episodes=LazyEpisodes(len(dataset.rows), dataset.episode),
        extra={name: value for name, value in info.items() if name not in _INFO} | other_splits(info),
        findings=findings,
    )


@dataclass(frozen=True, kw_only=True)
class _Dataset:
    path: Path
    info: dict[str, Any]
    features: Features
    rows: list[dict[str, Any]]
    """The lines of meta/episodes.jsonl."""
    tasks: dict[int, str]
    """Number -> words, from meta/tasks.jsonl."""
    task: str | None
    findings: list[str]

    def check(self) -> None:
        """All files are there; what cannot be kept is reported."""
        files = [file for row in self.rows for file in (self.data_file(row), *self.videos(row).values())]
        missing = [str(file.relative_to(self.path)) for file in files if not file.is_file()]
        if missing:
            more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
            named = ", ".join(missing[:MOST_NAMED])
            raise DatasetError(f"{self.path} lacks {len(missing)} of {len(files)} files: {named}{more}; copy it again")
        said = self.info.get("total_episodes", len(self.rows))
        if said != len(self.rows):
            self.findings.append(f"meta/info.json says {said} episodes, meta/episodes.jsonl lists {len(self.rows)}")
        if left := sorted(path.name for path in (self.path / "meta").iterdir() if path.name not in _FILES):
            self.findings.append(f"not imported: {', '.join(f'meta/{name}' for name in left)}")

    def data_file(self, row: dict[str, Any]) -> Path:
        return self._file("data_path", row)

    def videos(self, row: dict[str, Any]) -> dict[str, Path]:
        cameras = [name for name, feature in self.features.items() if feature.is_video]
        return {camera: self._file("video_path", row, video_key=camera) for camera in cameras}

    def _file(self, template: str, row: dict[str, Any], **names: str) -> Path:
        index = row["episode_index"]
        chunk = index // self.info.get("chunks_size", 1000)
        known = {"episode_chunk": chunk, "chunk_index": chunk, "episode_index": index, **names}
        try:
            return self.path / self.info[template].format(**known)
        except (LookupError, ValueError, AttributeError) as error:
            raise DatasetError(
                f"{self.path}/meta/info.json: {template} {self.info[template]!r} is no name of an episode's file"
                f" ({error!r}); it may hold {', '.join(known)}"
            ) from error

    def episode(self, index: int) -> Episode:
        row = self.rows[index]
        columns = self._columns(row)
        self._check_time(row, columns)
        return Episode(
            columns={name: values for name, values in columns.items() if name in self.features},
            videos={**self.videos(row), **self._images(row)},
            task=self.task or self._words(row, columns["task_index"][:, 0]),
            facts=self._facts(row),
        )

    def _images(self, row: dict[str, Any]) -> dict[str, ImageFiles]:
        """Images in the rows, as they are and one after the other."""
        names, file = [name for name, feature in self.features.items() if feature.dtype == "image"], self.data_file(row)
        return {name: partial(image_files, file, name, first=0, count=row["length"]) for name in names}

    def _columns(self, row: dict[str, Any]) -> dict[str, NDArray[Any]]:
        """What is in the episode's Parquet file but images, as declared, with time and task."""
        file, where = self.data_file(row), f"episode {row['episode_index']}"
        wanted = {name: feature for name, feature in self.features.items() if not feature.is_image}
        wanted |= {name: INDEX_FEATURES[name] for name in ("timestamp", "task_index")}
        with open_parquet(file) as parquet:
            names, found = set(parquet.schema_arrow.names), parquet.metadata.num_rows
        others = names - set(self.info["features"]) - set(INDEX_FEATURES)
        _refuse(file, others, "meta/info.json does not declare it; declare it there")
        if found != row["length"]:
            raise DatasetError(f"{file} has {found} rows, meta/episodes.jsonl says that {where} has {row['length']}")
        table = read_rows(file, list(wanted), first=0, count=found)
        try:
            return {name: from_arrow(feature, table[name]) for name, feature in wanted.items()}
        except ValueError as error:
            raise DatasetError(f"{file}: {where}: {error}") from error

    def _check_time(self, row: dict[str, Any], columns: dict[str, NDArray[Any]]) -> None:
        times = columns["timestamp"][:, 0]
        off = np.abs(times - np.arange(len(times)) / self.info["fps"])
        if off.max() > TOLERANCE_S:
            self.findings.append(
                f"episode {row['episode_index']}: timestamps are up to {off.max():.4f} s off the grid of"
                f" {self.info['fps']} Hz, first at step {int(np.argmax(off > TOLERANCE_S))}: put on it"
            )

    def _facts(self, row: dict[str, Any]) -> dict[str, Scalar]:
        """What else meta/episodes.jsonl says."""
        others = {name: value for name, value in row.items() if name not in ("episode_index", "tasks", "length")}
        nested = {name: json.dumps(value) for name, value in others.items() if isinstance(value, list | dict)}
        if nested:
            self.findings.append(
                f"episode {row['episode_index']}: {', '.join(nested)} are no single values: kept as text (JSON)"
            )
        return others | nested

    def _words(self, row: dict[str, Any], numbers: NDArray[np.int64]) -> str:
        """The task that the rows name, which is the one LeRobot trains on."""
        where = f"episode {row['episode_index']}"
        distinct = list(dict.fromkeys(numbers.tolist()))
        if unknown := set(distinct) - set(self.tasks):
            raise DatasetError(f"{self.data_file(row)}: {where} has task_index {unknown}, not in meta/tasks.jsonl")
        words = [self.tasks[number] for number in distinct]
        if set(words) != set(row["tasks"]):
            self.findings.append(
                f"{where}: its rows have the task {words}, meta/episodes.jsonl {row['tasks']}: rows' kept"
            )
        if len(words) > 1:
            self.findings.append(f"{where} has {len(words)} tasks: joined by ' / '")
        return " / ".join(words)


def _info(path: Path) -> dict[str, Any]:
    file = path / "meta" / "info.json"
    try:
        info = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file} cannot be read: {error}") from error
    missing = [key for key in ("codebase_version", "fps", "features", "data_path") if key not in info]
    if missing:
        raise DatasetError(f"{file} lacks {', '.join(missing)}")
    if info["codebase_version"] not in VERSIONS:
        raise DatasetError(f"{file} is of {info['codebase_version']}; known are {', '.join(VERSIONS)}")
    if type(info["fps"]) is not int:
        raise DatasetError(f"{file}: fps is {info['fps']!r}, it must be a whole number")
    return info


def _features(path: Path, entries: dict[str, Any]) -> Features:
    """Without the index columns. Images declared (3, H, W), as v2.0 did, are (H, W, 3) in their files."""
    features: Features = {}
    for name in [name for name in entries if name not in INDEX_FEATURES]:
        try:
            feature = Feature.from_json(entries[name])
        except ValueError as error:
            raise DatasetError(f"{path / 'meta/info.json'}: feature {name!r}: {error}") from error
        if feature.is_image and feature.shape[2] != 3 and feature.shape[0] == 3:
            feature = replace(feature, shape=(*feature.shape[1:], 3))
        features[name] = feature
    return features


def _lines(path: Path, name: str, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """The lines of meta/NAME.jsonl, each with `keys`."""
    file = path / "meta" / f"{name}.jsonl"
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file} cannot be read: {error}; copy it again") from error
    for number, line in enumerate(lines):
        if missing := [key for key in keys if key not in line]:
            raise DatasetError(f"{file}: line {number + 1} lacks {', '.join(missing)}")
    return lines


def _refuse(file: Path, names: Collection[str], why: str) -> None:
    if names:
        raise DatasetError(f"{file}: {', '.join(sorted(names))} would be lost: {why}, or take it out of a copy")
