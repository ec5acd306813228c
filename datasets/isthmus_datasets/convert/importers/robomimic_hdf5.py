"""Demonstrations in robomimic's layout: one HDF5 file, one group a demo.

data (attribute env_args: JSON of the simulator's settings)
data/demo_N: actions (T, A), rewards (T,), dones (T,), states (T, S), obs/NAME (T, …); Isaac Lab nests obs/GROUP/NAME
mask/NAME: the demos of a split, by name
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.convert.importers.image_scales import image_feature, is_images
from isthmus_datasets.convert.importers.source import ImportOptions, LazyEpisodes, Source, require
from isthmus_datasets.format.episode import Episode, Scalar
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.info import DatasetError

KIND = "robomimic demonstrations: an HDF5 file with data/demo_0, data/demo_1, …"
FEATURE_NAMES = {"actions": "action", "rewards": "next.reward", "dones": "next.done", "states": "simulator_state"}
"""What a demo's own arrays are called here; others keep their name, and obs/GROUP/NAME becomes
observation.GROUP.NAME."""
_READ = 16  # images at a time


def recognises(path: Path) -> bool:
    """Whether `path` is an HDF5 file, by name or by content."""
    return path.is_file() and (path.suffix in (".hdf5", ".h5") or bool(h5py.is_hdf5(path)))


def open_demos(path: Path, options: ImportOptions) -> Source:
    """The demos by number. Images (uint8) become videos, all else is kept bit for bit; done is a bool.

    Every episode's facts have the demo's name, its masks, the file's env_args and the demo's own attributes.

    Raises:
        DatasetError: the file is damaged or holds no demos, a demo has no actions, lacks an array that the first one
            has or has one of another shape, arrays of a demo differ in length, the mask or an observation asked for is
            not there, or neither the file nor `options` says the rate and the task.
    """
    options.only("fps", "task", "robot_type", "images", "filter_key", "state", "lossless", path=path)
    findings: list[str] = []
    with _reading(path) as file:
        masks = {name: [_text(demo) for demo in file["mask"][name]] for name in file.get("mask", ())}
        names = _chosen(path, file, masks, options.filter_key)
        columns = _columns(path, file["data"][names[0]], options.state, findings)
        for name in names:
            _check_demo(path, file["data"][name], file["data"][names[0]], columns, findings)
        columns = [column for column in columns if options.images or not column.feature.is_image]
        env_args = _text(file["data"].attrs.get("env_args", "{}"))
    settings = _settings(path, env_args)
    kwargs = settings.get("env_kwargs", {})
    why = "its env_args do not say the control rate and the task"
    fps, task = require(
        path, why, fps=options.fps or kwargs.get("control_freq"), task=options.task or settings.get("env_name")
    )
    demos = _Demos(path=path, names=names, columns=columns, task=task, masks=masks, env_args=env_args)
    return Source(
        fps=int(fps),
        features={column.name: column.feature for column in columns},
        robot_type=options.robot_type or _robots(kwargs),
        episodes=LazyEpisodes(len(names), demos.episode),
        findings=findings,
    )


@dataclass(frozen=True, kw_only=True)
class _Column:
    name: str
    feature: Feature
    parts: tuple[str, ...]
    """The demo's arrays that make it, end to end."""

    def read(self, demo: Any) -> NDArray[Any]:
        """(T, *shape)."""
        arrays = [np.asarray(demo[part]) for part in self.parts]
        length = len(arrays[0])
        joined = np.concatenate([a.reshape(length, -1) for a in arrays], 1) if len(arrays) > 1 else arrays[0]
        return joined.reshape(length, *self.feature.shape).astype(self.feature.numpy)


@dataclass(frozen=True, kw_only=True)
class _Demos:
    path: Path
    names: list[str]
    columns: list[_Column]
    task: str
    masks: dict[str, list[str]]
    env_args: str

    def episode(self, index: int) -> Episode:
        name = self.names[index]
        with _reading(self.path, f"episode {index} ({name})") as file:
            demo = file["data"][name]
            columns = {c.name: c.read(demo) for c in self.columns if not c.feature.is_video}
            facts = _own_facts(demo)
        masks = ", ".join(mask for mask, demos in self.masks.items() if name in demos)
        return Episode(
            columns=columns,
            videos={c.name: partial(self._images, c, index) for c in self.columns if c.feature.is_video},
            task=self.task,
            facts={**facts, "demo": name, "masks": masks, "env_args": self.env_args},
        )

    def _images(self, column: _Column, index: int) -> Iterator[NDArray[np.uint8]]:
        """One after the other."""
        name = self.names[index]
        with _reading(self.path, f"episode {index} ({name})") as file:
            images = file["data"][name][column.parts[0]]
            for first in range(0, len(images), _READ):
                yield from images[first : first + _READ]


@contextmanager
def _reading(path: Path, where: str = "it") -> Iterator[Any]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise DatasetError(f"{path}: {where} cannot be read ({error}); copy the file again") from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _settings(path: Path, env_args: str) -> dict[str, Any]:
    try:
        return json.loads(env_args)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}: the attribute env_args of data is not JSON: {error}") from error


def _robots(kwargs: dict[str, Any]) -> str | None:
    robots = kwargs.get("robots")
    return "+".join(robots) if isinstance(robots, list) else robots


