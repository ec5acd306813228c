"""Where else episodes begin while a policy is fine-tuned: in what people have shown, from any moment on.

A policy that was cloned spends most of an episode on its way to where success is decided. Begun in demonstrations,
episodes are there at once, and often.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.reader import DatasetReader
from isthmus_policies.chunks.columns import STATE_COLUMN, RobotColumns
from isthmus_policies.chunks.training.data import open_datasets
from isthmus_policies.chunks.training.run import ChunkRun
from isthmus_sim.resets.shown import Shown
from isthmus_sim.task import Task

USUAL = 0.6
"""Share of the episodes that begin so where nothing else is asked for. With none, Push-T did not improve in as many
steps (docs/results/diffusion.md)."""


def shown_starts(run: ChunkRun, task: Task, share: float | None) -> Shown | None:
    """Every state of the demonstrations that a policy has learned from; None where no episode begins in them.

    Raises:
        ValueError: a share is asked for, and the task cannot begin as it was recorded.
        DatasetError: the demonstrations are not there any more.
    """
    able = type(task).state_of is not Task.state_of and STATE_COLUMN in run.policy.spec.columns
    if share is None:
        share = USUAL if able else 0.0
    if share == 0.0:
        return None
    if not able:
        raise ValueError(
            f"the task {task.name!r} has no state_of, or the policy does not observe {STATE_COLUMN}: leave out --shown"
        )
    try:
        rows = torch.cat([_states(reader) for reader in open_datasets(run.config)])
    except DatasetError as error:
        raise DatasetError(f"episodes shall begin in demonstrations: {error}; --shown 0 does without") from error
    signals = RobotColumns(run.policy.spec, task.robot).signals_of(rows)
    return Shown(shown=task.state_of(signals), share=share)


def _states(reader: DatasetReader) -> Tensor:
    """(rows, size): of all episodes."""
    episodes = [reader.columns(i, [STATE_COLUMN])[STATE_COLUMN] for i in range(reader.num_episodes)]
    return torch.from_numpy(np.concatenate(episodes))
