"""`isthmus-leapp POLICY.onnx`: a policy as Isaac ROS Deploy and LEAPP read it; `isthmus-leapp GRAPH.yaml`: what one of
theirs states, and what a contract needs that it does not; with `--robot`, one of theirs as a policy file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_policies.export.leapp import Description, LeappError, Tensor, read_leapp, unstated, write_leapp
from isthmus_policies.export.leapp_adopted import adopt
from isthmus_policies.files import write_atomically
from isthmus_sim.registry import RegistryError
from isthmus_sim.robots import ROBOTS


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a policy as LEAPP's ONNX and YAML, tell what a description of LEAPP's states, or take its graph as a
    policy file for a robot that is described here."""

    file: Annotated[Path, tyro.conf.Positional]
    """An exported policy (.onnx), or a description (.yaml)."""
    out: Path | None = None
    """Folder to write to, by default `leapp` beside the policy; of a graph of theirs the policy file, by default
    policy-ROBOT.onnx beside it."""
    robot: str | None = None
    """Registered robot that a graph of theirs is to drive: what LEAPP does not state is taken of it."""
    trained_latency_s: float | None = None
    """Latency from sensor to motor, s, that a graph of theirs was trained for: needed with --robot."""


def show(found: Description) -> str:
    """A description in lines."""
    rate = f"{found.frequency:g} Hz" if found.frequency else "not stated"
    lines = [f"model {found.model.name}, rate {rate}"]
    for way, tensors in (("in", found.inputs), ("memory", found.memory), ("out", found.outputs)):
        lines += [f"  {way:6} {_line(tensor)}" for tensor in tensors]
    return "\n".join([*lines, "not stated:", *(f"  {line}" for line in unstated(found))])


def _line(tensor: Tensor) -> str:
    words = f"{tensor.name} {tensor.dtype} {'×'.join(map(str, tensor.shape))}"
    return words + "".join(f", {each}" for each in (tensor.kind, tensor.elements and " ".join(tensor.elements)) if each)


def main() -> None:
    """Entry point of `isthmus-leapp`."""
    options = tyro.cli(Options, prog="isthmus-leapp")
    try:
        print(_run(options))
    except (PolicyFileError, ContractError, LeappError, RegistryError, OSError) as error:
        sys.exit(f"isthmus-leapp: {error}")


def _run(options: Options) -> str:
    """What is to be said of what was done."""
    if options.file.suffix != ".yaml":
        return f"written to {write_leapp(options.file, options.out or options.file.parent / 'leapp')}"
    found = read_leapp(options.file)
    if options.robot is None:
        return show(found)
    if options.trained_latency_s is None:
        raise LeappError("LEAPP does not state the latency of its training: give --trained-latency-s")
    path = options.out or options.file.parent / f"policy-{options.robot}.onnx"
    write_atomically(path, adopt(found, ROBOTS[options.robot], options.trained_latency_s))
    return f"written to {path}: by nobody evaluated; isthmus-deploy doctor says whether it fits the robot"


if __name__ == "__main__":
    main()
