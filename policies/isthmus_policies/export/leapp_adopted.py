"""A graph of LEAPP's as a policy file: what it does not state is taken of a robot that is described here.

Its tensors are matched to the robot's signals and commands by name, or else by kind, and must have the same elements in
the same order. Nothing is guessed: a tensor whose elements are not named is refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from isthmus_deploy.contracts.contract import Command, Contract, Memory, Provenance, Signal
from isthmus_deploy.contracts.robot_interface import Joint, narrowed
from isthmus_deploy.contracts.safety_data import safety_of
from isthmus_deploy.policy.policy_file import ReplayStep, seal
from isthmus_policies.evaluation.runners import batch_session, initial_memory
from isthmus_policies.export.leapp import Description, LeappError, Tensor, kind_of
from isthmus_policies.files import code_revision
from isthmus_sim.description import RobotDescription
from isthmus_sim.specs import CommandSpec, SignalSpec

_STEPS = 8
"""Test vectors."""


def adopt(found: Description, robot: RobotDescription, trained_latency_s: float) -> bytes:
    """The policy file's bytes.

    Args:
        found: What LEAPP states.
        robot: Whose units, frames, limits, gains and safety hold.
        trained_latency_s: From sensor to motor in its training, which LEAPP has no place for.

    Raises:
        LeappError: the rate is not stated or not the robot's, or a tensor is none of the robot's.
        ContractError: what comes of it contradicts itself.
    """
    period_s = robot.control_period_s
    if found.frequency is None or abs(found.frequency * period_s - 1.0) > 1e-3:
        stated = "not stated" if found.frequency is None else f"{found.frequency:g} Hz"
        raise LeappError(f"its rate is {stated}, and {robot.name} is driven at {1.0 / period_s:g} Hz")
    signals = {tensor.name: _match(tensor, robot.signals) for tensor in found.inputs}
    commands = {tensor.name: _match(tensor, robot.commands) for tensor in found.outputs}
    if lacking := {command.name for command in robot.commands} - {command.name for command in commands.values()}:
        raise LeappError(f"it gives no {', '.join(sorted(lacking))}, which {robot.name} needs")
    memory = tuple(_memory(tensor, found.initial) for tensor in found.memory)
    contract = Contract(
        robot=robot.name,
        control_period_s=period_s,
        trained_latency_s=trained_latency_s,
        signals=tuple(narrowed(Signal, signal) for signal in signals.values()),
        commands=tuple(narrowed(Command, command) for command in commands.values()),
        memory=memory,
        joints={name: narrowed(Joint, spec) for name, spec in robot.joints.items()},
        safety=safety_of(robot.safety),
        provenance=_provenance(found),
    )
    names = {name: item.name for name, item in {**signals, **commands}.items()}
    names |= {target: f"memory_{target}" for target in found.feedback.values()}
    names |= {source: f"next_memory_{target}" for source, target in found.feedback.items()}
    model = _renamed(onnx.load(found.model), names)
    return seal(model, contract, _vectors(model, contract))


def _match(tensor: Tensor, specs: Sequence[SignalSpec] | Sequence[CommandSpec]) -> SignalSpec | CommandSpec:
    """The robot's signal or command that it is."""
    named = [spec for spec in specs if spec.name == tensor.name]
    spec = next(iter(named or [spec for spec in specs if tensor.kind and kind_of(spec) == tensor.kind]), None)
    if spec is None:
        there = ", ".join(f"{spec.name}{f' ({kind_of(spec)})' if kind_of(spec) else ''}" for spec in specs)
        raise LeappError(f"{tensor.name} ({tensor.kind or 'no kind'}) is none of: {there}")
    if tensor.elements is None:
        raise LeappError(f"{tensor.name}: its elements are not named, so their order is not known")
    if tensor.elements != spec.order:
        raise LeappError(
            f"{tensor.name}: its elements are {' '.join(tensor.elements)}, those of {spec.name} {' '.join(spec.order)}"
        )
    return spec


def _memory(tensor: Tensor, initial: Mapping[str, np.ndarray]) -> Memory:
    if tensor.name not in initial:
        raise LeappError(f"{tensor.name}: its value after a reset is not stated")
    return Memory(
        name=tensor.name, shape=tensor.shape[1:], order="the policy's own", initial=_nested(initial[tensor.name][0])
    )


def _nested(values: np.ndarray) -> float | tuple:
    return tuple(_nested(each) for each in values) if values.ndim else float(values)


def _provenance(found: Description) -> Provenance:
    return Provenance(
        task="unknown", task_config={}, package="leapp", package_version="unknown", robot_model="unknown",
        engine="unknown", code_revision=code_revision(), seed=0, data=None, evaluation={},
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        packages={f"graph {found.model.name}": "leapp"},
    )  # fmt: skip


def _renamed(model: onnx.ModelProto, names: Mapping[str, str]) -> bytes:
    """The model with other names of what goes in and out."""
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            ends[:] = [names.get(end, end) for end in ends]
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _vectors(model: bytes, contract: Contract) -> list[ReplayStep]:
    """What the graph gives for plausible readings, so that a robot can tell that it computes the same."""
    session, random = batch_session(model), np.random.default_rng(0)
    carried = initial_memory(contract, 1)
    names, steps = [output.name for output in session.get_outputs()], []
    for step in range(_STEPS):
        signals = {s.name: random.uniform(s.minimum, s.maximum).astype(np.float32) for s in contract.signals}
        given = {name: value[None] for name, value in signals.items()}
        results = dict(zip(names, session.run(names, given | carried), strict=True))
        commands = {command.name: np.asarray(results[command.name])[0] for command in contract.commands}
        steps.append(ReplayStep(reset=step == 0, signals=signals, commands=commands))
        carried = {f"memory_{m.name}": np.asarray(results[f"next_memory_{m.name}"]) for m in contract.memory}
    return steps
