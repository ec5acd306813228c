"""Robots that move for the mismatch finder, right and wrong: hand-made policies with a window of past readings, the
safety chain, and a stand-in's body, in one process. What lies between chain and body can be spoilt.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hand_made_policy
import numpy as np
import onnx
import standing_policy
from onnx import TensorProto, helper, numpy_helper

from isthmus_deploy.contracts.contract import Contract, Memory
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.flight.flown import FlownPolicy
from isthmus_deploy.flight.recorded import Flight
from isthmus_deploy.flight.row import NUMBERS
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros.stand_in_robot.worlds.described import DescribedWorld, bare_scene
from isthmus_deploy.safety.supervisor import State
from isthmus_sim.actuators import PDMotors
from isthmus_sim.robots.quadrotor.description import FACTORS, ROTOR_YAW
from isthmus_sim.robots.quadrotor.description import ROBOT as QUADROTOR
from isthmus_sim.robots.quadruped.description import ROBOT as QUADRUPED

WINDOW = 4
"""Past readings that each policy remembers."""

Values = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is spoilt: readings on their way to the chain, commands on theirs to the body, the body, or the policy.

    Functions of values by name and the tick; they may remember.
    """

    readings: Callable[[Values, int], Values] = lambda values, tick: values
    commands: Callable[[Values, Values, int], Values] = lambda values, readings, tick: values
    """The change of commands, given true readings."""
    world: dict[str, Any] = field(default_factory=dict)
    """What `Robot.body` is told."""
    steps: Callable[[int, int], int] = lambda nominal, tick: nominal
    """Physics steps until the next tick."""
    turned: bool = False
    """Whether the policy reads its window backwards."""


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot with policy, body and operator."""

    name: str
    contract: Contract
    policy: Callable[[bool], bytes]
    """The policy's file; with a window that is read backwards."""
    body: Callable[..., Any]
    """The body of a seed: a stand-in's world."""
    goals: Callable[[np.random.Generator], Callable[[float], Values]]
    """What an operator asks for by time, s."""
    start_s: float
    """When the policy is started."""
    length_s: float


def fly(robot: Robot, runtime: Runtime, seed: int, fault: Fault | None = None) -> Flight:
    """Arm, start, and move as the operator asks, to the end or into a fault; what the recorder would have kept."""
    fault = fault or Fault()
    contract = robot.contract
    world = robot.body(seed, **fault.world)
    goals = robot.goals(np.random.default_rng([seed, 7]))
    controller = PolicyController({"policy": StepDriver(runtime)})
    nominal = round(contract.control_period_s / world.timestep_s)
    fresh = {signal.name: 0.0 for signal in contract.signals}
    rows: list[tuple[Values, Values, Values, State]] = []
    times, now_s, activation = [], 0.0, 0
    controller.arm(0)
    for tick in range(round(robot.length_s / contract.control_period_s)):
        now_ns = round(now_s * 1e9)
        true = world.sense()
        readings = {name: np.asarray(value, np.float32) for name, value in fault.readings(dict(true), tick).items()}
        signals = {**readings, **{name: value.astype(np.float32) for name, value in goals(now_s).items()}}
        if controller.may_start and now_s >= robot.start_s and not activation:
            controller.start(now_ns)
            activation = 1
        commands = controller.tick(signals, fresh, now_ns)
        sent = {name: _or_nothing(value, contract, name) for name, value in commands.items()}
        wanted = {name: _or_nothing((controller.wanted or {}).get(name), contract, name) for name in sent}
        rows.append((signals, wanted, sent, controller.state))
        times.append(now_ns)
        acting = {name: value if np.isfinite(value).all() else None for name, value in sent.items()}
        if all(value is not None for value in acting.values()):
            acting = fault.commands({name: value.copy() for name, value in sent.items()}, true, tick)
        steps = fault.steps(nominal, tick)
        world.step(acting, steps)
        now_s += steps * world.timestep_s
    world.close()
    return _flight(contract, runtime, rows, np.array(times), activation)


def _or_nothing(value: np.ndarray | None, contract: Contract, name: str) -> np.ndarray:
    shape = next(command.shape for command in contract.commands if command.name == name)
    return np.full(shape, np.nan) if value is None else np.array(value, float)


def _flight(contract: Contract, runtime: Runtime, rows: list, times: np.ndarray, activation: int) -> Flight:
    n = len(rows)
    numbers = {name: np.zeros(n, np.int64) for name in NUMBERS}
    numbers |= {"tick": np.arange(1, n + 1), "monotonic_ns": times, "activation": np.full(n, activation)}
    signals, wanted, sent = (
        {name: np.stack([row[i][name] for row in rows]) for name in rows[0][i]} for i in range(3)
    )
    return Flight(
        contract=contract, ramp_s=0.0, numbers=numbers, chunks=np.zeros((n, 1), np.int64),
        policies=(FlownPolicy(name="policy", sha256=runtime.digest, file=Path("policy.onnx")),),
        states=[row[3] for row in rows], signals=signals, ages_s=np.zeros((n, len(contract.signals))),
        has_wanted=np.array([all(np.isfinite(value).all() for value in row[1].values()) for row in rows]),
        wanted=wanted, sent=sent, finished=True,
    )  # fmt: skip


