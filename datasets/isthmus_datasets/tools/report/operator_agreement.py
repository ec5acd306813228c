"""Whether operators agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.tools.checks.correlation import Delay
from isthmus_datasets.tools.scan.dataset_scan import OBSERVED, DatasetScan

Numbers = NDArray[np.float64]

QUERIES, REFERENCES, CHUNK = 2_000, 20_000, 200
UNNAMED = "not said"


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """Whether operators do the same in the same state.

    Args:
        operators: (O,) their names.
        values: (O, O) how well the action of an operator (row) is that of another episode by an operator (column) in
            the most similar state: 1 the same, 0 no better than any other action; NaN where nothing can be compared.
    """

    operators: list[str]
    values: Numbers


def operator_of(facts: Any) -> str:
    """Who did an episode with these facts."""
    return str(facts.get("operator") or UNNAMED)


def agreement(scan: DatasetScan, delays: list[Delay]) -> Agreement | None:
    """Between all operators, and of each with themselves in other episodes. None where there are no actions and states,
    or one episode only. Targets count relative to the state that follows them: else they would agree by themselves."""
    columns = _steps(scan, delays)
    if columns is None:
        return None
    episode, operator, state, action, names = columns
    unit = 2 * action.var(axis=0).sum()
    values = np.full((len(names), len(names)), np.nan)
    query = np.linspace(0, len(state) - 1, min(QUERIES, len(state))).astype(int)
    for j in range(len(names)):
        mine = np.flatnonzero(operator == j)
        mine = mine[np.linspace(0, len(mine) - 1, min(REFERENCES, len(mine))).astype(int)]
        nearest, there = _nearest(state[query], episode[query], state[mine], episode[mine])
        error = ((action[query] - action[mine[nearest]]) ** 2).sum(axis=1)
        for i in range(len(names)):
            chosen = there & (operator[query] == i)
            values[i, j] = 1 - error[chosen].mean() / unit if chosen.any() and unit > 0 else np.nan
    return Agreement(operators=names, values=values)


def _steps(scan: DatasetScan, delays: list[Delay]) -> tuple[Any, Any, Numbers, Numbers, list[str]] | None:
    """(N,) episode, (N,) operator's number, (N, S) state and (N, A) action in standard deviations, of all steps; and
    the operators' names."""
    actions, states = scan.actions(), scan.numbers(*OBSERVED)
    action = "action" if "action" in actions else next(iter(actions), None)
    states = [name for name in states if name == "observation.state"] or states
    whole = [episode for episode in scan.episodes if episode.rows and {action, *states} <= set(episode.columns)]
    if action is None or not states or len(whole) < 2:
        return None
    names = sorted({operator_of(episode.row.facts) for episode in whole})
    state = np.concatenate([np.hstack([s.columns[n].reshape(s.rows, -1) for n in states]) for s in whole])
    wanted = np.concatenate([s.columns[action].reshape(s.rows, -1) for s in whole]).astype(np.float64)
    for delay in delays:
        if delay.target:
            column, channel = delay.state_channel
            wanted[:, delay.action_channel[1]] -= np.concatenate(
                [s.columns[column].reshape(s.rows, -1)[:, channel] for s in whole]
            )
    episode = np.repeat([s.index for s in whole], [s.rows for s in whole])
    operator = np.repeat([names.index(operator_of(s.row.facts)) for s in whole], [s.rows for s in whole])
    good = np.isfinite(state).all(axis=1) & np.isfinite(wanted).all(axis=1)
    scaled = [
        part[good] / np.where(part[good].std(axis=0) > 0, part[good].std(axis=0), 1.0) for part in (state, wanted)
    ]
    return episode[good], operator[good], scaled[0], scaled[1], names


def _nearest(query: Numbers, of: Any, reference: Numbers, by: Any) -> tuple[Any, Any]:
    """For each of `query` (Q, S) in the episodes `of` (Q,): which of `reference` (R, S), in another episode than its
    own, is nearest (Q,), and whether there is one (Q,)."""
    nearest, there = np.zeros(len(query), int), np.zeros(len(query), bool)
    lengths = (reference**2).sum(axis=1)
    for i in range(0, len(query), CHUNK):
        part = slice(i, i + CHUNK)
        distance = lengths - 2 * query[part] @ reference.T
        distance[of[part][:, None] == by] = np.inf
        nearest[part] = distance.argmin(axis=1)
        there[part] = np.isfinite(distance.min(axis=1))
    return nearest, there
