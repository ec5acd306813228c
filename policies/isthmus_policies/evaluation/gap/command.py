"""`isthmus-gap BAG POLICY`: replay a flight's commands in simulation, and show how far the two part."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_deploy.contracts.robot_interface import ContractMismatch
from isthmus_deploy.flight.recorded import FlightError, read_flight
from isthmus_deploy.policy import policy_file
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_policies.evaluation.flown_windows import ReplayError
from isthmus_policies.evaluation.gap.page import draw
from isthmus_policies.evaluation.gap.replay import Gap, measure
from isthmus_policies.training.run import task_of_contract
from isthmus_sim.engine import UnsupportedError


@dataclass(frozen=True, kw_only=True)
class Options:
    """Replay a flight's commands from its recorded states in the simulation that the policy was trained in: how far
    prediction and robot part over the horizon, beside what training randomised."""

    bag: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BAG")]
    """What the flight recorder has written: a run's folder, or one of its files."""
    policy: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="POLICY.onnx")]
    """The policy's file, which says what it was trained on."""
    task: str | None = None
    """A registered task to simulate instead of the one that the policy was trained on."""
    engine: str | None = None
    """Name of the engine; by default the task's first."""
    horizon: float = 0.5
    """How long each window is, s."""
    draws: int = 16
    """Worlds drawn as training draws them, by window."""
    seed: int = 0
    """Seed of these."""
    page: Path = field(default_factory=lambda: Path("gap.png"))
    """Where to draw it."""


def main() -> None:
    """Entry point of `isthmus-gap`."""
    options = tyro.cli(Options, prog="isthmus-gap")
    try:
        _run(options)
    except (ReplayError, FlightError, PolicyFileError, ContractMismatch, UnsupportedError, ValueError) as error:
        print(f"isthmus-gap: {error}", file=sys.stderr)
        sys.exit(2)


def _run(options: Options) -> None:
    contract, flight = policy_file.read(options.policy).contract, read_flight(options.bag)
    contract.check_robot(flight.contract.interface())
    task = task_of_contract(contract, options.task)
    gap = measure(
        flight, task, options.engine or task.engines[0], horizon_s=options.horizon, draws=options.draws,
        seed=options.seed,
    )  # fmt: skip
    _show(gap)
    draw(gap, f"{contract.robot}, {task.name}, {options.bag.name}", options.page)
    print(f"drawn to {options.page}")


def _show(gap: Gap) -> None:
    horizon_s = gap.period_s * len(gap.partings[0].middle)
    print(f"{gap.windows} windows, at their end after {horizon_s:g} s:")
    for parting in gap.partings:
        print(
            f"  {parting.name:18} robot {parting.middle[-1]:8.3g} {parting.unit} from simulation (median), training "
            f"draws {parting.trained[-1]:.3g} (95 %): {parting.share:.2g} of it"
        )


if __name__ == "__main__":
    main()
