"""Conditions that are linear in the readings, as a graph made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from isthmus_deploy.contracts.contract import Contract

Rows = Sequence[tuple[Mapping[str, Sequence[float]], float]]
"""Of each condition: weights by signal, and what is added."""


def margins_of(rows: Rows, signals: Mapping[str, np.ndarray]) -> np.ndarray:
    """Margins (conditions,) of unbatched readings."""
    sums = [sum(float(np.dot(w, signals[name])) for name, w in weights.items()) + more for weights, more in rows]
    return np.array(sums, np.float32)


def margin_graph(contract: Contract, rows: Rows, *, output: str = "margins") -> bytes:
    """The serialised graph, which takes the numbers of `contract`."""
    numbers = {item.name: item.shape[0] for item in contract.signals if item.dtype != "uint8"}
    weights = np.zeros((sum(numbers.values()), len(rows)), np.float32)
    starts = dict(zip(numbers, np.cumsum([0, *numbers.values()]).tolist(), strict=False))
    for column, (of_signals, _) in enumerate(rows):
        for name, values in of_signals.items():
            weights[starts[name] : starts[name] + numbers[name], column] = values
    nodes = [
        helper.make_node("Concat", list(numbers), ["all"], axis=1),
        helper.make_node("MatMul", ["all", "weights"], ["weighed"]),
        helper.make_node("Add", ["weighed", "more"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "margins",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in numbers.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", len(rows)])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([more for _, more in rows], np.float32), "more"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
