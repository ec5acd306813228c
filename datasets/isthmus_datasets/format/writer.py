"""Adding episodes to a dataset so that none is ever half there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.episode_index import episode_schema, read_episode_statistics, read_episodes
from isthmus_datasets.format.features import INDEX_FEATURES, Features
from isthmus_datasets.format.files import Lock, Staging, make_folder, move, remove_folder, sync, write_synced
from isthmus_datasets.format.info import DATA_PATH, INFO_FILE, VIDEO_PATH, DatasetError, DatasetInfo, check_declaration
from isthmus_datasets.format.staging import STATS_FILE, Committed, Staged, check_episode, stage
from isthmus_datasets.format.statistics import Statistics, aggregate, from_json
from isthmus_datasets.format.tasks import TASKS_FILE, other_columns, read_tasks

STAGING = ".staging"
RECORDING = ".recording"
"""Where a recorder has the videos of the episode in progress."""
LOCK = ".lock"


class Unconfirmed(OSError):  # noqa: N818 (reads as what it is)
    """An episode is saved, but the disk has not confirmed that it will survive a power cut."""

    def __init__(self, error: OSError, root: Path, index: int) -> None:
        super().__init__(error.errno, f"episode {index} is in {root}, but the disk does not confirm it: check the disk")
        self.index = index


class DatasetWriter:
    """Appends episodes to a LeRobot v3.0 dataset, each in files of its own, which makes the thousandth cost what the
    first did. Made by `create` or `open`; a context manager.

    An episode is first written beside the dataset, flushed, and its videos decoded and counted. Then its files are
    renamed into place, meta/info.json last: that rename is the commit. A process that dies at any moment, or a disk
    that is full, loses at most the episode in progress; its remains are not counted by meta/info.json, and go away
    with the next `open`.
    """

    def __init__(self, root: Path, lock: Lock, committed: Committed) -> None:
        self.root, self._lock, self._committed, self._closed = root, lock, committed, False

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        fps: int,
        features: Features,
        robot_type: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> DatasetWriter:
        """A new dataset without episodes.

        Args:
            root: Its folder: empty, or not there yet.
            fps: Rows a second.
            features: name -> column or video, without the index columns.
            robot_type: Such as "so101".
            extra: What else meta/info.json shall say.

        Raises:
            DatasetError: the folder is not empty, another process writes there, or LeRobot cannot read such features.
            OSError: it cannot be written.
        """
        check_declaration(fps, features)
        videos = any(feature.is_video for feature in features.values())
        info = DatasetInfo(
            fps=fps,
            features=features | INDEX_FEATURES,
            robot_type=robot_type,
            video_path=VIDEO_PATH if videos else None,
            extra=extra or {},
        )
        _check_empty(root)
        make_folder(root)
        lock = Lock(root / LOCK)
        try:
            _check_empty(root)  # again: nobody else makes one here now
            with Staging(root / STAGING) as folder:
                write_synced(folder / INFO_FILE.name, info.to_json())
                move(folder / INFO_FILE.name, root / INFO_FILE)
            sync((root / INFO_FILE).parent)
        except (DatasetError, OSError):
            lock.close()
            raise
        return cls(root, lock, Committed(info=info, tasks=(), statistics={}))

    @classmethod
    def open(cls, root: Path) -> DatasetWriter:
        """Go on with a dataset; what a crash has left over is removed.

        Raises:
            DatasetError: there is none, it is of another version or damaged, or another process writes to it.
        """
        info = DatasetInfo.from_file(root)
        lock = Lock(root / LOCK)
        try:
            info = DatasetInfo.from_file(root)  # again: nobody else changes it now
            if others := other_columns(root, info):
                raise DatasetError(f"{root}/{TASKS_FILE}: {', '.join(others)} would be lost: append to a copy without")
            remove_folder(root / STAGING)
            remove_folder(root / RECORDING)
            _remove_leftovers(root, info)
            committed = Committed(
                info=info,
                tasks=read_tasks(root, info),
                statistics=_read_statistics(root, info),
                episode_schema=episode_schema(root),
            )
        except (DatasetError, OSError):
            lock.close()
            raise
        return cls(root, lock, committed)

    @property
    def info(self) -> DatasetInfo:
        """What meta/info.json says now."""
        return self._committed.info

    @property
    def num_episodes(self) -> int:
        """How many are safe."""
        return self._committed.info.total_episodes

    def append(self, episode: Episode) -> int:
        """Add an episode; when this returns, it is on the disk. Returns its index.

        Raises:
            DatasetError: the episode is not what the dataset declares (zero steps; a column missing, not declared, of
                another type or shape, or not finite; a fact that the dataset has no column for; a video whose decoded
                frames are not one for each row), or the writer is closed.
            OSError: a file cannot be written, such as on a full disk; the message names it.
            Unconfirmed: the episode is saved, perhaps not for good.
            In all cases what was saved stays as it was, and another episode can be appended.
        """
        if self._closed:
            raise DatasetError(f"{self.root}: the writer is closed: open it again")
        index = self.num_episodes
        try:
            check_episode(self.info, episode)
            with Staging(self.root / STAGING) as folder:
                self._join(stage(folder, episode, self._committed))
        except DatasetError as error:
            raise DatasetError(f"{self.root}: {error}") from error
        return index

    def _join(self, staged: Staged) -> None:
        """Rename into place; all but the last are on the disk before the last, the commit, is done."""
        *parts, (info, committed) = [(source, self.root / target) for source, target in staged.moves]
        for source, target in parts:
            move(source, target)
        for folder in {target.parent for _, target in parts}:
            sync(folder)
        move(info, committed)
        self._committed = staged.committed
        try:
            sync(committed.parent)
        except OSError as error:
            raise Unconfirmed(error, self.root, self.num_episodes - 1) from error

    def close(self) -> None:
        """Let others write. Nothing is left to be saved."""
        self._closed = True
        self._lock.close()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_empty(root: Path) -> None:
    """Files count, folders do not: a crash in `create` leaves an empty one."""
    if root.exists() and any(path.is_file() and path.name != LOCK for path in root.rglob("*")):
        raise DatasetError(f"{root} is not empty: open the dataset in it, or choose another folder")


def _remove_leftovers(root: Path, info: DatasetInfo) -> None:
    """Remove the files of an episode that was not committed.

    An episode's files have its number. So those of the first number that is free are left over from a crash, unless
    others have numbered the files in a way of their own: that is an error, and nothing is removed.
    """
    if info.data_path != DATA_PATH or info.video_path not in (VIDEO_PATH, None):
        raise DatasetError(f"{root} names its files {info.data_path!r}, {info.video_path!r}: pack it first")
    files = [path for pattern in _patterns(info) for path in root.glob(pattern)]
    last = max((_number(path, info) for path in files), default=-1)
    if last < info.total_episodes:
        return
    rows = read_episodes(root, info)
    places = [(row.chunk, row.file) for row in rows]
    places += [(place.chunk, place.file) for row in rows for place in row.videos.values()]
    if last > info.total_episodes or divmod(last, info.chunks_size) in places:
        raise DatasetError(f"{root} has file numbers beyond its {info.total_episodes} episodes: pack it first")
    for path in files:
        if _number(path, info) == last:
            path.unlink()


def _patterns(info: DatasetInfo) -> list[str]:
    """Patterns of the names of all files that belong to episodes."""
    parquet = [f"{folder}/chunk-*/file-*.parquet" for folder in ("data", "meta/episodes", "meta/final")]
    return parquet + [f"videos/{camera}/chunk-*/file-*.mp4" for camera in info.cameras]


def _number(path: Path, info: DatasetInfo) -> int:
    chunk, file = path.parent.name.removeprefix("chunk-"), path.stem.removeprefix("file-")
    return int(chunk) * info.chunks_size + int(file)


def _read_statistics(root: Path, info: DatasetInfo) -> Statistics:
    """From meta/stats.json; where that is missing or not of these episodes, anew from those of each."""
    path = root / STATS_FILE
    try:
        statistics = from_json(path.read_bytes())
        if _fits(statistics, info):
            return statistics
    except (FileNotFoundError, ValueError):
        pass  # a crash can leave it one episode ahead; nothing in it is only there
    statistics = aggregate(read_episode_statistics(root, info))
    if not _fits(statistics, info):
        raise DatasetError(f"{path} and meta/episodes do not hold the statistics of all episodes: recompute them")
    return statistics


def _fits(statistics: Statistics, info: DatasetInfo) -> bool:
    """Whether it has all features, of all rows."""
    counted = [name for name, feature in info.parquet_features.items() if not feature.is_image]
    numbers = [name for name in counted if info.features[name].dtype != "string"]
    if info.total_episodes == 0:
        return True
    return all(name in statistics and int(statistics[name]["count"][0]) == info.total_frames for name in numbers)
