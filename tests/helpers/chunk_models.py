"""Stand-ins for policies of chunks, which no graph computes and nobody trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import numpy as np

from isthmus_deploy.chunk_executor import Strategy
from isthmus_deploy.contract import Contract

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How chunks are run."""

    horizon: int = 4
    observed: int = 2
    execute: int = 2
    strategy: Strategy = "receding"
    tolerated_latency_s: float = 0.0
    begins_near: bool = True


@dataclass(frozen=True, kw_only=True)
class ChunkContract(Contract):
    """A contract with the terms of chunks."""

    chunk: Terms  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]


def with_chunks(contract: Contract, **terms) -> ChunkContract:
    """The contract, without memory, for chunks that are run on these terms."""
    given = Terms(**terms)
    tolerated = (given.horizon - given.execute) * contract.control_period_s
    kept = {each.name: getattr(contract, each.name) for each in fields(Contract) if each.name != "chunk"}
    return ChunkContract(**{**kept, "memory": (), "chunk": Terms(**{**terms, "tolerated_latency_s": tolerated})})


class Model:
    """Steps by a function of the windows and of what to begin near to. Keeps what it was given, in order."""

    def __init__(self, contract: ChunkContract, give: Callable[[Values, Values | None], Values]) -> None:
        self.contract, self._give = contract, give
        self.digest = 64 * "0"
        self.seen: list[Values] = []

    def step(self, signals: Values, noise: Values | None = None, begin: Values | None = None) -> Values:
        """The function's chunks, (horizon, *shape) by command."""
        self.seen.append(signals)
        return self._give(signals, begin)
