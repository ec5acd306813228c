"""The form that Isaac ROS Deploy reads: LEAPP's ONNX with a YAML beside it (`leapp` 0.7, configuration version 1.3).

LEAPP states names, shapes, types, kinds and elements of tensors, what is fed back, its initial values and a rate. It
has no units, frames, limits, ages, gains or latencies. What is written here has them as further keys, which LEAPP
passes over, and the ONNX file is the policy file itself, contract and all; of what is read, `unstated` lists them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file, save

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Command, Signal
from isthmus_deploy.policy.policy_file import read
from isthmus_policies.files import write_atomically
from isthmus_sim.specs import CommandSpec, SignalSpec

VERSIONS = {"leapp version": "0.7.2", "leapp config version": "1.3"}
"""What the form was checked against."""
_NODE = "policy"
_KINDS: Mapping[tuple[str, str, bool], str] = {
    ("rad", "joint", False): "state/joint/position",
    ("rad/s", "joint", False): "state/joint/velocity",
    ("N·m", "joint", False): "state/joint/effort",
    ("rad", "joint", True): "command/joint/position",
    ("rad/s", "joint", True): "command/joint/velocity",
    ("m", "world", False): "state/body/position",
    ("m/s", "body", False): "state/body/linear_velocity",
    ("rad/s", "body", False): "state/body/angular_velocity",
    ("1", "world_from_body", False): "state/body/rotation",
}
"""Unit, frame, and whether it is asked for -> LEAPP's kind of an input; what is not here has none."""
_OUTPUT_KINDS = {"rad": "target/joint/position", "rad/s": "target/joint/velocity", "N·m": "target/joint/torques"}


class LeappError(ValueError):
    """A file is no LEAPP description that can be read, or a policy has no such form; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One input or output. elements: names along its last axis; None where they are not stated."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str | None = None
    elements: tuple[str, ...] | None = None
    further: Mapping[str, Any] = field(default_factory=dict)
    """Keys that LEAPP does not know, such as a unit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Description:
    """A graph of one model, as its YAML states it."""

    model: Path
    inputs: tuple[Tensor, ...]
    """What comes from outside."""
    outputs: tuple[Tensor, ...]
    """What goes outside."""
    feedback: Mapping[str, str]
    """Output -> the input that is given it at the next step."""
    memory: tuple[Tensor, ...]
    """The inputs that are fed back."""
    initial: Mapping[str, np.ndarray]
    """The first value of each input that is fed back, by name."""
    frequency: float | None
    """Hz."""


# --- writing ---


def write_leapp(policy: Path, folder: Path) -> Path:
    """Write an exported policy as LEAPP has it into `folder`: its YAML's path.

    Raises:
        PolicyFileError: no policy file.
        LeappError: a policy of chunks, which LEAPP has no words for.
        OSError: it could not be written.
    """
    file = read(policy)
    contract = file.contract
    if contract.chunk is not None:
        raise LeappError(f"{policy} is a policy of chunks: LEAPP has no words for when one follows another")
    folder.mkdir(parents=True, exist_ok=True)
    model, values = f"{_NODE}.onnx", f"{contract.robot}_initial_values.safetensors"
    write_atomically(folder / model, file.model)
    if contract.memory:
        write_atomically(folder / values, save(_initial(contract)))
    document = {
        "models": {_NODE: _model(contract, model, file.model)},
        "pipeline": _pipeline(contract, values),
        "system information": VERSIONS,
    }
    path = folder / f"{contract.robot}.yaml"
    write_atomically(path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())
    return path


def _initial(contract: Contract) -> dict[str, np.ndarray]:
    return {
        f"{_NODE}/memory_{m.name}": np.broadcast_to(np.asarray(m.initial, m.dtype), (1, *m.shape)).copy()
        for m in contract.memory
    }


def _model(contract: Contract, name: str, data: bytes) -> dict[str, Any]:
    signals = {signal.name: signal for signal in contract.signals}
    commands = {command.name: command for command in contract.commands}
    return {
        "inputs": [
            _tensor(key, *type_and_shape, _of_signal(signals.get(key)))
            for key, type_and_shape in contract.graph_inputs().items()
        ],
        "outputs": [
            _tensor(key, *type_and_shape, _of_command(commands.get(key)))
            for key, type_and_shape in contract.graph_outputs().items()
        ],
        "parameters": {
            "model_path": name,
            "md5sum": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            "sha256sum": hashlib.sha256(data).hexdigest(),
            "backend": "onnx",
        },
    }


