"""The contract of a policy: everything from the robot's description and the task, nothing typed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from isthmus_deploy.contracts.contract import Chunk, Command, Condition, Contract, Memory, Noise, Provenance, Signal
from isthmus_deploy.contracts.robot_interface import Joint, narrowed
from isthmus_deploy.contracts.safety_data import safety_of
from isthmus_deploy.contracts.schema import ContractError
from isthmus_policies.export.graph import POLICY_MEMORY
from isthmus_policies.networks.policy import Policy
from isthmus_sim.sensors import SensorModel
from isthmus_sim.specs import SignalSpec
from isthmus_sim.task import Task

NOWHERE = Provenance(
    task="none", task_config={}, package="none", package_version="none", robot_model="none", engine="none",
    code_revision="none", seed=0, data=None, evaluation={}, created="1970-01-01T00:00:00+00:00",
)  # fmt: skip
"""For a policy that is not trained yet."""


def make_contract(task: Task, policy: Policy, provenance: Provenance) -> Contract:
    """The contract of `policy` for `task`. Raises ValueError for a trained range of what is no goal, and ContractError
    for what contradicts itself."""
    own = (
        Memory(name=f"{POLICY_MEMORY}{name}", shape=group.shape, order="the policy's own", initial=0.0)
        for name, group in policy.memory.items()
    )
    return robot_contract(
        task,
        task.robot.signals,
        provenance,
        memory=(*(Memory(**asdict(spec)) for spec in task.memory), *own),
        noise=tuple(Noise(name=name, shape=group.shape) for name, group in policy.noise.items()),
    )


def robot_contract(
    task: Task,
    signals: Sequence[SignalSpec],
    provenance: Provenance,
    *,
    memory: tuple[Memory, ...] = (),
    noise: tuple[Noise, ...] = (),
    chunk: Chunk | None = None,
) -> Contract:
    """The contract of a policy that reads these signals of a task's robot, with what is the policy's own. Raises as
    `make_contract`."""
    robot = task.robot
    goals = [spec.name for spec in robot.signals if spec.is_goal]
    for field in ("goal_range", "goal_around"):
        if unknown := sorted(set(getattr(task, field)) - set(goals)):
            raise ValueError(
                f"the task {task.name!r}: {field} names {', '.join(unknown)}, which {robot.name} is not asked for; "
                f"its goals are: {', '.join(goals) or 'none'}"
            )
    return Contract(
        robot=robot.name,
        control_period_s=robot.control_period_s,
        trained_latency_s=task.trained_latency_s,
        signals=tuple(_signal(task, spec) for spec in signals),
        commands=tuple(Command(shape=(spec.size,), **asdict(spec)) for spec in robot.commands),
        memory=memory,
        noise=noise,
        chunk=chunk,
        conditions=conditions_of(task),
        joints={name: narrowed(Joint, spec) for name, spec in robot.joints.items()},
        safety=safety_of(robot.safety),
        provenance=provenance,
    )


def conditions_of(task: Task) -> tuple[Condition, ...] | None:
    """A task's conditions as its contract lists them; None for none."""
    return tuple(narrowed(Condition, item, name=name) for name, item in task.conditions.items()) or None


def check_contract(task: Task, policy: Policy) -> None:
    """Raise ValueError for what the contract could not say: before a training, rather than at the export after it."""
    try:
        make_contract(task, policy, NOWHERE).to_json()
    except ContractError as error:
        raise ContractError("", f"the task {task.name!r} on the robot {task.robot.name!r}: {error}") from error


def _signal(task: Task, spec: SignalSpec) -> Signal:
    """A reading with its bounds; a goal with the range that training asked for, others with their latency there."""
    low, high = task.goal_range.get(spec.name, (None, None))
    facts = {name: value for name, value in asdict(spec).items() if name != "sensor"}
    latency_s = None if spec.is_goal else task.sensors.get(spec.sensor, SensorModel()).longest_s
    around = task.goal_around.get(spec.name)
    return Signal(
        **facts, trained_minimum=low, trained_maximum=high, trained_around=around, trained_latency_s=latency_s
    )
