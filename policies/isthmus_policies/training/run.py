"""What a finished run was: its task, robot, engine and policy, from its own configuration and never from today's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus_deploy.contract import Contract
from isthmus_policies.files import from_json
from isthmus_policies.networks.policy import Policy
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import load_policy
from isthmus_policies.training.worlds import engine_name, make_robot, make_task, robot_named
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS
from isthmus_sim.tasks import make_task as make_registered_task


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as it was trained.

    Args:
        config: What its config.json and its checkpoint hold.
        task: Made from that, with the robot that it was trained on.
        policy: With the weights of the last checkpoint.
        engine: Name of the engine that it was trained in.
        facts: What else the checkpoint tells, such as the code's revision.
    """

    config: TrainConfig[Any, Any, Any]
    task: Task
    policy: Policy
    engine: str
    facts: dict[str, Any]


def load_run(folder: Path, *, task: str | None = None) -> Run:
    """The run in `folder`; `task`: judge its policy on that registered task with its default configuration instead.

    Raises ValueError for a checkpoint or configuration that this version does not know, FileNotFoundError for none.
    """
    config, policy, facts = load_policy(folder)
    trained = make_task(config)
    judged = trained if task is None else make_registered_task(task, robot=make_robot(config))
    if task is not None and {n: judged.groups.get(n) for n in policy.groups} != {
        n: trained.groups[n] for n in policy.groups
    }:
        raise ValueError(f"the policy of {folder} reads other observations than the task {task!r} has")
    return Run(config=config, task=judged, policy=policy, engine=engine_name(config, trained), facts=facts)


def task_of_contract(contract: Contract, task: str | None = None) -> Task:
    """The task that an exported policy was trained on, from its contract; or the registered `task` instead.

    Raises ValueError for a task that is not registered here, or a configuration that it does not know.
    """
    if task is not None:
        return make_registered_task(task)
    provenance = contract.provenance
    entry = TASKS[provenance.task]
    config = from_json(type(entry.config), dict(provenance.task_config), "the contract's task_config")
    return make_registered_task(provenance.task, config, robot_named(provenance.robot_model))
