"""Frames of all episodes, decoded once into a file that every process maps into its memory."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.episode_index import EpisodeRow
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader

Part = tuple[str, int, int, int, int]
"""Where an episode's frames are: file below the dataset's folder, its size, time of change in ns, first row, length."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Contents:
    """What a cache file holds; its name is a hash of this.

    Args:
        shape: (H, W, 3).
        fps: Rows a second: which of a video's frames are meant depends on it.
        parts: One for each episode, in order.
    """

    shape: tuple[int, ...]
    fps: int
    parts: tuple[Part, ...]

    @property
    def array_shape(self) -> tuple[int, ...]:
        return sum(part[-1] for part in self.parts), *self.shape

    @property
    def size(self) -> int:
        """Bytes that all frames take."""
        return int(np.prod(self.array_shape))

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, content: bytes) -> _Contents:
        plain = json.loads(content)
        parts = tuple((*part,) for part in plain["parts"])
        return cls(shape=tuple(plain["shape"]), fps=plain["fps"], parts=parts)


def default_folder(root: Path) -> Path:
    """Beside the dataset, which stays as LeRobot knows it: /data/.pusht.frames for /data/pusht."""
    root = root.resolve()
    return root.with_name(f".{root.name}.frames")


def cached_frames(reader: DatasetReader, camera: str, folder: Path | None = None) -> NDArray[np.uint8]:
    """All frames of a camera: (rows of all episodes, H, W, 3) uint8 RGB, read-only, fetched from disk as needed.

    The first call decodes them into a file whose name stands for the names, sizes and times of change of the videos.
    When one of these is another, its episodes are decoded anew; the rest is copied. Of processes that call at the same
    time one decodes and the others wait.

    Args:
        reader: The dataset.
        camera: A video or image feature.
        folder: For decoded frames of this dataset alone; None for `default_folder`.

    Raises:
        DatasetError: there is no such camera; a video is missing, damaged, lacks frames, has them in another shape
            than declared, or changes meanwhile. The message names the file and episode.
        OSError: the cache cannot be written, such as on a full disk; the message says where and how much.
    """
    cameras = [name for name, feature in reader.info.features.items() if feature.is_image]
    if camera not in cameras:
        raise DatasetError(f"{reader.root} has no camera {camera!r}; there is {', '.join(cameras) or 'none'}")
    contents = _contents(reader, camera)
    if not contents.size:
        return np.empty(contents.array_shape, np.uint8)
    path = (folder or default_folder(reader.root)) / camera / f"{_key(contents.to_json())}.u8"
    if not _is_whole(path, contents):
        with _naming(path, contents.size):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path.with_name(".lock")):
                if not _is_whole(path, contents):
                    _build(reader, camera, contents, path)
    return _map(path, contents)


def _contents(reader: DatasetReader, camera: str) -> _Contents:
    parts = tuple(_part(reader, camera, row) for row in reader.episodes)
    return _Contents(shape=reader.info.features[camera].shape, fps=reader.info.fps, parts=parts)


def _part(reader: DatasetReader, camera: str, row: EpisodeRow) -> Part:
    info = reader.info
    if info.features[camera].is_video:
        place = row.videos[camera]
        file, first = info.video_file(camera, place.chunk, place.file), round(place.start_s * info.fps)
    else:
        file, first = info.data_file(row.chunk, row.file), row.first
    path = reader.root / file
    if not path.is_file():
        raise DatasetError(f"{path} is missing: copy the dataset again, or delete episode {row.index}")
    facts = path.stat()
    return str(file), facts.st_size, facts.st_mtime_ns, first, row.length


def _key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _is_whole(path: Path, contents: _Contents) -> bool:
    return path.is_file() and path.stat().st_size == contents.size


def _map(path: Path, contents: _Contents) -> NDArray[np.uint8]:
    return np.asarray(np.memmap(path, np.uint8, "r", shape=contents.array_shape))


def _build(reader: DatasetReader, camera: str, contents: _Contents, path: Path) -> None:
    """Write beside the name, flush, rename; then remove what is of earlier states of the dataset."""
    begun, partial = time.perf_counter(), path.with_name(".partial")
    earlier, decoded = _earlier(path.parent, contents), 0
    try:
        with partial.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, contents.size)  # a full disk says so now, not after an hour
            for row, part in zip(reader.episodes, contents.parts, strict=True):
                decoded += row.length if part not in earlier else 0
                file.write(earlier[part] if part in earlier else _decode(reader, camera, row))
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave a file of the right size without images
        if _contents(reader, camera) != contents:
            raise DatasetError(f"{reader.root}: videos of {camera!r} changed while they were decoded: start again")
        path.with_suffix(".json").write_bytes(contents.to_json())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    for old in path.parent.glob("*.*"):
        if old.suffix in (".u8", ".json") and old.stem != path.stem:
            old.unlink()  # those who have it mapped keep it
    seconds = time.perf_counter() - begun
    _log.info(
        "%s: %d frames decoded, %d kept, in %.1f s", camera, decoded, len(_map(path, contents)) - decoded, seconds
    )


def _earlier(folder: Path, contents: _Contents) -> dict[Part, NDArray[np.uint8]]:
    """What is decoded already: part -> (T, H, W, 3)."""
    frames: dict[Part, NDArray[np.uint8]] = {}
    for facts in folder.glob("*.json"):
        content, path = facts.read_bytes(), facts.with_suffix(".u8")
        if _key(content) != facts.stem:
            continue  # torn by a crash
        old = _Contents.from_json(content)
        if (old.shape, old.fps) == (contents.shape, contents.fps) and _is_whole(path, old):
            starts = np.cumsum([part[-1] for part in old.parts])[:-1]
            frames |= zip(old.parts, np.split(_map(path, old), starts), strict=True)
    return frames


def _decode(reader: DatasetReader, camera: str, row: EpisodeRow) -> NDArray[np.uint8]:
    """All frames of an episode, of the declared shape; C-contiguous."""
    feature = reader.info.features[camera]
    if not feature.is_video:
        return reader.columns(row.index, [camera])[camera]
    frames = reader.frames(row.index, camera)
    problem = feature.problem(frames)
    if problem:
        raise DatasetError(f"{reader.root}: episode {row.index}: the video of {camera!r} {problem}")
    return np.ascontiguousarray(frames)


@contextmanager
def _naming(path: Path, size: int) -> Iterator[None]:
    """Name the place and what is needed when it cannot be written."""
    try:
        yield
    except OSError as error:
        there = next(each for each in path.parents if each.exists())
        problem = (
            f"could not write {size / 1e9:.3g} GB of decoded frames to {path} ({error.strerror}); the disk has"
            f" {shutil.disk_usage(there).free / 1e9:.3g} GB free: free some, or give another folder for the cache"
        )
        raise OSError(error.errno, problem) from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time is in the block; the lock ends with its process."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
