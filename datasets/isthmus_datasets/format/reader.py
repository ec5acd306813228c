"""Reading a dataset: ours, of one file an episode, and LeRobot's, of many episodes a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.episode_index import EpisodeRow, read_episodes
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.final import final_file, read_final
from isthmus_datasets.format.image_rows import image_files, row_parts
from isthmus_datasets.format.images.frames import read_frames, scaled, stream_frames
from isthmus_datasets.format.images.pixels import PixelError, Pixels
from isthmus_datasets.format.info import DatasetError, DatasetInfo
from isthmus_datasets.format.parquet import checked_image, from_arrow, read_rows
from isthmus_datasets.format.tasks import read_tasks


class DatasetReader:
    """A LeRobot v3.0 dataset as it was when this was made: episodes that are appended later are not seen.

    Args:
        root: Its folder.

    Raises:
        DatasetError: there is no dataset, it is of another version, or a file about its episodes is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.info = DatasetInfo.from_file(self.root)
        self.episodes: list[EpisodeRow] = read_episodes(self.root, self.info)
        self.tasks = read_tasks(self.root, self.info)
        self._starts: dict[tuple[int, int], int] = {}
        for row in self.episodes:
            self._starts.setdefault((row.chunk, row.file), row.first)

    @property
    def num_episodes(self) -> int:
        """How many are committed."""
        return len(self.episodes)

    def episode(self, index: int, videos: bool = True) -> Episode:
        """All of one episode, as it was appended; without its images, of videos and of columns, if not `videos`.

        Raises:
            IndexError: there is no such episode.
            DatasetError: a file is missing or damaged; the message names it and the episode.
        """
        row, features = self._row(index), self.info.features
        return Episode(
            columns=self.columns(index, [n for n in self.info.columns if videos or not features[n].is_image]),
            videos={camera: self.frames(index, camera) for camera in self.info.cameras} if videos else {},
            task=row.tasks[0],
            facts=dict(row.facts),
            final=self.final(index),
        )

    def final(self, index: int) -> dict[str, NDArray[Any]] | None:
        """What was observed after an episode's last action: observation column or camera -> (*shape), images as they
        were; None where that was not kept, as by LeRobot itself. Raises as `columns`."""
        row = self._row(index)
        with self._naming(index):
            return read_final(self.root / final_file(row.chunk, row.file), self.info.features, index)

    def columns(self, index: int, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Columns of one episode: name -> (T, *shape) of the declared type; strings are objects.

        Args:
            index: Number of the episode.
            names: Which; None for all, index columns included.

        Raises:
            IndexError: there is no such episode.
            DatasetError: a name is not declared, or the file is missing, damaged, or holds other rows.
        """
        features = self.info.parquet_features
        wanted = list(features) if names is None else list(names)
        rows, path = self.table(index, wanted), self._data_file(index)
        with self._naming(index):
            return {name: _column(path, name, features[name], rows[name]) for name in wanted}

    def table(self, index: int, names: Sequence[str] | None = None) -> pa.Table:
        """The same as `columns` as they are in the file."""
        row, features = self._row(index), self.info.parquet_features
        with self._naming(index):
            wanted = list(features) if names is None else list(names)
            if set(wanted) - set(features):
                raise DatasetError(f"there is no column {', '.join(sorted(set(wanted) - set(features)))}")
            path, first = self._data_file(index), self._first(index)
            rows = read_rows(path, list(dict.fromkeys((*wanted, "episode_index"))), first=first, count=row.length)
            if rows["episode_index"].unique().to_pylist() != [index]:
                raise DatasetError(f"{path} holds other rows than meta/episodes says: check the dataset")
            return rows.select(wanted)

    def frames(self, index: int, camera: str, rows: Sequence[int] | NDArray[np.integer] | None = None) -> Pixels:
        """Frames of one episode's camera: (k, H, W, 3) uint8 RGB, or (k, H, W, 1) uint16 of depths.

        Args:
            index: Number of the episode.
            camera: Name of the video feature.
            rows: Which, in any order; None for all.

        Raises:
            IndexError: there is no such episode or row.
            DatasetError: there is no such camera, or the file is missing, damaged, or lacks a frame.
        """
        row = self._row(index)
        numbers = np.arange(row.length) if rows is None else np.asarray(rows, np.int64)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < row.length:
            raise IndexError(f"{self.root}: episode {index} has rows 0 to {row.length - 1}, asked for {numbers}")
        with self._naming(index):
            path, first = self.video_start(index, camera)
            return read_frames(path, numbers + first, fps=self.info.fps)

    def stream(self, index: int, camera: str, *, size: tuple[int, int] | None = None) -> Iterator[Pixels]:
        """All frames of one episode's camera or image column, one after the other: each (H, W, 3) uint8 RGB, scaled to
        `size` (H, W), or (H, W, 1) uint16 of depths. Raises as `frames`, and DatasetError where they have another shape
        than declared, or depths are to be scaled."""
        row, feature = self._row(index), self.info.features.get(camera)
        with self._naming(index):
            if feature is not None and feature.dtype == "image":
                for content in self.image_files(index, camera):
                    yield scaled(_image(self._data_file(index), camera, feature, content), size)
                return
            path, first = self.video_start(index, camera)
            shape = self.info.features[camera].shape
            yield from stream_frames(path, first, row.length, fps=self.info.fps, shape=shape, size=size)

    def parts(self, index: int) -> Iterator[pa.Table]:
        """The rows as they are in the file: all at once where they have no images, else a few at a time. Raises as
        `columns`."""
        if not any(feature.is_image for feature in self.info.parquet_features.values()):
            yield self.table(index)
            return
        names, rows = list(self.info.parquet_features), self._rows(index)
        with self._naming(index):
            for part in row_parts(self._data_file(index), names, **rows):
                yield part.select(names)

    def image_files(self, index: int, name: str) -> Iterator[bytes]:
        """The PNG or JPEG files in an image column, one after the other. Raises as `columns`."""
        rows = self._rows(index)
        with self._naming(index):
            yield from image_files(self._data_file(index), name, **rows)

    def video_start(self, index: int, camera: str) -> tuple[Path, int]:
        """The mp4 file that holds an episode's frames, and the number of the first one in it. Raises as `frames`."""
        row = self._row(index)
        if camera not in row.videos:
            raise DatasetError(f"there is no camera {camera!r}; there is {', '.join(row.videos) or 'none'}")
        place = row.videos[camera]
        path = self.root / self.info.video_file(camera, place.chunk, place.file)
        return path, round(place.start_s * self.info.fps)

    def _first(self, index: int) -> int:
        """Number of the episode's first row in its file."""
        row = self._row(index)
        return row.first - self._starts[row.chunk, row.file]

    def _rows(self, index: int) -> dict[str, int]:
        """The episode's rows in its file, whose numbers say that they are."""
        self.table(index, [])
        return {"first": self._first(index), "count": self._row(index).length}

    def _data_file(self, index: int) -> Path:
        row = self._row(index)
        return self.root / self.info.data_file(row.chunk, row.file)

    def _row(self, index: int) -> EpisodeRow:
        if not 0 <= index < self.num_episodes:
            raise IndexError(f"{self.root} has {self.num_episodes} episodes, there is no episode {index}")
        return self.episodes[index]

    @contextmanager
    def _naming(self, index: int) -> Iterator[None]:
        try:
            yield
        except (DatasetError, PixelError) as error:
            raise DatasetError(f"{self.root}: episode {index}: {error}") from error


def _image(path: Path, name: str, feature: Feature, content: bytes) -> Pixels:
    try:
        return checked_image(feature, content)
    except ValueError as error:
        raise DatasetError(f"{path}: column {name!r} {error}") from error


def _column(path: Path, name: str, feature: Any, column: Any) -> NDArray[Any]:
    try:
        return from_arrow(feature, column)
    except ValueError as error:
        raise DatasetError(f"{path}: column {name!r} {error}") from error
