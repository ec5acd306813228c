"""A task's conditions as a graph of their own: the readings of one control period in, the margin of each out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isthmus_deploy.policy.margins import MARGINS, TOLERANCE
from isthmus_policies.evaluation.runners import Arrays, batch_session
from isthmus_policies.export.graph import Graph, compile_graph
from isthmus_policies.export.written import ExportError
from isthmus_sim.sensors import Signals
from isthmus_sim.task import Task


class ConditionsGraph(Graph):
    """All of a robot's signals but images in, the margins (n, conditions) out."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._conditions = task.conditions
        self._signals = [spec for spec in task.robot.signals if spec.dtype != "uint8"]

    @property
    def input_names(self) -> list[str]:
        return [spec.name for spec in self._signals]

    @property
    def output_names(self) -> list[str]:
        return [MARGINS]

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.margins(dict(zip(self.input_names, inputs, strict=True)))

    def margins(self, signals: Signals) -> Tensor:
        """(n, conditions), each in its unit."""
        return torch.stack([condition.margin(signals) for condition in self._conditions.values()], dim=-1)

    def example(self, n: int) -> tuple[Tensor, ...]:
        return tuple(torch.zeros(n, *spec.shape) for spec in self._signals)


class Margins:
    """The margins of a task's conditions, by torch and by the compiled graph, which must agree.

    Args:
        task: Whose conditions. It may have none.
    """

    def __init__(self, task: Task) -> None:
        self._graph = ConditionsGraph(task) if task.conditions else None
        self.model = compile_graph(self._graph) if self._graph else None
        """The compiled graph; None without conditions."""

    def of(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """(conditions,) float32, by torch, of unbatched readings."""
        if self._graph is None:
            return np.zeros(0, np.float32)
        return self._graph.margins({name: torch.from_numpy(value)[None] for name, value in signals.items()})[0].numpy()

    def check(self, recorded: Iterable[Arrays]) -> None:
        """Raise ExportError where the graph differs from torch on readings (n, *shape) of control periods."""
        if self._graph is None or self.model is None:
            return
        session = batch_session(self.model)
        for signals in recorded:
            expected = self._graph.margins({name: torch.from_numpy(value) for name, value in signals.items()}).numpy()
            error = np.abs(self._run(session, signals) - expected) / (1.0 + np.abs(expected))
            if not np.all(error <= TOLERANCE):
                raise ExportError(
                    f"graph and task differ by {np.max(error):.2g} in the margins of the conditions, more than "
                    f"{TOLERANCE:g}: nothing written"
                )

    def _run(self, session: onnxruntime.InferenceSession, signals: Arrays) -> np.ndarray:
        assert self._graph is not None
        given = {name: np.ascontiguousarray(signals[name]) for name in self._graph.input_names}
        return np.asarray(session.run([MARGINS], given)[0])
