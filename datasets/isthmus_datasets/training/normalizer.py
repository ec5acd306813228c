"""Scaling of columns to what networks like, and back: fitted to the training episodes, saved, part of a graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from isthmus_datasets.format.files import write_synced
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.alike import check_features
from isthmus_datasets.training.dataset import Subset
from isthmus_datasets.training.loaded_columns import element_names, load_columns
from isthmus_datasets.training.loaded_episodes import check_choice, is_chosen

Mode = Literal["min_max", "mean_std", "quantile"]
MODES: tuple[Mode, ...] = ("min_max", "mean_std", "quantile")
Constant = Literal["refuse", "keep"]
QUANTILES = (0.01, 0.99)
_REST = 1e-6  # of a channel's largest value: a spread below that is rounding


class Normalizer(nn.Module):
    """x -> (x - offset) / scale for each element of each feature. "min_max" brings the data to [-1, 1], "mean_std" to
    mean 0 and standard deviation 1, "quantile" all but a hundredth at each end to [-1, 1], clipping nothing.

    A module whose buffers are the numbers, so that it goes with a policy to its device and into its exported graph.

    Args:
        modes: Feature -> how it is scaled.
        offsets, scales: Feature -> (*shape) of it.

    Raises:
        ValueError: a mode is none of `MODES`, or a scale is not positive and finite.
    """

    def __init__(self, modes: Mapping[str, Mode], offsets: Mapping[str, Tensor], scales: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.modes = dict(modes)
        for name, mode in modes.items():
            if mode not in MODES:
                raise ValueError(f"{name!r} is to be scaled by {mode!r}; ways are {', '.join(MODES)}")
            if not (torch.isfinite(scales[name]) & (scales[name] > 0)).all():
                raise ValueError(f"scales of {name!r} must be positive and finite, not {scales[name].tolist()}")
            self.register_buffer(_buffer("offset", name), offsets[name].float())
            self.register_buffer(_buffer("scale", name), scales[name].float())

    @classmethod
    def fit(
        cls,
        datasets: DatasetReader | Subset | Sequence[DatasetReader | Subset],
        modes: Mapping[str, Mode],
        *,
        constant: Constant = "refuse",
    ) -> Normalizer:
        """To the chosen episodes of one or several datasets.

        Args:
            datasets: Whose; a `Subset` of the training episodes.
            modes: Feature -> how it is scaled.
            constant: What becomes of an element that never changes: "refuse" it, or "keep" it with scale 1.

        Raises:
            DatasetError: there is no such column of numbers, no row, a number that is none, or an element never changes
                (by name); or datasets differ in a feature, its order or its units.
            IndexError: there is no such episode.
            ValueError: there is no dataset, or `constant` is none of these.
        """
        if constant not in get_args(Constant):
            raise ValueError(f"constant elements are {' or '.join(get_args(Constant))}, not {constant!r}")
        listed = [datasets] if isinstance(datasets, DatasetReader | Subset) else list(datasets)
        subsets = [each if isinstance(each, Subset) else Subset(reader=each) for each in listed]
        if not subsets:
            raise ValueError("a normalizer is fitted to at least one dataset")
        check_features([subset.reader for subset in subsets], modes)
        offsets, scales = {}, {}
        for name, mode in modes.items():
            values = np.concatenate([_values(subset, name) for subset in subsets]).astype(np.float64)
            where = f"{', '.join(str(subset.reader.root) for subset in subsets)}: {name!r}"
            if not len(values):
                raise DatasetError(f"{where} has no row in the chosen episodes")
            offset, scale = _fitted(values, mode)
            still = scale <= _REST * np.abs(values).max(axis=0)
            if still.any() and constant == "refuse":
                named = element_names(subsets[0].reader.info.features[name], still)
                raise DatasetError(
                    f"{where} never changes (or hardly, for its quantiles) in {named}: leave the feature out, or keep "
                    "such elements with scale 1 (constant='keep')"
                )
            offsets[name], scales[name] = torch.from_numpy(offset), torch.from_numpy(np.where(still, 1.0, scale))
        return cls(modes, offsets, scales)

    def offset(self, name: str) -> Tensor:
        """(*shape) of the feature, in its unit."""
        return self.get_buffer(_buffer("offset", name))

    def scale(self, name: str) -> Tensor:
        """(*shape) of the feature, in its unit."""
        return self.get_buffer(_buffer("scale", name))

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The batch with those features scaled that it knows; goals like what they are of."""
        known = {name: name.removeprefix("goal.") for name in batch}
        return {
            name: self.normalize(known[name], values) if known[name] in self.modes else values
            for name, values in batch.items()
        }

    def normalize(self, name: str, values: Tensor) -> Tensor:
        """(…, *shape) in the feature's unit -> scaled."""
        numbers = values.float() if values.dtype == torch.bool else values
        return (numbers - self.offset(name)) / self.scale(name)

    def unnormalize(self, name: str, values: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        return values * self.scale(name) + self.offset(name)

    def save(self, path: Path) -> None:
        """Write a safetensors file beside its name, and rename it."""
        partial = path.with_name(f".{path.name}.partial")
        write_synced(partial, save(self.state_dict(), metadata={"modes": json.dumps(self.modes)}))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Normalizer:
        """What `save` wrote. Raises ValueError where it is not that, and OSError."""
        try:
            with safe_open(path, "pt") as file:
                modes = json.loads((file.metadata() or {})["modes"])
                found = {kind: {n: file.get_tensor(_buffer(kind, n)) for n in modes} for kind in ("offset", "scale")}
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no normalizer: {error}") from error
        return cls(modes, found["offset"], found["scale"])


def _buffer(kind: str, name: str) -> str:
    """Names of buffers have no dots, names of features no slashes."""
    return f"{kind}/{name.replace('.', '/')}"


def _values(subset: Subset, name: str) -> NDArray[np.number]:
    check_choice(subset.reader, subset.episodes)
    chosen = [row.index for row in subset.reader.episodes if is_chosen(row, subset.episodes)]
    return load_columns(subset.reader, [name], episodes=chosen)[name]


def _fitted(values: NDArray[np.float64], mode: Mode) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Offset and scale (*shape) of values (n, *shape)."""
    if mode == "mean_std":
        return values.mean(axis=0), values.std(axis=0)
    low, high = (
        np.quantile(values, QUANTILES, axis=0) if mode == "quantile" else (values.min(axis=0), values.max(axis=0))
    )
    return (high + low) / 2, (high - low) / 2
