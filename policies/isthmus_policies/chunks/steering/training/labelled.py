"""Demonstrations that succeeded or failed, as transitions of chunks with rewards."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.training.dataset import Batch, Subset, WindowDataset
from isthmus_datasets.training.loaded_columns import load_columns
from isthmus_datasets.training.windows import WindowConfig
from isthmus_policies.chunks.chunk_policy import ChunkSpec
from isthmus_policies.chunks.steering.iql import Transitions

SUCCESS = "next.success"
"""The column that tells, in an episode's last row, where its facts do not."""


def outcomes(reader: DatasetReader) -> dict[int, bool]:
    """Episode -> whether it succeeded, by the fact `success`, else by the column `next.success`; episodes of which
    neither tells are left out."""
    told = {row.index: row.facts.get("success") for row in reader.episodes}
    known = {index: bool(success) for index, success in told.items() if success is not None}
    if known or SUCCESS not in reader.info.features:
        return known
    last = np.cumsum([row.length for row in reader.episodes]) - 1
    succeeded = load_columns(reader, [SUCCESS])[SUCCESS].reshape(-1)[last]
    return {row.index: bool(success) for row, success in zip(reader.episodes, succeeded, strict=True)}


class LabelledChunks:
    """Every executed chunk of the episodes that are told to have succeeded or failed, those cut short by an episode's
    end among them: there the last action stands for those that were not.

    Args:
        readers: The datasets.
        spec: What is observed; its horizon is how much of a chunk is executed.
        reward_steps: How many last steps of a success earn a reward of 1.
        discount: What a reward is worth a step later.

    Raises:
        DatasetError: no episode is told to have succeeded, or none to have failed.
    """

    def __init__(self, readers: list[DatasetReader], spec: ChunkSpec, reward_steps: int, discount: float) -> None:
        told = [outcomes(reader) for reader in readers]
        _require_both(readers, told)
        self.subsets = [
            Subset(reader=reader, episodes=tuple(known)) for reader, known in zip(readers, told, strict=True) if known
        ]
        seen = (1 - spec.observed, spec.horizon)
        windows = WindowConfig(
            columns=dict.fromkeys(spec.columns, seen) | {spec.action: (0, spec.horizon - 1)},
            cameras=dict.fromkeys(spec.cameras, seen),
        )
        size = next(iter(spec.cameras.values()), None)
        self.windows = WindowDataset(self.subsets, windows, size=size)
        self._spec = spec
        left = self.windows.table.high - self.windows.table.current
        self._reward = torch.from_numpy(
            _rewards(left, self._succeeded([known for known in told if known]), spec.horizon, reward_steps, discount)
        )
        # Where no row follows the chunk, its end is the episode's.
        self._kept = torch.from_numpy(np.where(left >= spec.horizon, discount**spec.horizon, 0.0)).float()

    def transitions(self, windows: NDArray[np.int64], batch: Batch) -> Transitions:
        """A batch of `windows`, which has these numbers (n,)."""
        spec, numbers = self._spec, torch.from_numpy(windows)

        def seen(first: int) -> dict[str, Tensor]:
            return {name: batch[name][:, first : first + spec.observed] for name in (*spec.columns, *spec.cameras)}

        return Transitions(
            before=seen(0),
            after=seen(spec.horizon),
            chunks=batch[spec.action],
            reward=self._reward[numbers],
            kept=self._kept[numbers],
        )

    def _succeeded(self, told: list[dict[int, bool]]) -> NDArray[np.bool_]:
        """(windows,): whether each one's episode succeeded."""
        table, result = self.windows.table, np.zeros(len(self.windows), bool)
        for number, (source, known) in enumerate(zip(self.windows.sources, told, strict=True)):
            inside = table.source == number
            result[inside] = np.array([known[row.index] for row in source.rows])[table.episode[inside]]
        return result


def _rewards(
    left: NDArray[np.int64], succeeded: NDArray[np.bool_], execute: int, reward_steps: int, discount: float
) -> NDArray[np.float32]:
    """(n,): of chunks that begin `left` (n,) steps before the last one."""
    remaining = left[:, None] - np.arange(execute)
    earned = (remaining >= 0) & (remaining < reward_steps) & succeeded[:, None]
    return (earned * discount ** np.arange(execute)).sum(axis=1).astype(np.float32)


def _require_both(readers: list[DatasetReader], told: list[dict[int, bool]]) -> None:
    """Raises DatasetError where there are not both successes and failures."""
    labels = [success for known in told for success in known.values()]
    roots = ", ".join(str(reader.root) for reader in readers)
    if not labels:
        raise DatasetError(
            f"{roots}: no episode says whether it succeeded; a scorer learns from the fact 'success' of each episode, "
            f"or from the column {SUCCESS!r}"
        )
    if len(set(labels)) < 2:
        kind, lacking = ("success", "failures") if labels[0] else ("failure", "successes")
        raise DatasetError(
            f"{roots}: all {len(labels)} episodes are told to be a {kind}; a scorer learns what tells the two apart: "
            f"add episodes that are {lacking}"
        )
