"""What the commands that simulate flights again have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus_deploy.contracts.robot_interface import ContractMismatch
from isthmus_deploy.flight.recorded import Flight, FlightError, read_flight
from isthmus_deploy.policy import policy_file
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_policies.evaluation.flown_windows import ReplayError
from isthmus_policies.training.run import task_of_contract
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.task import Task


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """In which simulation flights are replayed."""

    task: str | None = None
    """A registered task to simulate instead of the one that the policy was trained on."""
    engine: str | None = None
    """Name of the engine; by default the task's first."""

    def read(self, policy: Path, bags: Sequence[Path]) -> tuple[Task, str, dict[str, Flight]]:
        """Read the task that a policy was trained on, the engine's name, and flights of that robot by path.

        Raises:
            PolicyFileError: of the policy.
            FlightError: of a flight.
            ContractMismatch: a flight is another robot's.
            ValueError: there is no such task, or it is another robot's.
        """
        contract = policy_file.read(policy).contract
        flights = {str(bag): read_flight(bag) for bag in bags}
        for flight in flights.values():
            contract.check_robot(flight.contract.interface())
        task = task_of_contract(contract, self.task)
        return task, self.engine or task.engines[0], flights


def run_command(program: str, command: Callable[[], None]) -> None:
    """Run a command; what is wrong with a flight, a policy or a task ends the process in words, with exit code 2."""
    try:
        command()
    except (ReplayError, FlightError, PolicyFileError, ContractMismatch, UnsupportedError, ValueError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(2)
