"""What is told of a demonstration right after it was saved: whether it fits those that were learned from before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_policies.chunks.compatibility.command import in_words, load_runs
from isthmus_policies.chunks.compatibility.score import Compatibility


@dataclass(frozen=True, kw_only=True)
class Review:
    """Whether a demonstration is compatible, and a sentence about it."""

    compatible: bool
    words: str


class Reviewer:
    """Scores episodes of a dataset that is being recorded.

    Args:
        runs: Folders of runs of cloning, of the same demonstrations with other seeds.
        dataset: Folder of the dataset.

    Raises:
        ValueError, OSError: the runs cannot score.
        DatasetError: the dataset has no column that they read or give.
    """

    def __init__(self, runs: tuple[Path, ...], dataset: Path) -> None:
        loaded = load_runs(runs)
        spec = loaded[0].policy.spec
        self._compatibility, self._dataset, self._fps = Compatibility.fit(loaded), dataset, spec.fps
        self._names = (*spec.columns, spec.action)
        there = DatasetReader(dataset).info.columns
        if missing := sorted(set(self._names) - set(there)):
            raise DatasetError(f"{dataset} has no column {', '.join(missing)}, which the runs read or give")

    def review(self, index: int) -> Review:
        """Judge a saved episode."""
        scored = self._compatibility.score(DatasetReader(self._dataset).columns(index, self._names))
        least, told = self._compatibility.least, f"compatibility {scored.score:.2f}"
        if scored.score >= least:
            return Review(compatible=True, words=f"{told}, kept")
        doubtful = in_words(scored, self._fps)
        where = f"doubtful from {doubtful} s" if doubtful else "doubtful all along"
        return Review(
            compatible=False, words=f"{told}, below {least:.2f}: {where}; show it once more, from the same start"
        )
