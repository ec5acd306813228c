"""The contract of a policy of chunks."""

from __future__ import annotations

from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_deploy.contracts.contract import Chunk, Contract, Noise, Provenance
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.columns import RobotColumns
from isthmus_policies.chunks.inference import NOISE
from isthmus_policies.export.contract import robot_contract
from isthmus_sim.task import Task


def make_chunk_contract(task: Task, policy: ChunkPolicy, executor: ExecutorConfig, provenance: Provenance) -> Contract:
    """The contract of `policy` for the robot of `task`, run as `executor` says.

    Raises:
        ValueError: the policy does not read or give what the robot has, or was trained at another rate.
        ContractError: something contradicts itself.
    """
    spec, period_s = policy.spec, task.robot.control_period_s
    chunk = Chunk(
        horizon=spec.horizon,
        observed=spec.observed,
        execute=executor.execute,
        strategy=executor.strategy,
        tolerated_latency_s=(executor.horizon - executor.execute) * period_s,
        begins_near=executor.begins_near,
    )
    noise = Noise(name=NOISE, shape=(policy.draws, spec.horizon, spec.action_size))
    return robot_contract(
        task, RobotColumns(spec, task.robot).signals, provenance, noise=(noise,) if policy.draws else (), chunk=chunk
    )
