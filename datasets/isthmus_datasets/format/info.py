"""meta/info.json: what a dataset is, and how much of it there is. Its rename is what commits an episode."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus_datasets.format.features import INDEX_FEATURES, Feature, Features
from isthmus_datasets.format.lfs import lfs_pointer

CODEBASE_VERSION = "v3.0"
INFO_FILE = Path("meta/info.json")
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


class DatasetError(ValueError):
    """A dataset, or an episode for it, is not what it should be. The message names the file or episode, and the fix."""


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What meta/info.json says.

    Args:
        fps: Rows a second.
        features: All columns, those of `INDEX_FEATURES` included.
        robot_type: Such as "so101"; None where it is not said.
        total_episodes, total_frames, total_tasks: What is committed. Files may hold more after a crash: it is ignored.
        chunks_size: Files a folder.
        data_files_size_in_mb, video_files_size_in_mb: How large files become when several episodes share one.
        data_path, video_path: Templates of the files' names below the dataset's folder; None without videos.
        codebase_version: Version of LeRobot's format.
        extra: Whatever else the file says: kept. Splits too, but that of all episodes for training, which grows.
    """

    fps: int
    features: Features
    robot_type: str | None = None
    total_episodes: int = 0
    total_frames: int = 0
    total_tasks: int = 0
    chunks_size: int = 1000
    data_files_size_in_mb: int = 100
    video_files_size_in_mb: int = 200
    data_path: str = DATA_PATH
    video_path: str | None = None
    codebase_version: str = CODEBASE_VERSION
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cameras(self) -> list[str]:
        """Names of the video features."""
        return [name for name, feature in self.features.items() if feature.is_video]

    @property
    def columns(self) -> list[str]:
        """Names of what an episode brings besides videos: neither videos nor index columns."""
        return [name for name, feature in self.features.items() if not feature.is_video and name not in INDEX_FEATURES]

    @property
    def parquet_features(self) -> Features:
        """What is in the Parquet files: columns and index columns."""
        return {name: feature for name, feature in self.features.items() if not feature.is_video}

    def data_file(self, chunk: int, file: int) -> Path:
        """Below the dataset's folder."""
        return Path(self.data_path.format(chunk_index=chunk, file_index=file))

    def video_file(self, camera: str, chunk: int, file: int) -> Path:
        """Below the dataset's folder. Raises DatasetError when info.json gives no names to videos."""
        if self.video_path is None:
            raise DatasetError(f"{INFO_FILE} declares the video {camera!r} but its video_path is null")
        return Path(self.video_path.format(video_key=camera, chunk_index=chunk, file_index=file))

    def episodes_file(self, chunk: int, file: int) -> Path:
        """Where rows about episodes are, below the dataset's folder."""
        return Path(f"meta/episodes/chunk-{chunk:03d}/file-{file:03d}.parquet")

    def to_json(self) -> bytes:
        """The content of meta/info.json."""
        entry: dict[str, Any] = {
            "codebase_version": self.codebase_version,
            "robot_type": self.robot_type,
            "total_episodes": self.total_episodes,
            "total_frames": self.total_frames,
            "total_tasks": self.total_tasks,
            "chunks_size": self.chunks_size,
            "data_files_size_in_mb": self.data_files_size_in_mb,
            "video_files_size_in_mb": self.video_files_size_in_mb,
            "fps": self.fps,
            "splits": self.extra.get("splits", {"train": f"0:{self.total_episodes}"}),
            "data_path": self.data_path,
            "video_path": self.video_path,
            "features": {name: feature.to_json() for name, feature in self.features.items()},
        }
        return (json.dumps({**self.extra, **entry}, indent=4) + "\n").encode()

    @classmethod
    def from_file(cls, root: Path) -> DatasetInfo:
        """Read `root`/meta/info.json.

        Raises:
            DatasetError: there is none, it is not JSON, of another major version, or an entry is missing or wrong.
        """
        path = root / INFO_FILE
        try:
            entry = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise DatasetError(f"{root} is no dataset: there is no {INFO_FILE}") from None
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error}") from error
        except ValueError as error:
            empty = not path.stat().st_size
            problem = f"{path} is empty: copy the dataset again" if empty else f"{path} cannot be read: {error}"
            raise DatasetError(lfs_pointer(path) or problem) from error
        try:
            return cls.from_json(entry)
        except ValueError as error:
            raise DatasetError(f"{path}: {error}") from error

    @classmethod
    def from_json(cls, entry: Any) -> DatasetInfo:
        """From the content of the file. Raises ValueError saying which entry is wrong."""
        if not isinstance(entry, dict):
            raise ValueError("is not a JSON object")
        _check_version(entry.get("codebase_version"))
        known = {name: entry[name] for name in cls.__dataclass_fields__ if name in entry and name != "extra"}
        if not isinstance(entry.get("features"), dict):
            raise ValueError("features are missing")
        known["features"] = {name: _feature(name, each) for name, each in entry["features"].items()}
        known["fps"] = _count(entry, "fps", minimum=1)
        for name in (name for name in known if name.startswith("total_")):
            known[name] = _count(entry, name, minimum=0)
        if "chunks_size" in entry:
            known["chunks_size"] = _count(entry, "chunks_size", minimum=1)
        for name in ("data_path", "video_path"):
            _check_template(name, entry.get(name))
        extra = {name: value for name, value in entry.items() if name not in (*known, "splits")}
        return cls(**known, extra=extra | other_splits(entry))


