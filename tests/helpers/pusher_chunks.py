"""Policies of chunks for Push-T that nobody trained, and runs that hold them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, ChunkSpec
from isthmus_policies.chunks.denoisers.mlp import MlpConfig
from isthmus_policies.chunks.training.config import AnyConfig, RollOuts, default_config
from isthmus_policies.chunks.training.run import POLICY, make_policy, policy_file
from isthmus_policies.files import plain
from isthmus_policies.training.checkpoint import save_checkpoint

SPEC = ChunkSpec(fps=10, columns={"observation.state": 5}, action_size=2, horizon=8)
SMALL = {
    "act": {"width": 32, "encoder_layers": 1, "style": 4},
    "flow": {"steps": 2},
    "edm": {"steps": 2},
    "diffusion": {"steps": 2},
}
"""Settings of methods that make them quick."""


def untrained_config(method: str, task: str | None = None) -> AnyConfig:
    """Say how a small policy is trained."""
    config = default_config((Path("pushes"),), method, "mlp", horizon=SPEC.horizon, roll_outs=RollOuts(task=task))
    return replace(
        config, denoiser=MlpConfig(width=32, depth=1), method=replace(config.method, **SMALL.get(method, {}))
    )


def untrained_chunks(method: str, spec: ChunkSpec = SPEC, **known: Any) -> ChunkPolicy:
    """Make a policy whose actions lie around the middle of the table."""
    torch.manual_seed(0)
    sizes = {**spec.columns, spec.action: spec.action_size}
    middle = {name: torch.full((size,), 256.0) for name, size in sizes.items()}
    wide = {name: torch.full((size,), 256.0) for name, size in sizes.items()}
    wide[spec.action] *= 0.4
    normalizer = Normalizer(dict.fromkeys(sizes, "min_max"), middle, wide)
    policy = make_policy(replace(untrained_config(method), **known), spec, normalizer).eval()
    with torch.no_grad():
        for weight in policy.parameters():  # new networks have zeros that hide what is observed
            weight += 0.1 * torch.randn(weight.shape)
    return policy


def write_untrained_run(folder: Path, method: str, task: str | None = "push_t") -> Path:
    """Write what is left of a training of `untrained_chunks`."""
    config = untrained_config(method, task)
    facts = {"config": plain(config), "spec": plain(SPEC), "steps": 7, "seconds": 1.0, "code_revision": "abc"}
    policy_file(folder, 7).parent.mkdir(parents=True)
    state = dict(untrained_chunks(method).state_dict())
    save_checkpoint(policy_file(folder, 7), state, facts | {"windows": "12-00ff00ff", "threads": 1}, kind=POLICY)
    return folder