# --- policies with a window ---


def _with_window(model: bytes, contract: Contract, signal: str, turned: bool) -> tuple[bytes, Contract]:
    """A policy that reads the newest rows of a window of `signal` more than the old ones, in place of the reading; its
    window is filled rightly in either case."""
    size = next(item.shape[0] for item in contract.signals if item.name == signal)
    proto = onnx.load_from_string(model)
    graph = proto.graph
    for node in graph.node:
        node.input[:] = [f"{signal}_smooth" if name == signal else name for name in node.input]
    weights = np.array([0.0, 0.05, 0.1, 0.25], np.float32)[:: -1 if turned else 1].reshape(1, WINDOW, 1)
    constants = {"w_past": weights, "w_now": np.float32(0.6), "w_axis": np.array([1]), "w_from": np.array([1]),
                 "w_to": np.array([WINDOW])}  # fmt: skip
    nodes = [
        helper.make_node("Mul", ["memory_past", "w_past"], ["w_each"]),
        helper.make_node("ReduceSum", ["w_each", "w_axis"], ["w_before"], keepdims=0),
        helper.make_node("Mul", [signal, "w_now"], ["w_newest"]),
        helper.make_node("Add", ["w_before", "w_newest"], [f"{signal}_smooth"]),
        helper.make_node("Slice", ["memory_past", "w_from", "w_to", "w_axis"], ["w_kept"]),
        helper.make_node("Unsqueeze", [signal, "w_axis"], ["w_row"]),
        helper.make_node("Concat", ["w_kept", "w_row"], ["next_memory_past"], axis=1),
    ]
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *own])
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    shape = ["batch", WINDOW, size]
    graph.input.append(helper.make_tensor_value_info("memory_past", TensorProto.FLOAT, shape))
    graph.output.append(helper.make_tensor_value_info("next_memory_past", TensorProto.FLOAT, shape))
    onnx.checker.check_model(proto)
    past = Memory(name="past", shape=(WINDOW, size), order="oldest first", initial=0.0)
    return proto.SerializeToString(), dataclasses.replace(contract, memory=(*contract.memory, past))


def _sealed(model: bytes, contract: Contract) -> bytes:
    """The policy's file, with a test vector of what ONNX Runtime itself gives."""
    import onnxruntime

    signals = {item.name: np.full(item.shape, 0.01, np.float32) for item in contract.signals}
    for item in contract.signals:
        if item.shape == (4,):
            signals[item.name] = np.array([1, 0, 0, 0], np.float32)
    given: dict[str, np.ndarray] = {name: value[None] for name, value in signals.items()}
    given |= {f"memory_{m.name}": np.full((1, *m.shape), m.initial, np.float32) for m in contract.memory}
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [command.name for command in contract.commands]
    commands = {name: np.asarray(value)[0] for name, value in zip(names, session.run(names, given), strict=True)}
    return seal(model, contract, (ReplayStep(reset=True, signals=signals, commands=commands),))


# --- the quadruped ---

_MOVES = np.random.default_rng(3).uniform(-1.0, 1.0, (3, 12)) * np.tile([0.05, 0.05, 0.06], 4)
_MOVES[2] = np.tile([0.0, 0.05, -0.1], 4)  # it bends its knees: what carries it shows how stiff it is


