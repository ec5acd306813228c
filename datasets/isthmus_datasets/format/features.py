"""What a dataset's columns are: their types, shapes and the names of their elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = ("bool", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)), "float16", "float32", "float64")
"""The NumPy types that a column can have."""
IMAGE_AXES = ["height", "width", "channels"]
_DEPTH_MAP = ("is_depth_map", "video.is_depth_map")
"""What LeRobot calls it now, and what it did before."""
_DEPTH_SCALE = ("video.depth_min", "video.depth_max", "video.shift", "video.use_log")
"""What of an encoding says what its numbers are."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column.

    Args:
        dtype: A NumPy name (float32, float64, int64, bool …), "string", "video" or "image".
        shape: Shape of one row; (1,) for a scalar, (H, W, 3) for images, (H, W, 1) for depths.
        names: Names of the last axis's elements, or None. Images have none.
        info: What the dataset's file says besides, such as units or a video's codec. Two features that differ here are
            equal; whether their numbers mean the same tells `meaning`.
        extra: Whatever else the file says, such as names that are not one for each element: kept.

    Raises:
        ValueError: the type is not one of these, a shape is empty or not positive, a name is missing or too many.
    """

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None
    info: Mapping[str, Any] | None = field(default=None, compare=False)
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.dtype not in (*NUMBERS, "string", "video", "image"):
            raise ValueError(f"dtype {self.dtype!r} is none of {', '.join(NUMBERS)}, string, video, image")
        if not self.shape or any(side < 1 for side in self.shape):
            raise ValueError(f"shape {self.shape} must have an axis, and none shorter than 1; a scalar is (1,)")
        if self.is_image and len(self.shape) != 3:
            raise ValueError(f"an image's shape is (height, width, channels), not {self.shape}")
        if self.dtype == "string" and self.shape != (1,):
            raise ValueError(f"a string's shape is (1,), not {self.shape}")
        if self.names is not None and (self.is_image or len(self.names) != self.shape[-1]):
            raise ValueError(f"{len(self.names)} names for shape {self.shape} of {self.dtype}")

    @property
    def is_video(self) -> bool:
        """Its rows are frames of an mp4 file, not in the Parquet file."""
        return self.dtype == "video"

    @property
    def is_image(self) -> bool:
        """Its rows are images: frames of a video or images in the Parquet file."""
        return self.dtype in ("video", "image")

    @property
    def is_depth(self) -> bool:
        """Its images are depths of 16 bits, such as `cameras.depth_camera` makes."""
        said = self.info or {}
        return self.is_image and self.shape[2] == 1 and any(said.get(name) is True for name in _DEPTH_MAP)

    @property
    def is_lossless(self) -> bool:
        """It is a video in RGB, which is stored without loss, rather than in yuv420p, which halves the colours."""
        said = str((self.info or {}).get("video.pix_fmt"))
        return self.is_video and said.startswith(("gbr", "rgb", "bgr"))

    @property
    def meaning(self) -> dict[str, Any]:
        """What its numbers are: all that is known of it but how a video is encoded. Columns that differ here do not go
        together."""
        said = {name: value for name, value in (self.info or {}).items() if _is_meaning(name)}
        known = {"dtype": self.dtype, "shape": self.shape, "names": self.names, "depth": self.is_depth or None}
        return {name: value for name, value in {**known, **said}.items() if value is not None}

    @property
    def numpy(self) -> np.dtype[Any]:
        """The type of its rows in memory: strings are objects, images uint8, depths uint16."""
        if self.is_image:
            return np.dtype(np.uint16 if self.is_depth else np.uint8)
        return np.dtype(object if self.dtype == "string" else self.dtype)

    def problem(self, values: NDArray[Any]) -> str | None:
        """Why `values` (T, *shape) cannot be this column; None when they can. Not a number is a problem."""
        if values.shape[1:] != self.shape:
            return f"has shape {values.shape}, declared is (T, {', '.join(map(str, self.shape))})"
        if self.dtype == "string":
            return None if all(isinstance(v, str) for v in values.flat) else f"holds {values.dtype}, declared is string"
        if values.dtype != self.numpy:
            return f"holds {values.dtype}, declared is {self.numpy}"
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            step = int(np.argwhere(~np.isfinite(values))[0, 0])
            return f"is not finite at step {step}"
        return None

    def to_json(self) -> dict[str, Any]:
        """As LeRobot's info.json has it."""
        entry: dict[str, Any] = {"dtype": self.dtype, "shape": list(self.shape), "names": self._json_names()}
        return {**self.extra, **entry} | ({"info": dict(self.info)} if self.info else {})

    def _json_names(self) -> Any:
        if self.is_image:
            return IMAGE_AXES
        as_they_were = self.extra.get("names")
        if as_they_were and _element_names(as_they_were, self.shape[-1]) == self.names:
            return as_they_were
        return self.names and list(self.names)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Feature:
        """From LeRobot's info.json, where images may have their channels first. Names that do not fit the shape are
        none, and kept in `extra`: LeRobot does not check them.

        Raises:
            ValueError: dtype or shape is missing or not as `Feature` wants them.
        """
        if not isinstance(entry, Mapping) or not {"dtype", "shape"} <= set(entry):
            raise ValueError("dtype or shape is missing")
        if not isinstance(entry["shape"], (list, tuple)) or any(type(side) is not int for side in entry["shape"]):
            raise ValueError(f"shape {entry['shape']!r} is not a list of integers")
        shape, names = tuple(entry["shape"]), entry.get("names")
        image = entry["dtype"] in ("video", "image")
        if image and len(shape) == 3 and isinstance(names, list) and names[:1] in (["channel"], ["channels"]):
            shape = (*shape[1:], shape[0])
        names = None if image else _element_names(names, shape[-1] if shape else 0)
        extra = {name: value for name, value in entry.items() if name not in ("dtype", "shape", "info")}
        return cls(dtype=entry["dtype"], shape=shape, names=names, info=entry.get("info") or None, extra=extra)


Features = dict[str, Feature]

INDEX_FEATURES: Features = {
    "timestamp": Feature(dtype="float32", shape=(1,)),
    "frame_index": Feature(dtype="int64", shape=(1,)),
    "episode_index": Feature(dtype="int64", shape=(1,)),
    "index": Feature(dtype="int64", shape=(1,)),
    "task_index": Feature(dtype="int64", shape=(1,)),
}
"""The columns that every dataset has; the writer fills them. timestamp is seconds since the episode's first step."""


def unlike(here: Features, there: Features) -> tuple[str, Any, Any] | None:
    """The first feature that is not, or does not mean, the same in both: its name, and what it is here and there."""
    for name in {**here, **there}:
        one, other = (each[name].meaning if name in each else "not declared" for each in (here, there))
        if one != other:
            return name, one, other
    return None


def _is_meaning(name: str) -> bool:
    encoding = name.startswith(("video.", "audio.")) or name in (*_DEPTH_MAP, "has_audio")
    return name in _DEPTH_SCALE or not encoding


def _element_names(names: Any, size: int) -> tuple[str, ...] | None:
    """LeRobot's names are a list, or a mapping such as {"motors": [..]}; Unitree's are a list in a list."""
    if isinstance(names, Mapping):
        names = next((value for value in names.values() if isinstance(value, list)), None)
    while isinstance(names, list) and len(names) == 1 and isinstance(names[0], list):
        names = names[0]
    fits = isinstance(names, list) and len(names) == size and all(isinstance(name, str) for name in names)
    return tuple(names) if fits and names else None
