"""A policy file without training for the quadruped: it stands, whatever it is asked for.

The graph gives the default pose, moved by a hundredth of what the joints deviate from it, so that it reads its inputs.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from untrained import contract_for, patient

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_sim.robots.quadruped.description import ROBOT

GAIN = np.float32(0.01)
DEFAULT = np.array(ROBOT.commands[0].standby, np.float32)


def contract() -> Contract:
    """The contract of a policy for the quadruped without memory."""
    return patient(contract_for(ROBOT, "quadruped"))


def model() -> bytes:
    """`joint_position_target = default + gain * (joint_position - default)`; the other signals count nothing."""
    own = contract()
    others = [signal.name for signal in own.signals if signal.name != "joint_position"]
    nodes = [
        helper.make_node("Sub", ["joint_position", "default"], ["deviation"]),
        helper.make_node("Mul", ["deviation", "gain"], ["small"]),
        helper.make_node("Concat", others, ["rest"], axis=1),
        helper.make_node("ReduceSum", ["rest", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
        helper.make_node("Add", ["small", "zero"], ["change"]),
        helper.make_node("Add", ["change", "default"], ["joint_position_target"]),
    ]
    constants = {"default": DEFAULT, "gain": GAIN, "nothing": np.float32(0.0), "axis": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "standing",
        [_tensor(signal.name, signal.shape) for signal in own.signals],
        [_tensor(command.name, command.shape) for command in own.commands],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(result)
    return result.SerializeToString()


def _tensor(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def replay() -> tuple[ReplayStep, ...]:
    """One step: level, in the safe pose, asked for nothing."""
    signals = {signal.name: np.zeros(signal.shape, np.float32) for signal in contract().signals}
    signals["joint_position"] = np.array(ROBOT.commands[0].safe, np.float32)
    signals["imu_orientation"][0] = 1.0
    command = (signals["joint_position"] - DEFAULT) * GAIN + DEFAULT
    return (ReplayStep(reset=True, signals=signals, commands={"joint_position_target": command}),)


def policy_file(**changed: Any) -> bytes:
    """The sealed policy file; `changed` replaces fields of the contract."""
    return seal(model(), dataclasses.replace(contract(), **changed), replay())
