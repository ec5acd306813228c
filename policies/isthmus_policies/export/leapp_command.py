"""`isthmus-leapp POLICY.onnx`: a policy as Isaac ROS Deploy and LEAPP read it; `isthmus-leapp GRAPH.yaml`: what one of
theirs states, and what a contract needs that it does not."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_policies.export.leapp import Description, LeappError, Tensor, read_leapp, unstated, write_leapp


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a policy as LEAPP's ONNX and YAML, or tell what a description of LEAPP's states."""

    file: Annotated[Path, tyro.conf.Positional]
    """An exported policy (.onnx), or a description (.yaml)."""
    out: Path | None = None
    """Folder to write to; by default `leapp` beside the policy."""


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
        if options.file.suffix == ".yaml":
            print(show(read_leapp(options.file)))
        else:
            print(f"written to {write_leapp(options.file, options.out or options.file.parent / 'leapp')}")
    except (PolicyFileError, LeappError, OSError) as error:
        sys.exit(f"isthmus-leapp: {error}")


if __name__ == "__main__":
    main()