def _swaying(turned: bool) -> tuple[bytes, Contract]:
    """It stands, and moves each joint as a mixture of the three numbers of its goals; damped by what it remembers."""
    contract = standing_policy.contract()
    default = np.array(QUADRUPED.commands[0].standby, np.float32)
    used = ("joint_position", "linear_velocity_command", "yaw_rate_command")
    others = [signal.name for signal in contract.signals if signal.name not in used]
    nodes = [
        helper.make_node("Sub", ["joint_position", "default"], ["deviation"]),
        helper.make_node("Mul", ["deviation", "gain"], ["small"]),
        helper.make_node("Concat", ["linear_velocity_command", "yaw_rate_command"], ["goals"], axis=1),
        helper.make_node("MatMul", ["goals", "moves"], ["moved"]),
        helper.make_node("Concat", others, ["rest"], axis=1),
        helper.make_node("ReduceSum", ["rest", "axis"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "nothing"], ["zero"]),
        helper.make_node("Sum", ["small", "moved", "zero", "default"], ["joint_position_target"]),
    ]
    constants = {"default": default, "gain": np.float32(0.1), "moves": _MOVES.astype(np.float32),
                 "nothing": np.float32(0.0), "axis": np.array([1])}  # fmt: skip

    def tensor(item: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(item.name, TensorProto.FLOAT, ["batch", *item.shape])

    graph = helper.make_graph(
        nodes, "swaying", [tensor(item) for item in contract.signals], [tensor(item) for item in contract.commands],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return _with_window(model.SerializeToString(), contract, "joint_position", turned)


def _quadruped_body(seed: int, values: dict[str, Any] | None = None, limits: dict[str, float] | None = None) -> Any:
    """A stand-in's quadruped. values: of parameters, as factors of its unit's; limits: N·m by joint."""
    robot = QUADRUPED
    if limits:
        (drive,) = robot.actuators
        assert isinstance(drive, PDMotors)
        motors = {
            name: dataclasses.replace(motor, effort_limit=limits.get(name, motor.effort_limit))
            for name, motor in drive.motors.items()
        }
        robot = dataclasses.replace(robot, actuators=(dataclasses.replace(drive, motors=motors),))
    scene = bare_scene(robot)
    if not values:
        return DescribedWorld(scene, seed)
    own = DescribedWorld(scene, seed).values
    return DescribedWorld(scene, seed, values={name: factor * own[name] for name, factor in values.items()})


def _sways(random: np.random.Generator) -> Callable[[float], Values]:
    """Two sines a number, a slow one and a small fast one, so that times show; together within 1 m/s sideways."""
    rate = np.stack([random.uniform(0.3, 0.8, 3), random.uniform(1.2, 2.5, 3)])
    phase, size = random.uniform(0, 2 * math.pi, (2, 3)), np.array([[0.6], [0.35]])

    def goals(time_s: float) -> Values:
        value = (size * np.sin(2 * math.pi * rate * time_s + phase)).sum(axis=0)
        return {"linear_velocity_command": value[:2], "yaw_rate_command": value[2:]}

    return goals


# --- the quadrotor ---


_YAWING = 12.0  # rad/s of the rotors for each m/s that is asked for along x: the controller by itself never turns


def _flying(turned: bool) -> tuple[bytes, Contract]:
    """The tests' controller, which also turns about its axis, so that this is seen."""
    made = hand_made_policy
    proto = onnx.load_from_string(made.model())
    graph = proto.graph
    for node in graph.node:
        node.output[:] = ["level_speed" if name == "rotor_speed" else name for name in node.output]
    yawing = np.zeros((3, 4), np.float32)
    yawing[0] = _YAWING * np.array(ROTOR_YAW)
    graph.initializer.append(numpy_helper.from_array(yawing, "yawing"))
    graph.node.append(helper.make_node("MatMul", ["reference_velocity", "yawing"], ["yaw_speed"]))
    graph.node.append(helper.make_node("Add", ["level_speed", "yaw_speed"], ["rotor_speed"]))
    return _with_window(proto.SerializeToString(), made.contract(), "angular_velocity", turned)


def _quadrotor_body(seed: int, quickness: float = 1.0) -> Any:
    """A quadrotor of the type that its controller was written for: units of it differ by half of what airframes do.
    quickness: how much faster its rotors follow."""
    random = np.random.default_rng([seed, 3])
    made, scene = hand_made_policy, bare_scene(QUADROTOR)
    own = {"mass": made.MASS, "inertia": made.INERTIA}
    own |= dict.fromkeys(("time_constant_up", "time_constant_down"), made.MOTOR_LAG_S / quickness)
    middles = {p.name: np.atleast_1d(own.get(p.name, p.nominal)) for p in scene.parameters}
    return DescribedWorld(
        scene, seed, values={n: v * (1 + random.uniform(*FACTORS[n], v.shape)) / 2 for n, v in middles.items()}
    )  # fmt: skip


def _circles(random: np.random.Generator) -> Callable[[float], Values]:
    """Two sines an axis, a slow one and a small fast one, so that the rotors' answer shows."""
    rate = 2 * math.pi * np.stack([random.uniform(0.15, 0.5, 3), random.uniform(0.8, 1.4, 3)])
    phase, size = random.uniform(0, 2 * math.pi, (2, 3)), np.array([[0.4, 0.4, 0.2], [0.04, 0.04, 0.04]])
    middle = np.array([0.0, 0.0, 0.8])

    def goals(time_s: float) -> Values:
        angle = rate * time_s + phase
        return {
            "reference_position": middle + (size * np.sin(angle)).sum(axis=0),
            "reference_velocity": (size * rate * np.cos(angle)).sum(axis=0),
        }

    return goals


def robots() -> dict[str, Robot]:
    """The quadruped and the quadrotor."""
    return {
        "quadruped": Robot(
            name="quadruped", contract=_swaying(False)[1], policy=lambda turned: _sealed(*_swaying(turned)),
            body=_quadruped_body, goals=_sways, start_s=1.5, length_s=9.0,
        ),
        "quadrotor": Robot(
            name="quadrotor", contract=_flying(False)[1], policy=lambda turned: _sealed(*_flying(turned)),
            body=_quadrotor_body, goals=_circles, start_s=0.1, length_s=6.0,
        ),
    }  # fmt: skip
