"""Subcommands of `isthmus-dataset` that make datasets out of something: another format, or other datasets.

Sources are never changed; what is made appears under its name when it is whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from isthmus_datasets.convert.exporters.zarr_v2 import export_replay_buffer
from isthmus_datasets.convert.importers.opening import import_dataset, open_source
from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.quarantine import recover
from isthmus_datasets.tools.losses import refuse_losses
from isthmus_datasets.tools.migration import migrate
from isthmus_datasets.tools.operations import (
    delete_episodes,
    keep_episodes,
    merge,
    recompute_statistics,
    reencode,
    split,
    streamed,
)
from isthmus_datasets.tools.packing import new_dataset, pack

Source = Annotated[Path, tyro.conf.Positional]
Target = Annotated[Path, tyro.conf.Positional]


@dataclass(frozen=True, kw_only=True)
class View:
    """Print what a dataset holds, an episode a line."""

    path: Source
    """Folder of the dataset."""

    def run(self, console: Console) -> int:
        reader = DatasetReader(self.path)
        info = reader.info
        console.print(
            f"{self.path}: {info.total_episodes} episodes, {info.total_frames} steps at {info.fps} Hz, "
            f"robot {info.robot_type or 'not said'}", highlight=False,
        )  # fmt: skip
        for name, feature in info.features.items():
            console.print(f"  {name}: {feature.dtype} {list(feature.shape)}", highlight=False)
        table = Table("episode", "steps", "seconds", "task", "facts")
        for row in reader.episodes:
            facts = ", ".join(f"{name} {value}" for name, value in row.facts.items())
            table.add_row(str(row.index), str(row.length), f"{row.length / info.fps:.1f}", " / ".join(row.tasks), facts)
        console.print(table)
        return 0


@dataclass(frozen=True, kw_only=True)
class Import:
    """Make a dataset of another format's: LeRobot v2.1, a zarr v2 replay buffer, robomimic's HDF5, a ROS 2 bag."""

    source: Source
    """File or folder; what it is shows."""
    target: Target
    """Folder of the new dataset."""
    options: Annotated[ImportOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=ImportOptions)

    def run(self, console: Console) -> int:
        source = open_source(self.source, self.options)
        declared = {"fps": source.fps, "features": source.features, "robot_type": source.robot_type,
                    "extra": source.extra}  # fmt: skip
        with (
            new_dataset(self.target) as folder,
            DatasetWriter.create(folder, **declared) as writer,
            console.status(f"importing {len(source.episodes)} episodes"),
        ):
            import_dataset(source, writer)
        for finding in source.findings:
            console.print(f"  {finding}", highlight=False, markup=False)
        code = _made(self.target, console)
        console.print(f"next: isthmus-dataset check {self.target}", highlight=False)
        return code


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a zarr v2 replay buffer, as the diffusion policy project reads it."""

    source: Source
    """Folder of the dataset."""
    target: Target
    """The new .zarr folder."""

    def run(self, console: Console) -> int:
        reader = DatasetReader(self.source)
        refuse_losses(reader)
        info = reader.info
        features = {name: f for name, f in info.features.items() if name in info.columns or name in info.cameras}
        episodes = (streamed(reader, index) for index in range(reader.num_episodes))
        said = {"fps": info.fps, "robot_type": info.robot_type, "extra": info.extra}
        export_replay_buffer(self.target, episodes, features=features, **said)
        console.print(f"{self.target}: {reader.num_episodes} episodes", highlight=False)
        return 0


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Make one dataset of several, in their order."""

    target: Target
    """Folder of the new dataset."""
    sources: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of the datasets."""

    def run(self, console: Console) -> int:
        merge(self.sources, self.target)
        return _made(self.target, console)


@dataclass(frozen=True, kw_only=True)
class Select:
    """Make a dataset of some episodes: those to keep in that order, or all but those to delete."""

    source: Source
    """Folder of the dataset."""
    target: Target
    """Folder of the new dataset."""
    keep: tuple[int, ...] = ()
    """Numbers of the episodes to keep."""
    delete: tuple[int, ...] = ()
    """Numbers of the episodes to leave out."""

    def run(self, console: Console) -> int:
        if bool(self.keep) == bool(self.delete):
            raise DatasetError("say either --keep or --delete, with the numbers of episodes")
        if self.keep:
            keep_episodes(self.source, self.target, self.keep)
        else:
            delete_episodes(self.source, self.target, self.delete)
        return _made(self.target, console)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Make two datasets of one: the first episodes, such as for training, and the rest."""

    source: Source
    """Folder of the dataset."""
    first: Target
    """Folder for the first episodes."""
    rest: Annotated[Path, tyro.conf.Positional]
    """Folder for the rest."""
    share: float = 0.9
    """Share of the episodes that are first."""

    def run(self, console: Console) -> int:
        count = DatasetReader(self.source).num_episodes
        cut = round(self.share * count)
        if not 0 < cut < count:
            raise DatasetError(f"--share {self.share:g} of {count} episodes leaves one side without any")
        split(self.source, {self.first: range(cut), self.rest: range(cut, count)})
        return _made(self.first, console) or _made(self.rest, console)


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Make LeRobot's usual large files of an episode's own ones: quicker to open and to copy."""

    source: Source
    """Folder of the dataset."""
    target: Target
    """Folder of the new dataset."""

    def run(self, console: Console) -> int:
        pack(self.source, self.target)
        return _made(self.target, console)


@dataclass(frozen=True, kw_only=True)
class Reencode:
    """Encode all videos anew, for size or for quick random access. Depths, and what is without loss, stay exact."""

    source: Source
    """Folder of the dataset."""
    target: Target
    """Folder of the new dataset."""
    crf: int = 23
    """Constant rate factor of x264: 18 can hardly be told from the source, 28 is small."""
    key_every: int = 10
    """Frames from one key frame to the next."""
    lossless: tuple[str, ...] = ()
    """Cameras that lose nothing from now on."""

    def run(self, console: Console) -> int:
        reencode(self.source, self.target, crf=self.crf, key_every=self.key_every, lossless=self.lossless)
        return _made(self.target, console)


@dataclass(frozen=True, kw_only=True)
class Migrate:
    """Make today's dataset of one that an earlier version of this program recorded."""

    source: Source
    """Folder of the dataset."""
    target: Target
    """Folder of the new dataset."""

    def run(self, console: Console) -> int:
        unknown = migrate(self.source, self.target)
        if unknown:
            console.print(
                f"  what the policy would have done was not recorded in {unknown} steps: the action stands there"
            )
        return _made(self.target, console)


@dataclass(frozen=True, kw_only=True)
class Recover:
    """Save the finished episodes for which the disk had no room, as the next recording into the dataset does too."""

    path: Source
    """Folder of the dataset."""

    def run(self, console: Console) -> int:
        with DatasetWriter.open(self.path) as writer:
            numbers = recover(writer)
        said = f"saved now: episode {', '.join(map(str, numbers))}" if numbers else "no episode waits to be saved"
        console.print(said, highlight=False)
        return _made(self.path, console)


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Compute the statistics anew, in place."""

    path: Source
    """Folder of the dataset."""

    def run(self, console: Console) -> int:
        recompute_statistics(self.path)
        return _made(self.path, console)


def _made(path: Path, console: Console) -> int:
    info = DatasetReader(path).info
    console.print(f"{path}: {info.total_episodes} episodes, {info.total_frames} steps", highlight=False)
    return 0
