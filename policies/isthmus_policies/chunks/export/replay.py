"""Replaying the graph of a policy of chunks against the trained policy, on what that saw in a roll-out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.columns import commands_of
from isthmus_policies.chunks.inference import NOISE, NetworkInference, RobotInference
from isthmus_policies.chunks.runner import ChunkRunner
from isthmus_policies.evaluation.runners import Arrays
from isthmus_policies.export.replay import REPLAY_STEPS, REPLAY_WORLDS
from isthmus_sim.description import RobotDescription
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.task import Task

TEST_VECTORS = 2
"""Chunks of each kind, begun afresh and near to another, that a policy file carries."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Inferred:
    """What n worlds asked for at a time, and their chunks; all as `Inference.chunks` has them."""

    seen: Tensors
    noise: Tensor
    init: Tensor | None
    chunks: Tensor


@dataclass(kw_only=True)
class ChunkRecording:
    """All that a policy was asked for, and how many episodes ended meanwhile."""

    inferred: list[Inferred] = field(default_factory=list)
    resets: int = 0


class _Recorded(RobotInference):
    """Another inference, which is written down."""

    def __init__(self, inference: RobotInference, recording: ChunkRecording) -> None:
        self._inference, self._recording = inference, recording
        self.signals, self.observed, self.noise = inference.signals, inference.observed, inference.noise

    def chunks(self, seen: Tensors, noise: Tensor, init: Tensor | None) -> Tensor:
        chunks = self._inference.chunks(seen, noise, init)
        self._recording.inferred.append(Inferred(seen=seen, noise=noise, init=init, chunks=chunks))
        return chunks


def record_chunks(task: Task, policy: ChunkPolicy, executor: ExecutorConfig, seed: int) -> ChunkRecording:
    """Run the policy in many worlds, episodes at all ages so that some end. Raises ValueError where it does not fit the
    task's robot."""
    env = Env(task, make_engine(task.scene, REPLAY_WORLDS, task.engines[0]), seed, random_initial_age=True)
    recording = ChunkRecording()
    inference = NetworkInference(policy, task.robot, env.device)
    driver = ChunkRunner(_Recorded(inference, recording), env, executor, seed)
    env.last_step[0] = REPLAY_STEPS // 2  # at least one reset in the middle
    for _ in range(REPLAY_STEPS):
        step = driver.step(env)
        driver.restart(step.ended)
        recording.resets += len(step.ended)
    env.close()
    return recording


def chunk_error(graph: RobotInference, contract: Contract, recording: ChunkRecording) -> float:
    """Largest error of the graph's commands against the recorded ones, as a share of their range."""
    spans = np.concatenate([np.subtract(command.maximum, command.minimum) for command in contract.commands])
    errors = [0.0]
    for step in recording.inferred:
        found = graph.chunks(step.seen, step.noise, step.init)
        errors.append(np.abs((found - step.chunks).cpu().numpy() / spans).max())
    return float(np.max(errors))  # keeps what is not a number


def make_chunk_vectors(
    robot: RobotDescription, contract: Contract, recording: ChunkRecording, margins: Callable[[Arrays], np.ndarray]
) -> list[ReplayStep]:
    """A few of the recorded chunks, one world each. `margins`: those of the conditions, of the newest signals."""
    afresh = [step for step in recording.inferred if step.init is None]
    near = [step for step in recording.inferred if step.init is not None]
    return [_vector(robot, contract, step, margins) for step in (*_spread(afresh), *_spread(near))]


def _spread(steps: Sequence[Inferred]) -> Sequence[Inferred]:
    """The first one and others from later on."""
    return steps[:: -(-len(steps) // TEST_VECTORS)] if steps else ()


def newest(step: Inferred) -> Arrays:
    """The signals of the last control period, (n, *shape)."""
    return {name: value[:, -1].cpu().numpy() for name, value in step.seen.items()}


def _vector(
    robot: RobotDescription, contract: Contract, step: Inferred, margins: Callable[[Arrays], np.ndarray]
) -> ReplayStep:
    def commands(actions: Tensor | None) -> dict[str, np.ndarray]:
        return {} if actions is None else _first(commands_of(robot, actions))

    noise = _first({NOISE: step.noise}) if contract.noise else {}
    return ReplayStep(
        reset=True,
        signals=_first(step.seen),
        commands=commands(step.chunks),
        noise=noise,
        begin=commands(step.init),
        margins=margins({name: value[0] for name, value in newest(step).items()}),
    )


def _first(tensors: Tensors) -> dict[str, np.ndarray]:
    """The tensors of the first world."""
    return {name: value[0].cpu().numpy() for name, value in tensors.items()}
