"""A policy file without training for any robot that measures numbers: it rests at stand-by, whatever it reads."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from untrained import contract_for, patient

from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_sim.description import RobotDescription


def policy_file(robot: RobotDescription) -> bytes:
    """The sealed policy file: each command is its stand-by, and zero times the sum of all readings."""
    contract = patient(contract_for(robot, "rest"))
    nodes = [
        helper.make_node("Concat", [signal.name for signal in contract.signals], ["all"], axis=1),
        helper.make_node("ReduceSum", ["all", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
        *(helper.make_node("Add", ["zero", f"rest_{item.name}"], [item.name]) for item in contract.commands),
    ]
    constants = {"nothing": np.float32(0.0), "axis": np.array([1])}
    constants |= {f"rest_{item.name}": np.array([item.standby], np.float32) for item in contract.commands}
    graph = helper.make_graph(
        nodes,
        "resting",
        [_tensor(signal.name, signal.shape) for signal in contract.signals],
        [_tensor(item.name, item.shape) for item in contract.commands],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    step = ReplayStep(
        reset=True,
        signals={signal.name: np.ones(signal.shape, np.float32) for signal in contract.signals},
        commands={item.name: np.array(item.standby, np.float32) for item in contract.commands},
    )
    return seal(model.SerializeToString(), contract, [step])


def _tensor(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
