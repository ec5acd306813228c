"""Everything a training run needs to go on as if it had never stopped: one safetensors file a process, its JSON in the
header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from isthmus_policies.files import write_atomically

CHECKPOINT = "checkpoint.safetensors"
"""The file in a run's folder."""
FORMAT = "isthmus.checkpoint.2"


class CheckpointError(ValueError):
    """The file is not a checkpoint that this version can read; the message says why."""


def save_checkpoint(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any], kind: str = FORMAT) -> None:
    """Write atomically. `facts` is JSON; `kind` says what the file is: `load_checkpoint` must be told. Raises OSError
    (disk full, …) and leaves the previous checkpoint as it was."""
    content = save(
        {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()},
        {"format": kind, "facts": json.dumps(facts)},
    )
    write_atomically(path, content)


def load_checkpoint(path: Path, kind: str = FORMAT) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts. Raises CheckpointError for a truncated or foreign file, FileNotFoundError for none."""
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        content = path.read_bytes()  # at once: a training may put the next checkpoint into its place meanwhile
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = header.get("__metadata__", {})
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
    facts = json.loads(metadata.get("facts", "{}"))
    if metadata.get("format") != kind:
        revision = facts.get("code_revision")
        raise CheckpointError(
            f"{path} is no checkpoint of this version: format {metadata.get('format')!r}, expected {kind!r}; "
            f"{f'use the revision that wrote it, {revision}' if revision else 'choose another file'}, or train again"
        )
    return tensors, facts
