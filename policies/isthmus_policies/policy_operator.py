"""An exported policy as an operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.operators.operator import Controller, Decision
from isthmus_datasets.robot import Observation
from isthmus_deploy.policy_file import PolicyFileError
from isthmus_deploy.runtime import Runtime
from isthmus_sim.spec import RobotSpec


class PolicyOperator:
    """The graph that would run on the robot, on the signals in an observation's column "state" of an `EnvRobot`.

    Args:
        path: The file that isthmus-export wrote.
        robot: Whose signals these are.

    Raises:
        PolicyFileError: the file cannot be used, or is for another robot.
    """

    def __init__(self, path: Path, robot: RobotSpec) -> None:
        self.name = f"policy {path.stem}"
        self._runtime = Runtime(path)
        self._command, self._parts = robot.commands[0].name, {}
        begin = 0
        for signal in robot.signals:
            self._parts[signal.name] = slice(begin, begin + signal.size)
            begin += signal.size
        self._check(path, robot)

    def _check(self, path: Path, robot: RobotSpec) -> None:
        contract = self._runtime.contract
        needed = {item.name for item in contract.signals} | {item.name for item in contract.commands}
        lacking = sorted(needed - set(self._parts) - {command.name for command in robot.commands})
        if lacking:
            raise PolicyFileError(f"{path} is for another robot: {robot.name} has no {', '.join(lacking)}")

    def reset(self, seed: int) -> None:
        """It remembers nothing of what was before."""
        self._runtime.reset()

    def decide(self, observation: Observation) -> Decision:
        """Its command."""
        state = observation.columns["state"]
        commands = self._runtime.step({name: state[part] for name, part in self._parts.items()})
        return Decision(action=self._action(commands), control=Controller.POLICY)

    def _action(self, commands: dict[str, NDArray]) -> NDArray[np.float32]:
        return commands[self._command].astype(np.float32)

    def close(self) -> None:
        """Nothing is held."""
