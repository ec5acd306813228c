"""A policy file without training: a cascaded controller for the quadrotor, written once and run twice.

`control` is plain arithmetic on (batch, n) arrays. With NumPy it gives the expected commands of the test vectors; with
`Value` the same lines become an ONNX graph. Position error → wanted acceleration → wanted thrust axis → wanted turning
acceleration → rotor speeds, with integral action on the acceleration (the body's thrust is not known) and an
estimate of the rotor speeds, so that the motors' lag can be led. It is gentle, not good.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from untrained import contract_for, patient

from isthmus_deploy.contracts.contract import Contract, Memory
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_sim.robots.quadrotor.description import (
    CRAZYFLIE,
    GRAVITY,
    MAX_ROTOR_SPEED,
    ROBOT,
    ROTOR_X,
    ROTOR_Y,
    ROTOR_YAW,
)

INERTIA = (7e-6, 7e-6, 12e-6)  # kg·m², between the two published bodies
MASS = 0.0285  # kg
THRUST = CRAZYFLIE.thrust_coefficient  # N/(rad/s)²
MOTOR_LAG_S = 0.15
LEAD = 2.5  # how much faster than their lag the motors are driven
HOVER = float(np.sqrt(MASS * GRAVITY / (4 * THRUST)))  # rad/s

POSITION_GAIN, VELOCITY_GAIN, INTEGRAL_GAIN = 1.6, 2.2, 0.5  # 1/s², 1/s, 1/s³
TILT_GAIN, RATE_GAIN = 45.0, 11.0  # 1/s², 1/s
YAW_GAIN = 2.0  # 1/s

# Rotor thrusts from (total thrust, torque about x, y, z): the inverse of how arms and propellers make them.
_ALLOCATION = np.linalg.inv(
    np.array(
        [
            np.ones(4),
            np.array(ROTOR_Y) * CRAZYFLIE.arm,
            -np.array(ROTOR_X) * CRAZYFLIE.arm,
            np.array(ROTOR_YAW) * CRAZYFLIE.torque_ratio,
        ]
    )
)
# The torques that right the thrust axis, from where it should point, and those that brake the turning, 1/s.
_RIGHTING = np.zeros((3, 3))
_RIGHTING[1, 0], _RIGHTING[0, 1] = -TILT_GAIN * INERTIA[0], TILT_GAIN * INERTIA[1]
_DAMPING = np.array([[RATE_GAIN, RATE_GAIN, YAW_GAIN]]) * INERTIA

# Rotations in few operations, as an exported policy has them: a graph's cost is the number of its nodes.
_FIRST, _SECOND = np.repeat(np.eye(4), 4, axis=1), np.tile(np.eye(4), 4)  # (4, 16): element i·4 + j is q_i, and q_j
_EACH_ROW, _SUM_ROW = np.tile(np.eye(3), 3), np.repeat(np.eye(3), 3, axis=0)
_EACH_COLUMN, _SUM_COLUMN = np.repeat(np.eye(3), 3, axis=1), np.tile(np.eye(3), (3, 1))


def _from_products() -> np.ndarray:
    """(16, 9): the elements of a unit quaternion's rotation matrix from the products of its elements."""
    w, x, y, z = range(4)
    squares, signs = (w, x, y, z), ((1, 1, -1, -1), (1, -1, 1, -1), (1, -1, -1, 1))
    mixed = {  # 2·(q_a·q_b ± q_c·w)
        (0, 1): (x, y, z, -1), (0, 2): (x, z, y, 1), (1, 0): (x, y, z, 1), (1, 2): (y, z, x, -1),
        (2, 0): (x, z, y, -1), (2, 1): (y, z, x, 1),
    }  # fmt: skip
    table = np.zeros((16, 9))
    for axis, row in enumerate(signs):
        table[[5 * i for i in squares], 4 * axis] = row
    for (row, column), (a, b, c, sign) in mixed.items():
        table[4 * a + b, 3 * row + column] = 2.0
        table[4 * c + w, 3 * row + column] = 2.0 * sign
    return table


_FROM_PRODUCTS = _from_products()


def control(s: dict[str, Any], memory: dict[str, Any], ops: Any, period_s: float) -> tuple[Any, dict[str, Any]]:
    """Rotor speed set-points (batch, 4) rad/s and the next memory, from signals and memory (batch, n)."""
    rotation = _rotation(s["orientation"], ops)
    velocity = ops.matmul(rotation * ops.matmul(s["linear_velocity"], _EACH_ROW), _SUM_ROW)
    error = ops.clip(s["reference_position"] - s["position"], -0.8, 0.8)
    integral = ops.clip(memory["integral"] + error * period_s, -4.0, 4.0)
    wanted = error * POSITION_GAIN + (s["reference_velocity"] - velocity) * VELOCITY_GAIN + integral * INTEGRAL_GAIN
    wanted = ops.clip(wanted, -4.0, 4.0) + ops.constant([[0.0, 0.0, GRAVITY]])
    wanted_body = ops.matmul(rotation * ops.matmul(wanted, _EACH_COLUMN), _SUM_COLUMN)
    size = ops.sqrt((wanted_body * wanted_body).sum())
    tilt = wanted_body / size  # where the thrust axis should point, seen from the body
    turn = ops.matmul(tilt, _RIGHTING) - s["angular_velocity"] * _DAMPING
    thrust = ops.clip(wanted_body[:, 2:3] * MASS, 0.1, 0.45)
    rotor_thrust = ops.matmul(ops.concat([thrust, turn]), _ALLOCATION.T)
    speed = ops.sqrt(ops.clip(rotor_thrust / THRUST, 600.0**2, 2200.0**2))
    estimate = memory["rotor_speed"]
    command = ops.clip(estimate + (speed - estimate) * LEAD, 0.0, MAX_ROTOR_SPEED)
    estimate = estimate + (command - estimate) * float(-np.expm1(-period_s / MOTOR_LAG_S))
    return command, {"integral": integral, "rotor_speed": estimate}


