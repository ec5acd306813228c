"""An exported policy as an operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from isthmus_datasets.recording.operator import Controller, Decision, Event
from isthmus_datasets.recording.robot import Observation
from isthmus_deploy.contracts.robot_interface import interface_of
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.policy.runtime import Runtime
from isthmus_policies.demonstrate.demonstration import MeasuredRobot
from isthmus_policies.demonstrate.features import joined, signals_of
from isthmus_policies.demonstrate.policy_steps import policy_steps
from isthmus_sim.description import RobotDescription


class PolicyOperator:
    """The graph that would run on the robot, on the signals in a robot's observations. Chunks are executed as on the
    robot, and are there at once.

    Args:
        path: The file that isthmus-export wrote.
        robot: Whose observations these are.
        signals: Finds an observation's signals by name; by default as those of an `EnvRobot`.
        steps: It starts at once, and ends when the robot reports success or after so many steps. None: it gives no
            events; somebody else starts and ends.

    Raises:
        PolicyFileError: the file cannot be used, or is for another robot; each line of the contract that differs is
            named.
    """

    def __init__(
        self,
        path: Path,
        robot: RobotDescription,
        *,
        signals: Callable[[Observation], Mapping[str, NDArray[Any]]] | None = None,
        steps: int | None = None,
    ) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"steps must be positive, not {steps}")
        self.name = f"policy {path.stem}"
        runtime = Runtime(path)
        self._contract, self._policy = runtime.contract, policy_steps(runtime)
        self._robot, self._steps, self._step = robot, steps, 0
        self._signals = signals or (lambda observation: signals_of(robot, observation))
        differences = self._contract.differences(interface_of(robot))
        if differences:
            raise PolicyFileError(f"{path} is for another robot: {robot.name} is no match: {'; '.join(differences)}")

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the signals that it takes."""
        return tuple(signal.name for signal in self._contract.signals)

    def reset(self, seed: int) -> None:
        """It remembers nothing of what was before."""
        self._policy.reset(seed)
        self._step = 0

    def decide(self, observation: Observation) -> Decision:
        """Its commands. Raises ValueError for an observation of another robot."""
        commands = self._policy.step(self._signals(observation))
        action = joined(self._robot.commands, commands)
        decision = Decision(action=action, control=Controller.POLICY, event=self._event(observation))
        self._step += 1
        return decision

    def _event(self, observation: Observation) -> Event:
        if self._steps is None:
            return Event.NONE
        if self._step == 0:
            return Event.START
        if observation.success:
            return Event.SUCCESS
        return Event.TIME if self._step >= self._steps else Event.NONE

    def resume(self) -> None:
        """What it has planned is forgotten."""
        self._policy.resume()

    def close(self) -> None:
        """Nothing is held."""


def policy_for(
    path: Path, description: RobotDescription, robot: MeasuredRobot, *, steps: int | None = None
) -> PolicyOperator:
    """A policy that drives a robot, by what that measures. Raises PolicyFileError, also where it needs more."""
    operator = PolicyOperator(path, description, signals=robot.signals, steps=steps)
    asked = [name for name in operator.needs if name not in robot.readings]
    if asked:
        raise PolicyFileError(
            f"{path} needs {', '.join(asked)}, which the robot does not measure: an operator asks for it while "
            "isthmus-deploy drives"
        )
    return operator
