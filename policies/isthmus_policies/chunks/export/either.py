"""Two ONNX graphs as one, of which an input chooses: only the chosen one is computed, and what both have of weights is
stored once."""

from __future__ import annotations

import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper
from onnx.compose import add_prefix_graph


def either(choice: str, if_one: bytes, if_zero: bytes) -> bytes:
    """A graph that has one more input, `choice` (batch, 1) float32, and gives what `if_one` gives where that is 1 and
    what `if_zero` gives where it is 0; for a whole batch together. Both have the same inputs and outputs."""
    models = {"one": onnx.load_from_string(if_one), "zero": onnx.load_from_string(if_zero)}
    weights = _Weights()
    branches = {f"{name}/": _branch(f"{name}/", model.graph, weights) for name, model in models.items()}
    model = models["zero"]
    inputs, outputs = list(model.graph.input), list(model.graph.output)
    chosen = helper.make_tensor_value_info(choice, TensorProto.FLOAT, ["batch", 1])
    half = helper.make_tensor(f"{choice}/half", TensorProto.FLOAT, [], [0.5])
    nodes = [
        helper.make_node("ReduceMax", [choice], [f"{choice}/any"], keepdims=0),
        helper.make_node("Greater", [f"{choice}/any", half.name], [f"{choice}/is_one"]),
        helper.make_node(
            "If",
            [f"{choice}/is_one"],
            [output.name for output in outputs],
            then_branch=branches["one/"],
            else_branch=branches["zero/"],
        ),
    ]
    graph = helper.make_graph(nodes, model.graph.name, [*inputs, chosen], outputs, [*weights.tensors, half])
    return _with_graph(model, graph).SerializeToString()


class _Weights:
    """Tensors of both graphs, each kept once."""

    def __init__(self) -> None:
        self.tensors: list[TensorProto] = []
        self._names: dict[bytes, str] = {}

    def name(self, tensor: TensorProto, prefix: str) -> str:
        """Keep a tensor if it is new; its name among all."""
        content = TensorProto()
        content.CopyFrom(tensor)
        content.ClearField("name")
        content.ClearField("metadata_props")
        key = content.SerializeToString(deterministic=True)
        if key not in self._names:
            content.name = self._names[key] = f"{prefix}{tensor.name}"
            self.tensors.append(content)
        return self._names[key]


def _branch(prefix: str, graph: GraphProto, weights: _Weights) -> GraphProto:
    """A graph without inputs and weights of its own: it takes those around it, by name."""
    names = {tensor.name: weights.name(tensor, prefix) for tensor in graph.initializer}
    own = {"rename_inputs": False, "rename_initializers": False, "rename_value_infos": False}
    branch = add_prefix_graph(graph, prefix, **own, name_map=names)
    for field in ("input", "initializer", "value_info"):
        branch.ClearField(field)
    return branch


def _with_graph(model: ModelProto, graph: GraphProto) -> ModelProto:
    result = ModelProto()
    result.CopyFrom(model)
    result.graph.CopyFrom(graph)
    return result