def other_splits(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What meta/info.json says of splits, but that of all episodes for training, however many somebody counted."""
    splits = entry.get("splits")
    plain = isinstance(splits, dict) and splits.keys() == {"train"} and str(splits["train"]).startswith("0:")
    return {"splits": splits} if splits and not plain else {}


def check_declaration(fps: int, features: Features) -> None:
    """Whether a new dataset may have these features.

    Raises:
        DatasetError: a rate that is not a whole number of rows per second, no feature, a name that LeRobot cannot take
            or that the writer fills itself, an image that is neither RGB nor depths, or a lossy video of odd height or
            width.
    """
    if type(fps) is not int or fps < 1:
        raise DatasetError(f"fps must be a positive whole number, not {fps!r}")
    if not any(not feature.is_video for feature in features.values()):
        raise DatasetError("a dataset needs at least one column that is not a video")
    for name, feature in features.items():
        if name in INDEX_FEATURES:
            raise DatasetError(f"feature {name!r} is filled by the writer: do not declare it")
        if not re.fullmatch(r"\w[\w.\-]*", name, re.ASCII):
            raise DatasetError(f"feature name {name!r}: use letters, digits, '_', '.' and '-'")
        if "image" in name and not feature.is_image:
            raise DatasetError(f"feature {name!r} is no image: LeRobot takes every name with 'image' in it for one")
        _check_image(name, feature)


def _check_image(name: str, feature: Feature) -> None:
    if feature.is_image and feature.shape[2] != 3 and not feature.is_depth:
        raise DatasetError(
            f"feature {name!r}: an image is (height, width, 3), not {feature.shape}; depths are made by depth_camera"
        )
    lossy = feature.is_video and not (feature.is_depth or feature.is_lossless)
    if lossy and any(side % 2 for side in feature.shape[:2]):
        raise DatasetError(
            f"feature {name!r}: a video's height and width must be even, not {feature.shape}, unless without loss"
        )


def _check_version(version: Any) -> None:
    match = re.fullmatch(r"v(\d+)\.\d+", version) if isinstance(version, str) else None
    if match is None:
        raise ValueError(f"codebase_version is {version!r}, expected {CODEBASE_VERSION}")
    if int(match[1]) > 3:
        raise ValueError(f"is of version {version}, newer than {CODEBASE_VERSION}: update this program")
    if int(match[1]) < 3:
        raise ValueError(f"is of version {version}, older than {CODEBASE_VERSION}: import it first")


def _feature(name: str, entry: Any) -> Feature:
    try:
        return Feature.from_json(entry)
    except ValueError as error:
        raise ValueError(f"feature {name!r}: {error}") from error


def _count(entry: Mapping[str, Any], name: str, *, minimum: int) -> int:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or value < minimum:
        raise ValueError(f"{name} is {value!r}, expected a whole number ≥ {minimum}")
    return int(value)


def _check_template(name: str, template: Any) -> None:
    """Only the known fields, and nothing outside the dataset's folder."""
    if template is None:
        return
    if not isinstance(template, str):
        raise ValueError(f"{name} {template!r} is no template of a file's name")
    try:
        example = Path(template.format(video_key="camera", chunk_index=0, file_index=0))
    except (LookupError, ValueError, AttributeError) as error:
        raise ValueError(f"{name} {template!r} is no template of a file's name: {error}") from error
    if example.is_absolute() or ".." in example.parts:
        raise ValueError(f"{name} {template!r} leads out of the dataset's folder")