def _tensor(name: str, dtype: str, shape: tuple[int, ...], facts: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": [1, *shape], "type": "tensor", **facts}


def kind_of(item: Signal | Command | SignalSpec | CommandSpec) -> str | None:
    """LEAPP's kind of a reading or a command; None where it has none."""
    if isinstance(item, Command | CommandSpec):
        return _OUTPUT_KINDS.get(item.unit) if item.frame == "joint" else None
    return _KINDS.get((item.unit, item.frame, item.max_age_s is None))


def _of_signal(signal: Signal | None) -> dict[str, Any]:
    if signal is None:
        return {}
    kind = kind_of(signal)
    return {**({"kind": kind} if kind else {}), **_facts(signal), "max_age_s": signal.max_age_s}


def _of_command(command: Command | None) -> dict[str, Any]:
    if command is None:
        return {}
    kind = kind_of(command)
    return {**({"kind": kind} if kind else {}), **_facts(command), "max_rate": list(command.max_rate)}


def _facts(item: Signal | Command) -> dict[str, Any]:
    limits = {name: list(getattr(item, name)) for name in ("minimum", "maximum")}
    return {"element_names": [list(item.order)], "unit": item.unit, "frame": item.frame, **limits}


def _pipeline(contract: Contract, values: str) -> dict[str, Any]:
    memory = {f"{_NODE}/next_memory_{m.name}": [f"{_NODE}/memory_{m.name}"] for m in contract.memory}
    names = [*(s.name for s in contract.signals), *(f"noise_{noise.name}" for noise in contract.noise)]
    return {
        "configs": {
            "frequency": 1.0 / contract.control_period_s,
            "robot": contract.robot,
            "trained_latency_s": contract.trained_latency_s,
            "stiffness": {name: joint.stiffness for name, joint in contract.joints.items()},
            "damping": {name: joint.damping for name, joint in contract.joints.items()},
        },
        "data_flow": {},
        "feedback_flow": memory,
        **({"initial_values": values} if contract.memory else {}),
        "inputs": {_NODE: names},
        "outputs": {_NODE: [command.name for command in contract.commands]},
    }


# --- reading ---


def read_leapp(path: Path) -> Description:
    """Read a description and check its model's digest. Raises LeappError for what is none, has several models, a model
    that is no ONNX file, or one that is not the one described."""
    document = _document(path)
    pipeline, models = document["pipeline"], document["models"]
    if len(models) != 1:
        raise LeappError(f"{path}: has {len(models)} models ({', '.join(models)}); a graph of one can be read")
    ((node, facts),) = models.items()
    try:
        model = _model_of(path, facts["parameters"])
        named = {way: {each["name"]: _read_tensor(each) for each in facts[way]} for way in ("inputs", "outputs")}
        feedback = {
            _port(source): _port(target)
            for source, targets in (pipeline.get("feedback_flow") or {}).items()
            for target in targets
        }
        values = pipeline.get("initial_values")
        initial = load_file(path.parent / values) if values else {}
        return Description(
            model=model,
            inputs=tuple(named["inputs"][name] for name in pipeline["inputs"].get(node, [])),
            outputs=tuple(named["outputs"][name] for name in pipeline["outputs"].get(node, [])),
            feedback=feedback,
            memory=tuple(named["inputs"][name] for name in feedback.values()),
            initial={_port(key): value for key, value in initial.items()},
            frequency=(pipeline.get("configs") or {}).get("frequency"),
        )
    except (KeyError, TypeError, AttributeError, OSError) as error:
        raise LeappError(f"{path}: its description is malformed: {error!r}") from error


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LeappError(f"{path}: cannot be read: {error}") from error
    lacking = [key for key in ("models", "pipeline") if not isinstance(document, dict) or key not in document]
    if lacking:
        raise LeappError(f"{path}: is no LEAPP description: it lacks {' and '.join(lacking)}")
    return document


def _model_of(path: Path, parameters: Mapping[str, Any]) -> Path:
    model = path.parent / parameters["model_path"]
    if parameters["backend"] != "onnx":
        raise LeappError(f"{path}: its model is of the backend {parameters['backend']!r}; export it with 'onnx'")
    found, stated = hashlib.sha256(model.read_bytes()).hexdigest(), parameters["sha256sum"]
    if found != stated:
        raise LeappError(f"{model}: is not the model described: its SHA-256 is {found[:12]}…, not {stated[:12]}…")
    return model


def _read_tensor(facts: Mapping[str, Any]) -> Tensor:
    known = {"name", "dtype", "shape", "type", "kind", "element_names"}
    names = facts.get("element_names")
    last = names[-1] if isinstance(names, list) and names else None
    return Tensor(
        name=facts["name"],
        shape=tuple(int(size) for size in facts["shape"]),
        dtype=facts["dtype"],
        kind=facts.get("kind"),
        elements=tuple(last) if isinstance(last, list) else None,
        further={key: value for key, value in facts.items() if key not in known},
    )


def _port(text: str) -> str:
    """Name of an input or output: "NODE/NAME"."""
    return text.split("/")[1]


def unstated(found: Description) -> list[str]:
    """What a contract needs and the description does not state, a line each."""
    lines = [] if found.frequency else ["configs.frequency: how often it is to be run"]
    for way, tensors in (("inputs", found.inputs), ("outputs", found.outputs)):
        for tensor in tensors:
            lacking = _lacking(tensor, way)
            lines += [f"{way}.{tensor.name}: {', '.join(lacking)}"] if lacking else []
    lines += [f"inputs.{m.name}: its value after a reset" for m in found.memory if m.name not in found.initial]
    return [*lines, *_NEVER]


_NEVER = (
    "the robot: which one it is for, its joints' gains and limits",
    "time: the latency that it was trained for",
    "safety: where commands are safe, where they begin, and what must hold of the robot",
    "origin: task, code revision, seed, evaluation",
    "test vectors, by which a robot can tell that it computes what was trained",
)
"""What LEAPP has no place for."""


def _lacking(tensor: Tensor, way: str) -> list[str]:
    needed = ["unit", "frame", "minimum", "maximum", "max_age_s" if way == "inputs" else "max_rate"]
    lacking = [key for key in needed if key not in tensor.further]
    return [*([] if tensor.elements else ["the order of its elements"]), *lacking]
