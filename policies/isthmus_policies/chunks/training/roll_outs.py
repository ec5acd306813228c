"""A chunk policy tried in simulation while it is trained."""

from __future__ import annotations

from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.columns import RobotColumns
from isthmus_policies.chunks.runner import Execution, executor_of, network_runner
from isthmus_policies.chunks.training.config import RollOuts
from isthmus_policies.evaluation.evaluate import Evaluation, evaluate
from isthmus_sim.tasks import make_task

COLUMNS = tuple(f"roll_out/success{end}" for end in ("", "_low", "_high"))
"""Names of what `roll_out` returns."""


def check_task(policy: ChunkPolicy, config: RollOuts) -> None:
    """Raise ValueError where the policy does not fit the task that it would be tried on, before it is trained."""
    if config.task is not None:
        RobotColumns(policy.spec, make_task(config.task).robot)


def roll_out(policy: ChunkPolicy, config: RollOuts) -> dict[str, float]:
    """Success and its interval, each from 0 to 1."""
    assert config.task is not None
    low, mean, high = judged(policy, config.task, config.episodes, config.seed).success
    return dict(zip(COLUMNS, (mean, low, high), strict=True))


def judged(policy: ChunkPolicy, task: str, episodes: int, seed: int, execution: Execution | None = None) -> Evaluation:
    """How good a policy is on a registered task, by default as it is usually executed."""
    chosen = execution or usual_execution(policy, seed)
    return evaluate(make_task(task), lambda env: network_runner(policy, env, chosen), episodes, seed)


def usual_execution(policy: ChunkPolicy, seed: int) -> Execution:
    """As `executor_of` has it."""
    return Execution(executor=executor_of(policy), seed=seed)
