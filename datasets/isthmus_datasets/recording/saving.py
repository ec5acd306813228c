"""Saving what was recorded: a full disk costs no finished episode."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.writer import RECORDING, DatasetWriter, Unconfirmed
from isthmus_datasets.recording.encoding.episode_videos import EpisodeVideos
from isthmus_datasets.recording.ending import Ending
from isthmus_datasets.recording.operator import Event
from isthmus_datasets.recording.outcome import Outcome, UnsavedError
from isthmus_datasets.recording.quarantine import remove, set_aside
from isthmus_datasets.recording.rate import Timing
from isthmus_datasets.recording.reserve import Reserve


@dataclass(frozen=True, kw_only=True, eq=False)
class Finished:
    """An episode that is to be saved.

    Args:
        episode: Its rows, and its videos as files.
        timing: How well it kept the rate.
        event, ending: What the operator wanted last, and how it has ended.
        lost: What is wrong with the sensor that was lost; empty where none was.
        folder: Where it waits for room on the disk; None where it does not.
    """

    episode: Episode
    timing: Timing
    event: Event
    ending: Ending
    lost: str = ""
    folder: Path | None = None


class Saver:
    """Saves episodes, one at a time.

    Args:
        writer: The dataset.
        videos: Where the episode's videos are before it is saved.
    """

    def __init__(self, writer: DatasetWriter, videos: EpisodeVideos) -> None:
        self._writer, self._videos = writer, videos
        self._reserve = Reserve(writer.root / RECORDING / "reserve")
        self.unsaved: Finished | None = None
        """The one that could not be saved: it is to be saved before another."""
        self.timing = Timing(writer.info.fps)
        """How well those that were saved kept the rate."""

    def begin(self) -> None:
        """An episode begins: see that there is room to set it aside. Raises OSError when there is none."""
        self._reserve.take()

    def save(self, finished: Finished) -> Outcome:
        """Append to the dataset.

        Raises:
            UnsavedError: it cannot be written; the message says where it waits.
            DatasetError: it is not what the dataset declares.
        """
        doubt, steps, self.unsaved = "", finished.episode.length, None
        try:
            index = self._writer.append(finished.episode)
        except Unconfirmed as error:
            index, doubt = error.index, str(error.strerror)
        except OSError as error:
            lost, number = f"{finished.lost}: " if finished.lost else "", self._writer.num_episodes
            raise UnsavedError(
                f"{self._writer.root}: {lost}episode {number} of {steps} steps is not saved yet: {error}; "
                f"{self._set_aside(finished)}"
            ) from error
        if finished.folder and not doubt:
            with suppress(OSError):  # where it stays, `recover` sees that the dataset has it
                remove(finished.folder)
        self.timing.include(finished.timing)
        kept = f"{finished.lost}: episode {index} was kept up to there, {steps} steps" if finished.lost else ""
        reason = "; ".join(filter(None, (kept, doubt)))
        return Outcome(index=index, steps=steps, event=finished.event, ending=finished.ending, reason=reason)

    def _set_aside(self, finished: Finished) -> str:
        """Keep the episode, on the disk if that can be; says where."""
        self.unsaved, root = finished, self._writer.root
        if finished.folder is None:
            assert self._videos.episode
            self._reserve.release()
            try:
                folder, there = set_aside(root, self._writer.info, finished.episode, self._videos.episode)
            except OSError as error:
                return f"nor can it wait on the disk ({error}): make room before this program ends, or it is lost"
            self.unsaved = finished = replace(finished, folder=folder, episode=there)
        return (
            f"it waits in {finished.folder} and is saved before the next one begins, or by `isthmus-dataset recover "
            f"{root}`: make room first"
        )