def _chosen(path: Path, file: Any, masks: dict[str, list[str]], filter_key: str | None) -> list[str]:
    """Names of the demos by their number, as `filter_key` has them."""
    names = [name for name in file.get("data", ()) if name.removeprefix("demo_").isdecimal()]
    if not names:
        raise DatasetError(f"{path} has no data/demo_N; it holds {', '.join(file) or 'nothing'}")
    if filter_key is not None:
        if filter_key not in masks:
            raise DatasetError(f"{path} has no mask {filter_key!r}; it has {', '.join(masks) or 'none'}")
        missing = sorted(set(masks[filter_key]) - set(names))
        if missing or not masks[filter_key]:
            raise DatasetError(f"{path}: mask {filter_key!r} names {', '.join(missing) or 'nothing'}; no such demos")
        names = masks[filter_key]
    return sorted(names, key=lambda name: int(name.removeprefix("demo_")))


def _columns(path: Path, demo: Any, state: tuple[str, ...], findings: list[str]) -> list[_Column]:
    """What the first demo has, all of which the others must have."""
    obs = [part.removeprefix("obs/") for part in _arrays(demo) if part.startswith("obs/")]
    if unknown := [name for name in state if name not in obs]:
        raise DatasetError(f"{path}: {demo.name} has no observation {', '.join(unknown)}; it has {', '.join(obs)}")
    parts = tuple(f"obs/{name}" for name in state)
    columns = [_column(path, demo, part) for part in _arrays(demo) if part not in parts]
    if parts:
        columns.append(_state_column(demo, parts))
    elif "state" not in obs:
        findings.append(f"no observation is called state; these could make it: {', '.join(obs) or 'none'}")
    left = [name for name in demo if isinstance(demo[name], h5py.Group) and name != "obs"]
    left += ["model_file"] * ("model_file" in demo.attrs)
    if left:
        findings.append(f"not imported: {', '.join(left)} of each demo")
    return columns


def _arrays(demo: Any) -> list[str]:
    """Those of the demo itself, then those of its obs and the groups in it, by path."""
    parts = list(demo)
    if isinstance(demo.get("obs"), h5py.Group):
        demo["obs"].visit(lambda name: parts.append(f"obs/{name}"))
    return [part for part in parts if _is_array(demo, part)]


def _is_array(demo: Any, part: str) -> bool:
    return isinstance(demo.get(part), h5py.Dataset) and bool(demo[part].shape)


def _column(path: Path, demo: Any, part: str) -> _Column:
    shape, dtype, name = demo[part].shape, demo[part].dtype, part.removeprefix("obs/").replace("/", ".")
    if is_images(shape, dtype) and dtype == np.uint8:
        camera = f"observation.images.{name.removesuffix('_image')}"
        return _Column(name=camera, feature=image_feature(shape), parts=(part,))
    feature_name = FEATURE_NAMES.get(name, name) if part == name else f"observation.{name}"
    try:
        feature = Feature(dtype="bool" if feature_name == "next.done" else dtype.name, shape=shape[1:] or (1,))
    except ValueError as error:
        raise DatasetError(f"{path}: {demo.name}/{part}: {error}") from error
    return _Column(name=feature_name, feature=feature, parts=(part,))


def _state_column(demo: Any, parts: tuple[str, ...]) -> _Column:
    sizes = {part: int(np.prod(demo[part].shape[1:])) for part in parts}
    names = tuple(
        f"{part.removeprefix('obs/').replace('/', '.')}.{i}" for part, size in sizes.items() for i in range(size)
    )
    dtype = np.result_type(*(demo[part].dtype for part in parts))
    feature = Feature(dtype=dtype.name, shape=(len(names),), names=names)
    return _Column(name="observation.state", feature=feature, parts=parts)


def _check_demo(path: Path, demo: Any, first: Any, columns: list[_Column], findings: list[str]) -> None:
    """That `demo` has the arrays of the first one, all equally long."""
    if not _is_array(demo, "actions"):
        raise DatasetError(f"{path}: {demo.name} has no actions; it has {', '.join(demo) or 'nothing'}")
    steps = len(demo["actions"])
    parts = [part for column in columns for part in column.parts]
    for part in parts:
        if not _is_array(demo, part):
            raise DatasetError(f"{path}: {demo.name} has no {part}, which {first.name} has")
        rows, kind = len(demo[part]), (demo[part].shape[1:], demo[part].dtype)
        if rows != steps or not steps:
            raise DatasetError(f"{path}: {demo.name} has {steps} actions, but {rows} rows of {part}")
        if kind != (first[part].shape[1:], first[part].dtype):
            raise DatasetError(
                f"{path}: {demo.name}/{part} is {kind[1]} {kind[0]} a step, in {first.name} it is {first[part].dtype}"
                f" {first[part].shape[1:]}"
            )
    if extra := sorted(set(_arrays(demo)) - set(parts)):
        findings.append(f"not imported: {', '.join(extra)} of {demo.name}, which {first.name} does not have")
    said = demo.attrs.get("num_samples", steps)
    if said != steps:
        findings.append(f"{demo.name} says num_samples {said}, but has {steps}")


def _own_facts(demo: Any) -> dict[str, Scalar]:
    """The demo's attributes; one that is several numbers as text (JSON)."""
    return {name: _fact(value) for name, value in demo.attrs.items() if name not in ("model_file", "num_samples")}


def _fact(value: Any) -> Scalar:
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(plain, bytes):
        return _text(plain)
    return plain if isinstance(plain, str | bool | int | float) else json.dumps(plain, default=_text)
