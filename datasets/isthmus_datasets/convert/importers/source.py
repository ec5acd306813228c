"""What every importer gives: how the episodes look, and the episodes one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, overload

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Features
from isthmus_datasets.format.info import DatasetError


@dataclass(frozen=True, kw_only=True)
class Source:
    """Episodes of another format, ready to be appended to a dataset.

    Args:
        fps: Steps per second, the same in all episodes.
        features: The columns of every episode, without the index columns.
        robot_type: What the robot is called; None where nobody says.
        episodes: Read one by one, when asked for, and not kept. A video given as a path stays where it is until the
            next episode is read.
        extra: What else is to be said of the dataset in its meta/info.json.
        findings: Everything that was not as it should be, or could not be kept, one readable line each. Complete once
            the episodes have been read.
    """

    fps: int
    features: Features
    robot_type: str | None
    episodes: Sequence[Episode]
    extra: Mapping[str, Any] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a source does not say itself. None and empty: not said."""

    fps: int | None = None
    """Steps per second; for a ROS 2 bag the rate of the grid that the readings are put on."""
    task: str | None = None
    """What was asked of the operator, in words."""
    robot_type: str | None = None
    """What the robot is called."""
    images: bool = True
    """Whether videos and images are imported."""
    empty_chunks: bool = False
    """zarr: take a chunk without a file for one that was never written, and so all fill value."""
    filter_key: str | None = None
    """robomimic: only the demos of this mask, such as train."""
    state: tuple[str, ...] = ()
    """robomimic: the observations that make `observation.state`, end to end."""
    topics: dict[str, str] = field(default_factory=dict)
    """ROS 2: feature -> TOPIC or TOPIC:FIELD, such as observation.state -> /joint_states:position."""
    stamps: Literal["auto", "header", "arrival"] = "auto"
    """ROS 2: when readings were taken: as their headers say, when the bag received them, or as the headers say where
    all of a topic's can be believed."""
    joints: tuple[str, ...] = ()
    """ROS 2: the joints of a JointState to take, in this order; of one without names, what all of them are called."""
    gap_s: float | None = None
    """ROS 2: where an observed topic pauses for longer, s, an episode ends, and the next begins after it."""
    episodes: tuple[str, ...] = ()
    """ROS 2: what an episode is. TOPIC:FIELD=VALUE, such as /supervisor/state:data=running: while a field has a value.
    TOPIC, such as /start: from each message to the next, on any such topic. All that is said holds, and gap_s too."""
    lossless: tuple[str, ...] = ()
    """Cameras, by the names of their features, whose RGB is kept without loss; depths always are."""

    def only(self, *allowed: str, path: Path) -> None:
        """Raise DatasetError when anything but `allowed` is said: it would be ignored."""
        given = [f.name for f in fields(self) if getattr(self, f.name) != getattr(_NOTHING_SAID, f.name)]
        given = [name for name in given if name not in allowed]
        if given:
            raise DatasetError(
                f"{path}: {', '.join(given)} does not apply here; {', '.join(allowed) or 'nothing'} can be said"
            )


_NOTHING_SAID = ImportOptions()


def require(path: Path, why: str, **values: Any) -> list[Any]:
    """The values. Raises DatasetError with the names of those that are missing."""
    missing = [name for name, value in values.items() if not value]
    if missing:
        raise DatasetError(f"{path}: {why}: give {' and '.join(missing)}")
    return list(values.values())


class LazyEpisodes(Sequence[Episode]):
    """Episodes that are read when asked for, and not kept.

    Args:
        count: How many.
        read: Gives the episode of an index.
    """

    def __init__(self, count: int, read: Callable[[int], Episode]) -> None:
        self._count, self._read = count, read

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> LazyEpisodes: ...
    def __getitem__(self, index: int | slice) -> Episode | LazyEpisodes:
        chosen = range(self._count)[index]
        if isinstance(chosen, int):
            return self._read(chosen)
        return LazyEpisodes(len(chosen), lambda i: self._read(chosen[i]))
