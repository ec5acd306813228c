"""How compatible a demonstration is with policies that were learned before (Gandhi et al. 2022, "Eliciting Compatible
Demonstrations for Multi-Human Imitation Learning").

Where several policies that were learned from the same demonstrations differ, the state is new to them, and whatever was
done there is welcome. Where they agree, what was done is compatible as far as it is what they would do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus_datasets.format.reader import DatasetReader
from isthmus_policies.chunks.methods.denoising import DenoisingPolicy
from isthmus_policies.chunks.training.data import split_episodes
from isthmus_policies.chunks.training.run import ChunkRun
from isthmus_sim.threads import one_torch_thread

FAMILIAR, USUAL = 0.99, 0.95
"""Share of the base's steps that are no news, and of its held-out errors that are usual."""
CONTRARY = 5.0
"""An error of so many times the largest usual one scores 0: nobody would call that the same."""
LEAST = 0.05
"""Share of the base's own episodes that may score less than a compatible one."""
DOUBTFUL = 0.5
"""A step that scores less is doubtful."""

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """A demonstration.

    steps (T,): from 1, compatible or new, down to 0. new (T,) bool: where policies differ. window: steps of a second.
    """

    steps: NDArray[np.float64]
    new: NDArray[np.bool_]
    window: int

    @property
    def score(self) -> float:
        """The mean of the worst second. The paper takes that of all steps, in which a short contradiction drowns where
        much of the demonstration is new."""
        width = min(self.window, len(self.steps))
        return float(np.convolve(self.steps, np.full(width, 1 / width), mode="valid").min())

    def doubtful(self) -> list[tuple[int, int]]:
        """Segments of doubtful steps, first and last of each."""
        low = np.concatenate(([False], self.steps < DOUBTFUL, [False])).astype(int)
        first, last = np.flatnonzero(np.diff(low) > 0), np.flatnonzero(np.diff(low) < 0) - 1
        return list(zip(first.tolist(), last.tolist(), strict=True))


class Compatibility:
    """Scores demonstrations by an ensemble.

    Args:
        policies: At least two, learned from the same demonstrations with other seeds, that read columns alone and draw
            nothing: those of cloning.
        new: Largest spread of their chunks where a state is no news, root mean square, in the action's scale.
        usual: Largest mean square error of their mean chunk that is usual, in the action's scale squared.
        least: What a compatible demonstration scores at least.

    Raises:
        ValueError: they are too few, of different specs, or cannot score.
    """

    def __init__(self, policies: Sequence[DenoisingPolicy[Any]], *, new: float, usual: float, least: float) -> None:
        _check(policies)
        self._policies = [policy.eval() for policy in policies]
        self.new, self.usual, self.least = new, usual, least

    @classmethod
    def fit(cls, runs: Sequence[ChunkRun]) -> Compatibility:
        """Learn from the runs' own datasets what is usual: the error of each policy on the episodes that it was not
        trained on. Raises ValueError where the policies cannot score, or were not learned from the same datasets."""
        if len({run.config.datasets for run in runs}) > 1:
            raise ValueError("the policies were not learned from the same datasets, so where they differ is no news")
        policies = [run.policy for run in runs if isinstance(run.policy, DenoisingPolicy)]
        if len(policies) < len(runs):
            raise ValueError("a policy is of a method whose actions cannot be compared: train with --method cloning")
        made = cls(policies, new=np.inf, usual=np.inf, least=0.0)
        spreads, errors = [], []
        held_out = [(number, columns) for number, run in enumerate(runs) for columns in _held_out(run)]
        for number, columns in held_out:
            actions, shown = made._actions(columns), made._shown(columns)
            spreads.append(_spread(actions))
            errors.append(_error(actions[number], shown))
        made.new = float(np.quantile(np.concatenate(spreads), FAMILIAR))
        made.usual = float(np.quantile(np.concatenate(errors), USUAL))
        scores = [made._scored(spread, error).score for spread, error in zip(spreads, errors, strict=True)]
        made.least = float(np.quantile(scores, LEAST))
        return made

    def score(self, columns: Columns) -> Scored:
        """A demonstration by its columns, each (T, size) in the dataset's unit."""
        actions, shown = self._actions(columns), self._shown(columns)
        return self._scored(_spread(actions), _error(actions.mean(0), shown))

    def _scored(self, spread: NDArray[np.float64], error: NDArray[np.float64]) -> Scored:
        """Steps of 1 - min(error / λ, 1), where λ is contrary; of 1 where the state is new."""
        new, window = spread > self.new, self._policies[0].spec.fps
        steps = np.where(new, 1.0, 1.0 - np.minimum(error / (CONTRARY * self.usual), 1.0))
        return Scored(steps=steps, new=new, window=window)

    @torch.no_grad()
    def _actions(self, columns: Columns) -> NDArray[np.float64]:
        """(members, T, horizon, action_size), scaled: what each would do from every step on. Held to the range of what
        was demonstrated, they would agree wherever all of them leave it."""
        spec = self._policies[0].spec
        steps = np.arange(len(columns[spec.action]))
        rows = np.maximum(steps[:, None] + np.arange(1 - spec.observed, 1), 0)
        seen = {name: torch.from_numpy(np.asarray(columns[name], np.float32)[rows]) for name in spec.columns}
        with one_torch_thread():
            return np.stack([policy.scaled_chunks(seen).double().numpy() for policy in self._policies])

    def _shown(self, columns: Columns) -> NDArray[np.float64]:
        """(T, horizon, action_size), scaled: what was done from every step on; the last action goes on."""
        policy = self._policies[0]
        action = torch.from_numpy(np.asarray(columns[policy.spec.action], np.float32))
        scaled = policy.normalizer.normalize(policy.spec.action, action).double().numpy()
        steps = np.arange(len(scaled))[:, None] + np.arange(policy.spec.horizon)
        return scaled[np.minimum(steps, len(scaled) - 1)]


def _spread(actions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,): root mean square over a chunk's numbers of their deviations over the members."""
    return np.sqrt(actions.var(axis=0).mean(axis=(-2, -1)))


def _error(actions: NDArray[np.float64], shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,): mean square over a chunk's numbers. Where two ways part, the first action hardly tells them apart."""
    return np.square(actions - shown).mean(axis=(-2, -1))


def _held_out(run: ChunkRun) -> Iterator[Columns]:
    """Columns of the episodes that a run was not trained on."""
    names = (*run.policy.spec.columns, run.policy.spec.action)
    for root in run.config.datasets:
        reader = DatasetReader(root)
        for index in split_episodes(reader, run.config)[1]:
            yield reader.columns(index, names)


def _check(policies: Sequence[DenoisingPolicy[Any]]) -> None:
    if len(policies) < 2:
        raise ValueError(f"an ensemble has at least 2 policies, not {len(policies)}: train more with other seeds")
    if any(policy.spec != policies[0].spec for policy in policies):
        raise ValueError("the policies read or give different columns, so they are no ensemble")
    if policies[0].spec.cameras or policies[0].spec.goal:
        raise ValueError("the policies see cameras or goals; demonstrations are scored by columns of numbers alone")
    if any(policy.draws for policy in policies):
        raise ValueError("a policy draws its actions, so that it differs from itself: train with --method cloning")
