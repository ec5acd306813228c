"""Stand-ins for policies of chunks, which no graph computes and nobody trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from isthmus_deploy.chunk_executor import Strategy
from isthmus_deploy.contracts.contract import Chunk, Contract
from isthmus_deploy.safety.conditions import Conditions

Values = Mapping[str, np.ndarray]


def with_chunks(
    contract: Contract, *, horizon: int = 4, observed: int = 2, execute: int = 2, strategy: Strategy = "receding"
) -> Contract:
    """The contract, without memory, for chunks that are run so."""
    chunk = Chunk(
        horizon=horizon,
        observed=observed,
        execute=execute,
        strategy=strategy,
        tolerated_latency_s=(horizon - execute) * contract.control_period_s,
        begins_near=strategy in ("warm_start", "real_time"),
    )
    return replace(contract, memory=(), chunk=chunk)


class Model:
    """Steps by a function of the windows and of what to begin near to, and may be watched. Keeps what it was given, in
    order."""

    def __init__(
        self,
        contract: Contract,
        give: Callable[[Values, Values | None], Values],
        scores: Callable[[Values], np.ndarray] | None = None,
    ) -> None:
        self.contract, self._give, self.scores = contract, give, scores
        self.digest = 64 * "0"
        self.seen: list[Values] = []

    def step(self, signals: Values, noise: Values | None = None, begin: Values | None = None) -> Values:
        """The function's chunks, (horizon, *shape) by command."""
        self.seen.append(signals)
        return self._give(signals, begin)

    def conditions(self) -> Conditions:
        """None: nothing was trained."""
        return Conditions()
