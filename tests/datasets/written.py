"""Episodes, as a dataset on disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isthmus_datasets.convert.importers.opening import import_dataset
from isthmus_datasets.convert.importers.source import Source
from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Features
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter


def written(
    root: Path, features: Features, episodes: Iterable[Episode] = (), *, fps: int = 10, robot_type: str | None = None
) -> Path:
    """A new dataset of these episodes; gives back `root`."""
    with DatasetWriter.create(root, fps=fps, features=features, robot_type=robot_type) as writer:
        for episode in episodes:
            writer.append(episode)
    return root


def imported(source: Source, root: Path) -> DatasetReader:
    """All episodes of a source."""
    with DatasetWriter.create(root, fps=source.fps, features=source.features, robot_type=source.robot_type) as writer:
        assert import_dataset(source, writer) == len(source.episodes)
    return DatasetReader(root)
