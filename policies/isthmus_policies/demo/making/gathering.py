"""Where the demonstrations of a demo come from: a person's, where they are at hand, or a script's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from isthmus_datasets.convert.importers.source import ImportOptions
from isthmus_datasets.format.info import INFO_FILE, DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.tools.subcommands import Import
from isthmus_policies.demonstrate import record
from isthmus_policies.demonstrate.demonstration import find_demonstration
from isthmus_sim.tasks import make_task

TELEOP = Path("runs") / "teleop"
"""Where `make teleop TASK=…` records, in a folder of the task's name."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Demonstrations of a task: those of a person who said where they are, or who recorded `enough` episodes by
    `make teleop`, or else so many `episodes` of the script of the task `scripted`, from `seed` on; with `images` or
    without."""

    task: str
    scripted: str
    given: Path | None
    enough: int
    episodes: int
    images: bool
    seed: int


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A dataset of demonstrations: where it is and where it comes from (`given` by a person, in words `told`); how many
    episodes and steps at how many a second it has, and how many succeeded, where anything says that."""

    folder: Path
    given: Path | None
    told: str
    episodes: int
    steps: int
    fps: int
    succeeded: int | None


def check_given(path: Path, out: Path) -> None:
    """Raise ValueError for what is not there, or would be removed with an earlier demo's results."""
    if not path.exists():
        raise ValueError(f"--demonstrations {path}: there is nothing; leave it out and a script demonstrates")
    if path.resolve().is_relative_to(out.resolve()):
        raise ValueError(f"--demonstrations {path} lies in {out}, which is emptied first: choose another --out")


def gather(wanted: Wanted, folder: Path, console: Console) -> Gathered:
    """The demonstrations, as a dataset: that of a person where it is, or a new one in `folder`.

    Raises:
        DatasetError: what a person gave cannot be read, or there are fewer than two episodes.
        RegistryError: nobody demonstrates the task.
        RecordingError, OSError: the script's episodes cannot be recorded.
    """
    given = wanted.given or _by_hand(wanted, console)
    if given is None:
        options = record.Options(
            task=wanted.scripted, dataset=folder, episodes=wanted.episodes, images=wanted.images,
            seed=1000 * wanted.seed,
        )  # fmt: skip
        console.print(record.record(options, console), highlight=False, soft_wrap=True)
        return _gathered(folder, None, "shown by a script in simulation")
    if (given / INFO_FILE).is_file():
        return _gathered(given, given, f"from {given.name}")
    _import(wanted, given, folder, console)
    return _gathered(folder, given, f"imported from {given.name}")


def _by_hand(wanted: Wanted, console: Console) -> Path | None:
    """What a person recorded by `make teleop`, where it is enough."""
    folder = TELEOP / wanted.task
    if not (folder / INFO_FILE).is_file():
        return None
    episodes = DatasetReader(folder).num_episodes
    if episodes >= wanted.enough:
        return folder
    console.print(
        f"{folder} has {episodes} episodes, fewer than {wanted.enough}: a script demonstrates", soft_wrap=True
    )
    return None


def _import(wanted: Wanted, source: Path, folder: Path, console: Console) -> None:
    """Raises DatasetError."""
    rate = round(1 / make_task(wanted.task).robot.control_period_s)
    words = find_demonstration(wanted.task).words
    said = ImportOptions(fps=rate, task=words, images=wanted.images)
    try:
        Import(source=source, target=folder, options=said).run(console)
    except DatasetError as error:
        raise DatasetError(f"--demonstrations {source}: {error}; isthmus-dataset import has more options") from error


def _gathered(folder: Path, given: Path | None, told: str) -> Gathered:
    """Raises DatasetError where there are too few."""
    reader = DatasetReader(folder)
    if reader.num_episodes < 2:
        raise DatasetError(
            f"{folder} has {reader.num_episodes} episodes: at least one is learned from and one kept back; record more"
        )
    said = Counter(row.facts.get("success") for row in reader.episodes)
    known = said[True] + said[False] > 0
    return Gathered(
        folder=folder, given=given, told=told, episodes=reader.num_episodes, steps=reader.info.total_frames,
        fps=reader.info.fps, succeeded=said[True] if known else None,
    )  # fmt: skip
