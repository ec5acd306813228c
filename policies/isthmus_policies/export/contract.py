"""The contract of a policy: everything from the robot's description and the task, nothing typed again."""

from __future__ import annotations

from dataclasses import asdict

from isthmus_deploy.contract import Command, Contract, Memory, Noise, Provenance, Signal
from isthmus_deploy.robot_interface import Joint, narrowed
from isthmus_policies.export.graph import POLICY_MEMORY
from isthmus_policies.networks.policy import Policy
from isthmus_sim.description import SignalSpec
from isthmus_sim.task import Task


def make_contract(task: Task, policy: Policy, provenance: Provenance) -> Contract:
    """The contract of `policy` for `task`."""
    robot = task.robot
    own = (
        Memory(name=f"{POLICY_MEMORY}{name}", shape=group.shape, order="the policy's own", initial=0.0)
        for name, group in policy.memory.items()
    )
    return Contract(
        robot=robot.name,
        control_period_s=robot.control_period_s,
        trained_latency_s=task.trained_latency_s,
        signals=tuple(_signal(task, spec) for spec in robot.signals),
        commands=tuple(Command(shape=(spec.size,), **asdict(spec)) for spec in robot.commands),
        memory=(*(Memory(**asdict(spec)) for spec in task.memory), *own),
        noise=tuple(Noise(name=name, shape=group.shape) for name, group in policy.noise.items()),
        joints={name: narrowed(Joint, spec) for name, spec in robot.joints.items()},
        provenance=provenance,
    )


def _signal(task: Task, spec: SignalSpec) -> Signal:
    """A reading with its bounds, and for a goal with the range that training asked for."""
    low, high = task.goal_range.get(spec.name, (None, None))
    facts = {name: value for name, value in asdict(spec).items() if name != "sensor"}
    return Signal(**facts, trained_minimum=low, trained_maximum=high)
