"""Datasets as a chunk policy's training reads them: what is observed, which episodes are kept back, windows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.augmentation import ColorJitter, RandomCrop, Sequential
from isthmus_datasets.training.dataset import Subset, WindowDataset
from isthmus_datasets.training.normalizer import Normalizer
from isthmus_datasets.training.sampler import Weights
from isthmus_datasets.training.windows import Goal, WindowConfig
from isthmus_policies.chunks.chunk_policy import ChunkSpec, SeenFrom
from isthmus_policies.chunks.training.config import AnyConfig

OBSERVED = "observation."
"""What names of observed columns begin with."""
NO_COLUMNS = ("none",)
"""For `columns`: cameras alone are observed."""
_FRAME = re.compile(r"(.+):(\d+),(\d+)@(\d+),(\d+),(\d+)")


class Observing(Protocol):
    """What a configuration says of datasets and of what is read of them; the names are those of `ChunkTrainConfig`."""

    @property
    def datasets(self) -> tuple[Path, ...]: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def cameras(self) -> tuple[str, ...]: ...
    @property
    def goal(self) -> tuple[str, ...]: ...
    @property
    def angles(self) -> tuple[str, ...]: ...
    @property
    def frames(self) -> tuple[str, ...]: ...
    @property
    def action(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def observed(self) -> int: ...
    @property
    def horizon(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Windows of the training episodes, and of those that are kept back."""

    training: WindowDataset
    validation: WindowDataset


def open_datasets(config: Observing) -> list[DatasetReader]:
    """The run's datasets. Raises DatasetError."""
    return [DatasetReader(root) for root in config.datasets]


def make_spec(config: Observing, readers: list[DatasetReader]) -> ChunkSpec:
    """What the policy reads and gives. Raises DatasetError for a column or camera that is not there, with those that
    are, and ValueError where nothing would be observed."""
    first = readers[0]
    features = first.info.features
    numbers = [name for name, f in features.items() if not f.is_image and f.dtype != "string" and len(f.shape) == 1]
    observed = config.columns or tuple(name for name in numbers if name.startswith(OBSERVED))
    observed = () if observed == NO_COLUMNS else observed
    if not observed and not config.cameras:
        raise ValueError("nothing would be observed: --columns or --cameras say what")
    _require(first, "column of numbers with one axis", (*observed, *config.goal, config.action), numbers)
    _require(first, "camera", config.cameras, [name for name, feature in features.items() if feature.is_image])
    return ChunkSpec(
        fps=first.info.fps,
        columns={name: features[name].shape[0] for name in observed},
        cameras=dict.fromkeys(config.cameras, config.size),
        action=config.action,
        action_size=features[config.action].shape[0],
        observed=config.observed,
        horizon=config.horizon,
        goal=config.goal,
        angles=_angles(config.angles),
        frames=_frames(config.frames),
    )


def _angles(said: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """COLUMN:PLACE … as column -> places. Raises ValueError for what is not that."""
    found: dict[str, tuple[int, ...]] = {}
    for text in said:
        column, _, place = text.rpartition(":")
        if not column or not place.isdecimal():
            raise ValueError(f"angles: {text!r} is not COLUMN:PLACE, such as observation.state:4")
        found[column] = (*found.get(column, ()), int(place))
    return found


def _frames(said: tuple[str, ...]) -> dict[str, tuple[SeenFrom, ...]]:
    """COLUMN:X,Y@X,Y,ANGLE … as column -> frames. Raises ValueError for what is not that."""
    found: dict[str, tuple[SeenFrom, ...]] = {}
    for text in said:
        match = _FRAME.fullmatch(text)
        if match is None:
            raise ValueError(f"frames: {text!r} is not COLUMN:X,Y@X,Y,ANGLE, such as observation.state:0,1@2,3,4")
        x, y, *pose = map(int, match.groups()[1:])
        seen = SeenFrom(place=(x, y), pose=(pose[0], pose[1], pose[2]))
        found[match[1]] = (*found.get(match[1], ()), seen)
    return found


def _require(reader: DatasetReader, kind: str, wanted: tuple[str, ...], there: list[str]) -> None:
    if missing := sorted(set(wanted) - set(there)):
        raise DatasetError(f"{reader.root} has no {kind} {', '.join(missing)}; there are: {', '.join(there) or 'none'}")


def make_data(config: AnyConfig, spec: ChunkSpec, readers: list[DatasetReader]) -> TrainingData:
    """Windows to learn from and to judge by. Raises DatasetError where episodes are too few or too short."""
    before, ahead = (1 - spec.observed, 0), (0, spec.horizon - 1)
    windows = WindowConfig(
        columns=dict.fromkeys(spec.columns, before) | {spec.action: ahead},
        cameras=dict.fromkeys(spec.cameras, before),
        # As Chi et al. 2023 have it, the last chunks are those of which half is still demonstrated.
        pad_before=spec.observed - 1,
        pad_after=spec.horizon // 2 - 1 if spec.horizon > 1 else 0,
        goal=Goal(columns=spec.goal) if spec.goal else None,
    )
    training, validation = zip(*(_split(reader, config) for reader in readers), strict=True)
    size = config.size if spec.cameras else None
    return TrainingData(
        training=WindowDataset(training, windows, size=size, transform=_changes(config) if spec.cameras else None),
        validation=WindowDataset(validation, windows, size=size),
    )


def _changes(config: AnyConfig) -> Sequential:
    """What training does to images."""
    crop = (RandomCrop(pixels=config.crop),) if config.crop else ()
    return Sequential((*crop, ColorJitter()) if config.recolor else crop)


def fit_normalizer(config: AnyConfig, spec: ChunkSpec, readers: list[DatasetReader]) -> Normalizer:
    """Fit a normalizer to the training episodes. Raises DatasetError for a channel that never changes, by name."""
    training = [_split(reader, config)[0] for reader in readers]
    return Normalizer.fit(
        training, dict.fromkeys((*spec.columns, spec.action), config.scaling), constant=config.constant
    )


def _split(reader: DatasetReader, config: AnyConfig) -> tuple[Subset, Subset]:
    training, validation = (Subset(reader=reader, episodes=part) for part in split_episodes(reader, config))
    return training, validation


def split_episodes(reader: DatasetReader, config: AnyConfig) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Training and validation episodes, drawn by the run's seed. Raises DatasetError where one of them has none."""
    count = reader.num_episodes
    kept_back = round(config.validation * count)
    if not 0 < kept_back < count:
        raise DatasetError(
            f"{reader.root} has {count} episodes: a share of {config.validation:g} of them for validation would be "
            f"{kept_back}; choose a share that leaves at least one on each side"
        )
    order = np.random.default_rng(config.seed).permutation(count)
    training, validation = (tuple(sorted(map(int, part))) for part in (order[kept_back:], order[:kept_back]))
    return training, validation


def episode_weights(config: AnyConfig, readers: list[DatasetReader]) -> Weights | None:
    """How often windows of each episode are drawn, as `isthmus-compatibility` has written it; None for each once.
    Raises DatasetError for a file of other datasets."""
    if config.weights is None:
        return None
    path = config.weights
    try:
        told = json.loads(path.read_text())
        weights = [[float(weight) for weight in each] for each in told["weights"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is no file of weights, as isthmus-compatibility writes it: {error!r}") from error
    counts, there = [len(each) for each in weights], [reader.num_episodes for reader in readers]
    if counts != there:
        raise DatasetError(f"{path} weighs datasets of {counts} episodes; those to learn from have {there}, in order")
    return Weights(episodes=weights)
