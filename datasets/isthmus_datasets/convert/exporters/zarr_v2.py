"""A dataset as one replay buffer of the diffusion policy project, which `importers.zarr_v2` reads back unchanged."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.final import final_features, final_problem
from isthmus_datasets.format.images.frames import decode_image, stream_frames
from isthmus_datasets.format.images.pixels import Pixels
from isthmus_datasets.format.info import DatasetError

ARRAY_NAMES = {"observation.images.scene": "img", "observation.state": "state", "action": "action"}
"""What features of the Push-T data are called there; others lose their "observation." or "observation.images."."""
CHUNK_BYTES = 8 * 2**20


def export_replay_buffer(
    path: Path,
    episodes: Iterable[Episode],
    *,
    fps: int,
    features: Features,
    robot_type: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write all `episodes`, one in memory at a time, of its videos only as far as they are given so; returns `path`.
    Videos become arrays of images: uint8, depths uint16. What was observed after the last action has no place in the
    layout; it is in a group of its own, `final`, which others do not open.

    Args:
        path: The folder to write, ending in .zarr: it appears when it is complete.
        episodes: All of them with `features`.
        fps: Steps per second; kept in an attribute, as are robot_type, tasks, facts and what is said of the features.
        features: Without the index columns.
        robot_type: What the robot is called.
        extra: What else meta/info.json says.

    Raises:
        DatasetError: something is at `path`, two features would have the same name there, there is no episode, or one
            has not as many rows in every feature.
        OSError: a file cannot be written.
    """
    if path.exists():
        raise DatasetError(f"{path} is already there: remove it, or choose another name")
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(partial, episodes, features, {"fps": fps, "robot_type": robot_type, "extra": dict(extra or {})})
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def _write(path: Path, episodes: Iterable[Episode], features: Features, said: Mapping[str, Any]) -> None:
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    data = root.create_group("data")
    arrays = {name: _create(data, _array_names(features)[name], name, feature) for name, feature in features.items()}
    last = _Final(root, features)
    ends: list[int] = []
    tasks, facts = [], []
    for index, episode in enumerate(episodes):
        for name, feature in features.items():
            for values in _parts(episode, name, feature, said["fps"], f"episode {index}"):
                arrays[name].append(values)
        lengths = {name: array.shape[0] - (ends[-1] if ends else 0) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1 or not episode.length:
            raise DatasetError(f"episode {index} has not as many rows in every feature: {lengths}")
        ends.append((ends[-1] if ends else 0) + episode.length)
        tasks.append(episode.task)
        facts.append(dict(episode.facts))
        last.add(index, episode)
    if not ends:
        raise DatasetError(f"{path}: there is no episode to export")
    root.create_group("meta").create_array("episode_ends", data=np.array(ends, np.int64))
    root.attrs.update({**said, "tasks": tasks, "facts": facts, "final": last.episodes})


class _Final:
    """What was observed after the last action: data/NAME's feature as final/NAME (E, *shape), of those of the episodes
    that have it."""

    def __init__(self, root: Any, features: Features) -> None:
        self._root, self._features, self._arrays = root, features, {}
        self.episodes: list[int] = []

    def add(self, index: int, episode: Episode) -> None:
        """Raises DatasetError where it is not as the features say."""
        if episode.final is None:
            return
        if problem := final_problem(self._features, episode.final):
            raise DatasetError(f"episode {index}: {problem}")
        if not self.episodes and episode.final:
            group, names = self._root.create_group("final"), _array_names(self._features)
            self._arrays = {n: _create(group, names[n], n, f) for n, f in final_features(self._features).items()}
        for name, values in episode.final.items():
            self._arrays[name].append(np.asarray(values)[None])
        self.episodes.append(index)


def _array_names(features: Features) -> dict[str, str]:
    names = {n: ARRAY_NAMES.get(n, n.removeprefix("observation.").removeprefix("images.")) for n in features}
    for name, array in names.items():
        if same := [other for other in names if names[other] == array and other != name]:
            raise DatasetError(f"features {name} and {same[0]} would both be the array {array}: rename one")
    return names


def _create(data: Any, array: str, name: str, feature: Feature) -> Any:
    created = data.create_array(
        array,
        shape=(0, *feature.shape),
        chunks=(_rows_a_chunk(feature), *feature.shape),
        dtype=str if feature.dtype == "string" else feature.numpy,
        config={"write_empty_chunks": True},  # a chunk that is not there is damage, not zeros
    )
    created.attrs.update({"feature": name, "declared": feature.to_json()})
    return created


def _parts(episode: Episode, name: str, feature: Feature, fps: int, where: str) -> Iterator[NDArray[Any]]:
    """Its rows (n, *shape) in order, as many at a time as a chunk holds. Raises DatasetError when the episode does not
    have it like that."""
    values = episode.videos.get(name) if name in episode.videos else episode.columns.get(name)
    if values is None:
        raise DatasetError(f"{where} lacks {name}")
    if isinstance(values, np.ndarray):
        parts = iter([values])
    else:
        steps, shape = episode.length, feature.shape
        frames = stream_frames(values, 0, steps, fps=fps, shape=shape) if isinstance(values, Path) else values()
        parts = _stacked(frames, _rows_a_chunk(feature))
    for part in parts:
        if problem := feature.problem(part):
            raise DatasetError(f"{where}: {name} {problem}")
        yield part


def _stacked(frames: Iterable[Pixels | bytes], count: int) -> Iterator[Pixels]:
    left = (decode_image(frame) if isinstance(frame, bytes) else frame for frame in frames)
    while part := list(itertools.islice(left, count)):
        yield np.stack(part)


def _rows_a_chunk(feature: Feature) -> int:
    row_bytes = max(1, int(np.prod(feature.shape)) * feature.numpy.itemsize)
    return min(1000, max(1, CHUNK_BYTES // row_bytes))
