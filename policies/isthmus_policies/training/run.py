"""What training left: a run, rebuilt from its own configuration and never from today's defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_policies.files import from_json
from isthmus_policies.networks.policy import Policy, make_policy
from isthmus_policies.training.checkpoint import CHECKPOINT, CheckpointError, load_checkpoint
from isthmus_policies.training.config import TrainConfig, config_from_json
from isthmus_policies.training.worlds import engine_name, make_robot, make_task, require_same_robot, robot_named
from isthmus_sim.state_dicts import part
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS
from isthmus_sim.tasks import make_task as make_named_task


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run as its last checkpoint has it."""

    config: TrainConfig[Any, Any, Any]
    task: Task
    """What the policy is to be judged on: what it was trained on, unless another task was asked for."""
    policy: Policy
    engine: str
    """Registered name of the engine that it was trained in."""
    facts: dict[str, Any]
    """What the checkpoint tells: iteration, steps, seconds, code_revision …"""


def load_run(folder: Path, task: str | None = None, robot: str | None = None) -> Run:
    """The run in `folder`.

    Args:
        folder: The run's.
        task: Registered name of another task to judge the policy on, with its default configuration.
        robot: Another robot to judge it on, as `isthmus-train --robot` takes it: one that has cameras, too, say.

    Raises:
        ValueError: The configuration is none that this version knows, or the policy cannot do the other task.
        CheckpointError, FileNotFoundError: There is no checkpoint that this version can read.
    """
    tensors, facts = load_checkpoint(folder / CHECKPOINT)
    config = config_from_json(facts["config"])
    trained_on = make_task(config)
    require_same_robot(trained_on.robot, facts, folder)
    policy = make_policy(config.policy_name, config.policy, trained_on.groups, trained_on.action_size)
    load_weights(policy, tensors, facts)
    judged_on = trained_on
    if task is not None or robot is not None:
        name, its_config = (config.name, config.task) if task is None else (task, None)
        its_robot = make_robot(config) if robot is None else robot_named(robot, name)
        judged_on = make_named_task(name, its_config, its_robot)
        _require_same_interface(policy, trained_on, judged_on)
    engine = engine_name(config, trained_on)
    return Run(config=config, task=judged_on, policy=policy.eval(), engine=engine, facts=facts)


def load_weights(policy: Policy, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Take a checkpoint's weights. Raises CheckpointError where the policy of this version is another one."""
    try:
        policy.load_state_dict(part(tensors, "policy"))
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint's policy is not what this version makes of its configuration; revision "
            f"{facts['code_revision']} wrote it: {error}"
        ) from error


def task_of_contract(contract: Contract, task: str | None = None) -> Task:
    """The task that an exported policy was trained on, with the configuration in its contract; or another one by name,
    with its default configuration. Raises ValueError for what is not registered here, or is another robot's."""
    provenance = contract.provenance
    name = task or provenance.task
    entry = TASKS[name]
    config = None if task else from_json(type(entry.config), dict(provenance.task_config), f"task_config of {name}")
    return make_named_task(name, config, robot_named(provenance.robot_model, provenance.task))


def _require_same_interface(policy: Policy, trained_on: Task, judged_on: Task) -> None:
    for group in policy.groups:
        had, has = trained_on.groups[group], judged_on.groups.get(group)
        if had != has:
            raise ValueError(f"the policy reads {group!r} as {had}, the task {judged_on.name} has {has}")
    if trained_on.action_size != judged_on.action_size:
        raise ValueError(
            f"the policy's action has {trained_on.action_size} numbers, the task {judged_on.name} takes "
            f"{judged_on.action_size}"
        )
