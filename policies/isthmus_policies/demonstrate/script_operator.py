"""A script that is a policy, as an operator: on the signals of one robot, in the place of a person."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.recording.scripted import ScriptedOperator
from isthmus_policies.demonstrate.features import joined, signals_of
from isthmus_policies.networks.policy import Policy
from isthmus_sim.task import Task


class PolicyScript(ScriptedOperator):
    """Acts as a policy does that has no memory of its own.

    Args:
        policy: Reads groups that the robot has.
        task: Whose observations and actions these are.
        noise, skill, stray: As `ScriptedOperator`, in the commands' unit.
    """

    def __init__(self, policy: Policy, task: Task, *, noise: float, skill: float, stray: float) -> None:
        self._policy, self._task = policy, task
        super().__init__(steps=task.episode_steps, noise=noise, skill=skill, stray=stray)

    def plan(self, observation: Observation, step: int) -> NDArray[np.float32]:
        """The robot's commands (k,)."""
        task = self._task
        if step == 0:
            self._memory = {spec.name: torch.full((1, *spec.shape), spec.initial) for spec in task.memory}
        signals = {name: torch.from_numpy(value)[None] for name, value in signals_of(task.robot, observation).items()}
        with torch.no_grad():
            action, _ = self._policy.act(task.observe(signals, self._memory), {}, {})
            commands = task.act(action, signals, self._memory)
            self._memory = task.remember(self._memory, signals, action)
        return joined(task.robot.commands, {name: value[0].numpy() for name, value in commands.items()})
