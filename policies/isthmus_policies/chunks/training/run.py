"""What a chunk policy's training left: the policies of its last checkpoints, rebuilt from their own configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isthmus_datasets.training.normalizer import Normalizer
from isthmus_policies.chunks.chunk_policy import CHUNK_POLICIES, ChunkPolicy, ChunkSpec
from isthmus_policies.chunks.denoisers.denoiser import DENOISERS
from isthmus_policies.chunks.encoder import ObservationEncoder
from isthmus_policies.chunks.methods.correction import Correction
from isthmus_policies.chunks.methods.denoising import DenoisingPolicy
from isthmus_policies.chunks.methods.steering import NoiseSteering
from isthmus_policies.chunks.training.config import AnyConfig, config_from_json
from isthmus_policies.files import from_json
from isthmus_policies.training.checkpoint import CheckpointError, load_checkpoint

POLICY = "isthmus.chunk_policy.1"
"""The format of a file with averaged weights."""
STEERING = "steering"
"""In a policy's facts: width of the network that says where it draws noise, where it has one."""
CORRECTION = "correction"
"""In a policy's facts: width of the network that corrects its next action, where it has one."""


@dataclass(frozen=True, kw_only=True)
class ChunkRun:
    """One of a run's policies."""

    config: AnyConfig
    policy: ChunkPolicy
    facts: dict[str, Any]
    """What the file tells: steps, seconds, code_revision …"""


def make_policy(config: AnyConfig, spec: ChunkSpec, normalizer: Normalizer) -> ChunkPolicy:
    """A new policy. Raises ValueError where method, denoiser and spec do not fit."""
    entry = CHUNK_POLICIES[config.method_name]
    encoder = ObservationEncoder(spec, config.encoder)
    denoiser = None
    if entry.denoises:
        make = DENOISERS[config.denoiser_name].make
        denoiser = make(config.denoiser, spec.action_size, spec.horizon, encoder.size)
    return entry.make(config.method, spec, normalizer, encoder, denoiser)


def add_steering(policy: ChunkPolicy, width: int) -> None:
    """Give a policy a network that says where it draws noise. Raises ValueError where it draws none."""
    if not isinstance(policy, DenoisingPolicy) or policy.draws == 0:
        raise ValueError(f"{type(policy).__name__} draws no noise that could be steered")
    shape = (policy.spec.horizon, policy.spec.action_size)
    policy.steering = NoiseSteering(policy.encoder.size, shape, width)


def add_correction(policy: ChunkPolicy, width: int, deviation: float = 1.0) -> None:
    """Give a policy a network that corrects its next action; deviation: of exploring at the start. Raises ValueError
    where it does not begin plans near to those before."""
    if not isinstance(policy, DenoisingPolicy):
        raise ValueError(f"{type(policy).__name__} makes every plan afresh, so it cannot be corrected at every tick")
    seen = policy.spec.observed * sum(map(policy.spec.size, policy.spec.columns))
    policy.correction = Correction(seen, (policy.spec.horizon, policy.spec.action_size), width, deviation)


def load_chunk_run(path: Path) -> ChunkRun:
    """The policy in a file of a run's `policies`, or, for a run's folder, the newest of them.

    Raises:
        ValueError: the configuration is none that this version knows.
        CheckpointError, FileNotFoundError: there is no policy that this version can read.
    """
    file = newest_policy(path) if path.is_dir() else path
    tensors, facts = load_checkpoint(file, kind=POLICY)
    config, spec = config_from_json(facts["config"]), spec_from_json(facts["spec"])
    scaled = {**spec.columns, spec.action: spec.action_size}
    nothing = {name: torch.zeros(size) for name, size in scaled.items()}
    ones = {name: torch.ones(size) for name, size in scaled.items()}
    policy = make_policy(config, spec, Normalizer(dict.fromkeys(scaled, config.scaling), nothing, ones))
    if width := facts.get(STEERING):
        add_steering(policy, width)
    if width := facts.get(CORRECTION):
        add_correction(policy, width)
    try:
        policy.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"{file}: its policy is not what this version makes of its configuration; revision "
            f"{facts['code_revision']} wrote it: {error}"
        ) from error
    return ChunkRun(config=config, policy=policy.eval(), facts=facts)


def holds_chunks(folder: Path) -> bool:
    """Whether this is a run of chunks."""
    return (folder / "policies").is_dir()


def task_of_run(run: ChunkRun, asked: str | None) -> str:
    """The task to judge a policy on: the one that is asked for, or on which it was tried in training. Raises ValueError
    where there is neither."""
    task = asked or run.config.roll_outs.task
    if task is None:
        raise ValueError("the policy was not tried on a task in training: say on which it is to be judged, with --task")
    return task


def newest_policy(folder: Path) -> Path:
    """Raises FileNotFoundError where there is none."""
    files = policy_files(folder)
    if not files:
        raise FileNotFoundError(f"{folder} has no policies: isthmus-train-chunks writes them")
    return files[-1]


def policy_file(folder: Path, steps: int) -> Path:
    """Where the averaged policy after so many steps is kept."""
    return folder / "policies" / f"step-{steps:07d}.safetensors"


def policy_files(folder: Path) -> list[Path]:
    """The policies that a run has kept, from the oldest to the newest."""
    return sorted((folder / "policies").glob("step-*.safetensors"))


def spec_from_json(value: dict[str, Any]) -> ChunkSpec:
    """The spec that a checkpoint tells of."""
    return from_json(ChunkSpec, value)
