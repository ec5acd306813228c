"""How often somebody takes over, and whether the learner is ever left alone."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_policies.algorithms.algorithm import LearningError
from isthmus_policies.distributed import total
from isthmus_policies.networks.policy import Tensors

COLUMNS = ("intervention/rate", "intervention/takeovers")
"""Share of the control steps that somebody else drove, and of the learner's own ones upon which somebody took over."""
WATCHED = 10_000
"""Transitions, of all worlds, after which it is asked whether the learner is ever left alone."""
ALONE = 0.01
"""Least share of control steps that are the learner's own and that nobody took over upon."""


class Watched:
    """Counts of control steps, of the last time of collecting and of the last `WATCHED` transitions."""

    def __init__(self) -> None:
        self._steps = self._driven = self._taken = 0
        self._seen = self._alone = 0.0

    def add(self, driven: Tensor, taken: Tensor) -> None:
        """A control step: in which worlds somebody else drove, and where somebody took over upon it, (N,) bool."""
        self._steps += len(driven)
        self._driven += int(driven.sum())
        self._taken += int(taken.sum())

    def summary(self) -> dict[str, float]:
        """As `COLUMNS`, of what was added since the last time, in all processes. Raises LearningError where the learner
        is hardly ever left alone."""
        steps, driven, taken = total(self._steps, self._driven, self._taken)
        self._steps = self._driven = self._taken = 0
        self._seen += steps
        self._alone += steps - driven - taken
        if self._seen >= WATCHED:
            if self._alone < ALONE * self._seen:
                raise LearningError(
                    f"the intervener never lets go: of the last {self._seen:.0f} control steps it drove, or took over "
                    f"upon, {1 - self._alone / self._seen:.1%}; the learner learns nothing of its own. Raise "
                    "interventions.margin, or lower its probability or duration"
                )
            self._seen = self._alone = 0.0
        return dict(zip(COLUMNS, (driven / steps, taken / max(1.0, steps - driven)), strict=True))

    def state_dict(self) -> Tensors:
        return {"watched": torch.tensor((self._seen, self._alone), dtype=torch.float64, device="cpu")}

    def load_state_dict(self, state: Tensors) -> None:
        self._seen, self._alone = state["watched"].tolist()
