"""Contracts of policies that nobody trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from isthmus_deploy.contracts.contract import Command, Contract, Provenance, SecondOpinion, Signal
from isthmus_deploy.contracts.robot_interface import Joint, narrowed
from isthmus_deploy.contracts.safety_data import safety_of
from isthmus_sim.description import RobotDescription

MAX_AGE_S = 1.0
"""A busy test machine holds a process up for some 0.3 s now and then."""

_NOWHERE = Provenance(
    task="", task_config={}, package="isthmus", package_version="0", robot_model="own", engine="none",
    code_revision="hand-made", seed=0, data=None, evaluation={}, created="2026-11-21T00:00:00+00:00",
)  # fmt: skip


def provenance(task: str, **known: Any) -> Provenance:
    """Say that a policy for `task` comes from nowhere, but for the fields that are `known`."""
    return replace(_NOWHERE, task=task, **known)


def second_opinion(engine: str, **known: Any) -> SecondOpinion:
    """Say what `engine` keeps of MuJoCo's success, 98 %, but for the fields that are `known`."""
    opinion = SecondOpinion(
        engine=engine, held_to="mujoco", episodes=64, seed=3, held_to_success=(0.94, 1.0, 1.0),
        success=(0.9, 0.98, 1.0), kept=(0.9, 0.98, 1.03), required=0.95, policy=64 * "0", code_revision="hand-made",
        created="2026-11-28T00:00:00+00:00",
    )  # fmt: skip
    return replace(opinion, **known)


def contract_for(robot: RobotDescription, task: str, **known: Any) -> Contract:
    """Make the contract of a policy without memory that reads all that the robot gives, but for what is `known`."""
    contract = Contract(
        robot=robot.name,
        control_period_s=robot.control_period_s,
        trained_latency_s=0.0,
        signals=tuple(narrowed(Signal, signal) for signal in robot.signals),
        commands=tuple(narrowed(Command, command) for command in robot.commands),
        memory=(),
        joints={name: narrowed(Joint, joint) for name, joint in robot.joints.items()},
        safety=safety_of(robot.safety),
        provenance=provenance(task, robot_model=robot.name),
    )
    return replace(contract, **known)


def patient(contract: Contract) -> Contract:
    """Let the readings of a contract be as old as `MAX_AGE_S`, and come as late all the time."""
    aged = (s if s.max_age_s is None else replace(s, max_age_s=MAX_AGE_S) for s in contract.signals)
    return replace(contract, signals=tuple(aged), trained_latency_s=MAX_AGE_S)
