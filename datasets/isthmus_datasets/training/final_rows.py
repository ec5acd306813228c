"""What was observed after episodes' last actions, in memory, for windows that ask for the next observation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus_datasets.format.episode_index import EpisodeRow
from isthmus_datasets.format.features import Feature, Features
from isthmus_datasets.format.final import final_features, final_file
from isthmus_datasets.format.images.frames import scaled
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.parquet import from_arrow, open_parquet
from isthmus_datasets.format.reader import DatasetReader

_ROWS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class FinalRows:
    """What E episodes end with: their final observations.

    Args:
        kept: (E,) bool: whether a final observation was kept, which LeRobot does not.
        values: Column -> (E, *shape), floats as float32; camera -> (E, 3, H, W) uint8; zeros where none was kept.
    """

    kept: NDArray[np.bool_]
    values: dict[str, NDArray[Any]]

    def joined(self, others: FinalRows) -> FinalRows:
        """These, and those of later episodes."""
        values = {name: np.concatenate([each, others.values[name]]) for name, each in self.values.items()}
        return FinalRows(kept=np.concatenate([self.kept, others.kept]), values=values)


def load_finals(
    reader: DatasetReader, names: Sequence[str], episodes: Sequence[EpisodeRow], *, size: tuple[int, int] | None
) -> FinalRows:
    """Those of some columns and cameras; of names that no final observation has, nothing.

    Args:
        reader: The dataset.
        names: Columns and cameras.
        episodes: Whose, in the order of the dataset.
        size: (H, W) of images; None for the dataset's own.

    Raises:
        DatasetError: a file is damaged, or lacks one of them; or a number is none.
    """
    features = {name: feature for name, feature in final_features(reader.info.features).items() if name in names}
    values = {name: _empty(feature, len(episodes), size) for name, feature in features.items()}
    result = FinalRows(kept=np.zeros(len(episodes), bool), values=values)
    places = {row.index: place for place, row in enumerate(episodes)}
    files = [reader.root / final_file(*at) for at, _ in groupby(episodes, key=lambda row: (row.chunk, row.file))]
    for path in (file for file in files if features and file.exists()):
        try:
            for rows in _batches(path, ["episode_index", *features]):
                _take(rows, places, features, result)
        except ValueError as error:
            raise DatasetError(f"{path}: {error}") from error
    return result


def _batches(path: Path, names: list[str]) -> Iterator[pa.Table]:
    """A few rows at a time, since images are large."""
    with open_parquet(path) as file:
        if lacking := sorted(set(names) - set(file.schema_arrow.names)):
            raise DatasetError(f"{path} lacks the column {', '.join(lacking)} that meta/info.json declares")
        for batch in file.iter_batches(_ROWS, columns=names, use_threads=False):
            yield pa.Table.from_batches([batch])


def _empty(feature: Feature, count: int, size: tuple[int, int] | None) -> NDArray[Any]:
    if feature.is_image:
        return np.zeros((count, 3, *(size or feature.shape[:2])), np.uint8)
    return np.zeros((count, *feature.shape), np.float32 if feature.numpy == np.float64 else feature.numpy)


def _take(rows: pa.Table, places: Mapping[int, int], features: Features, into: FinalRows) -> None:
    """Put the rows of those episodes into their places."""
    indices = rows["episode_index"].to_pylist()
    wanted = [number for number, index in enumerate(indices) if index in places]
    if not wanted:
        return
    where = [places[indices[number]] for number in wanted]
    into.kept[where] = True
    for name, feature in features.items():
        found, values = from_arrow(feature, rows[name].take(wanted)), into.values[name]
        if feature.is_image:
            size = (values.shape[2], values.shape[3])
            for place, image in zip(where, found, strict=True):
                values[place] = scaled(image, size).transpose(2, 0, 1)
        elif found.dtype.kind == "f" and not np.isfinite(found).all():
            spoilt = [indices[number] for number, row in zip(wanted, found, strict=True) if not np.isfinite(row).all()]
            raise ValueError(f"episode {spoilt[0]}: {name!r} is not finite after its last action: leave it out")
        else:
            values[where] = found