def _rotation(q: Any, ops: Any) -> Any:
    """The rotation matrix world_from_body, row by row, (batch, 9), from wxyz: products of two elements, added up."""
    return ops.matmul(ops.matmul(q, _FIRST) * ops.matmul(q, _SECOND), _FROM_PRODUCTS)


class NumpyOps:
    """`control` on `Array`s."""

    @staticmethod
    def constant(value: Any) -> Array:
        return np.asarray(value, np.float32).view(Array)

    @staticmethod
    def concat(parts: list[Array]) -> Array:
        return np.concatenate(parts, axis=1).view(Array)

    clip = staticmethod(np.clip)
    sqrt = staticmethod(np.sqrt)
    matmul = staticmethod(lambda a, b: a @ b.astype(np.float32))


class Array(np.ndarray):
    """A float32 array whose `sum` keeps the batch."""

    def sum(self) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        return np.add.reduce(self, axis=1, keepdims=True).view(Array)


class Value:
    """A tensor of the graph being built."""

    def __init__(self, graph: GraphOps, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Any) -> Value:
        return self.graph.node("Add", self, other)

    def __sub__(self, other: Any) -> Value:
        return self.graph.node("Sub", self, other)

    def __mul__(self, other: Any) -> Value:
        return self.graph.node("Mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return self.graph.node("Div", self, other)

    def __getitem__(self, key: tuple[slice, slice]) -> Value:
        columns = np.arange(key[1].start, key[1].stop)
        return self.graph.node("Gather", self, columns, axis=1)

    def sum(self) -> Value:
        return self.graph.node("ReduceSum", self, np.array([1]), keepdims=1)


class GraphOps:
    """`control` as ONNX nodes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: Any, name: str | None = None, **attributes: Any) -> Value:
        names = [item.name if isinstance(item, Value) else self.constant(item).name for item in inputs]
        name = name or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], **attributes))
        return Value(self, name)

    def constant(self, value: Any) -> Value:
        array = np.asarray(value)
        array = array if array.dtype == np.int64 else array.astype(np.float32)
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return Value(self, name)

    def concat(self, parts: list[Value]) -> Value:
        return self.node("Concat", *parts, axis=1)

    def clip(self, value: Value, low: float, high: float) -> Value:
        return self.node("Min", self.node("Max", value, low), high)

    def sqrt(self, value: Value) -> Value:
        return self.node("Sqrt", value)

    def matmul(self, a: Value, b: np.ndarray) -> Value:
        return self.node("MatMul", a, b)


def contract() -> Contract:
    """The contract of the stand-in robot's policy, but patient with late readings."""
    memory = (
        Memory(name="integral", shape=(3,), order="x y z", initial=0.0),
        Memory(name="rotor_speed", shape=(4,), order="as the command", initial=0.0),
    )
    return patient(contract_for(ROBOT, "quadrotor", memory=memory))


def model(period_s: float = ROBOT.control_period_s) -> bytes:
    """The controller as a serialised ONNX model."""
    graph, own = GraphOps(), contract()
    inputs = {item.name: item.shape for item in own.signals}
    inputs |= {f"memory_{item.name}": item.shape for item in own.memory}
    command, memory = control(
        {item.name: Value(graph, item.name) for item in own.signals},
        {item.name: Value(graph, f"memory_{item.name}") for item in own.memory},
        graph,
        period_s,
    )
    graph.node("Identity", command, name="rotor_speed")
    for name, value in memory.items():
        graph.node("Identity", value, name=f"next_memory_{name}")
    outputs = {item.name: item.shape for item in own.commands}
    outputs |= {f"next_memory_{item.name}": item.shape for item in own.memory}
    proto = helper.make_graph(graph.nodes, "hand_made", _infos(inputs), _infos(outputs), graph.constants)
    result = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(result)
    return result.SerializeToString()


def _infos(shapes: dict[str, tuple[int, ...]]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in shapes.items()]


def replay(steps: int = 20, period_s: float = ROBOT.control_period_s) -> tuple[ReplayStep, ...]:
    """Test vectors: random readings, with a reset half-way."""
    random = np.random.default_rng(0)
    result, memory = [], {}
    for index in range(steps):
        reset = index in (0, steps // 2)
        if reset:
            memory = {item.name: NumpyOps.constant(np.zeros((1, *item.shape))) for item in contract().memory}
        signals = _random_signals(random)
        batched = {name: NumpyOps.constant(value[None]) for name, value in signals.items()}
        command, memory = control(batched, memory, NumpyOps, period_s)
        result.append(ReplayStep(reset=reset, signals=signals, commands={"rotor_speed": np.asarray(command[0])}))
    return tuple(result)


def _random_signals(random: np.random.Generator) -> dict[str, np.ndarray]:
    signals = {item.name: 0.3 * random.standard_normal(item.shape) for item in contract().signals}
    quaternion = signals["orientation"] + np.array([1.0, 0.0, 0.0, 0.0])
    signals["orientation"] = quaternion / np.linalg.norm(quaternion)
    return {name: value.astype(np.float32) for name, value in signals.items()}


def policy_file(**changed: Any) -> bytes:
    """The sealed policy file; `changed` replaces fields of the contract."""
    own = dataclasses.replace(contract(), **changed)
    period_s = own.control_period_s
    return seal(model(period_s), own, replay(period_s=period_s))
