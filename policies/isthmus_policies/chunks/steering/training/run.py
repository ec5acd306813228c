"""A trained scorer as a file, and back: rebuilt from its own configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import ChunkSpec
from isthmus_policies.chunks.steering.iql import IqlScorer
from isthmus_policies.chunks.steering.training.config import ScorerConfig
from isthmus_policies.files import from_json
from isthmus_policies.training.checkpoint import CheckpointError, load_checkpoint

SCORER = "isthmus.chunk_scorer.1"
"""The format of the file."""
FILE = "scorer.safetensors"
"""Its name in a run's folder."""


@dataclass(frozen=True, kw_only=True)
class ScorerRun:
    """A trained scorer."""

    config: ScorerConfig
    scorer: IqlScorer
    facts: dict[str, Any]
    """What the file tells: steps, seconds, code_revision …"""


def load_scorer(path: Path) -> ScorerRun:
    """The scorer in a file, or in a run's folder.

    Raises:
        ValueError: the configuration is none that this version knows.
        CheckpointError, FileNotFoundError: there is no scorer that this version can read.
    """
    file = path / FILE if path.is_dir() else path
    tensors, facts = load_checkpoint(file, kind=SCORER)
    config, spec = from_json(ScorerConfig, facts["config"]), from_json(ChunkSpec, facts["spec"])
    scaled = {**spec.columns, spec.action: spec.action_size}
    nothing = {name: torch.zeros(size) for name, size in scaled.items()}
    ones = {name: torch.ones(size) for name, size in scaled.items()}
    scorer = IqlScorer(config.iql, spec, Normalizer(dict.fromkeys(scaled, config.scaling), nothing, ones))
    try:
        scorer.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"{file}: its scorer is not what this version makes of its configuration; revision "
            f"{facts['code_revision']} wrote it: {error}"
        ) from error
    return ScorerRun(config=config, scorer=scorer.eval(), facts=facts)
