"""`isthmus-mismatch BAG --contract FILE`: what is wrong between the trained world and the robot of a log."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.robot_interface import ContractMismatch
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.flight.recorded import FlightError, read_flight
from isthmus_deploy.mismatch.finder import Finder, MismatchError, learn_world, seen_plainly
from isthmus_deploy.mismatch.finding import Finding
from isthmus_deploy.mismatch.world_file import WorldFileError, beside, read_world, write_world
from isthmus_deploy.policy import policy_file
from isthmus_deploy.policy.policy_file import PolicyFileError


@dataclass(frozen=True, kw_only=True)
class Options:
    """Rank what may be wrong between the world that a policy was trained in and a robot, from a flight's log.

    The trained world is learnt once of sound flights of a stand-in robot, of many units, with --learn. Without it only
    what a log shows by itself is judged: its clock, dead sensors, and what the policy remembers.
    Exit status 0: nothing is wrong; 1: something is; 2: it cannot be judged.
    """

    bags: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="BAG")]
    """What the flight recorder has written: a run's folder, or one of its files. Several with --learn."""
    contract: Path
    """The policy's file, or its contract as JSON."""
    world: Path | None = None
    """What was learnt of sound flights; by default POLICY.world.npz beside the policy, where there is one."""
    learn: Path | None = None
    """Learn the world of these flights, all sound, and write it there."""


def main() -> None:
    """Entry point of `isthmus-mismatch`."""
    options = tyro.cli(Options, prog="isthmus-mismatch")
    try:
        sys.exit(_run(options))
    except (MismatchError, FlightError, PolicyFileError, ContractError, ContractMismatch, WorldFileError) as error:
        print(f"isthmus-mismatch: {error}", file=sys.stderr)
        sys.exit(2)


def _run(options: Options) -> int:
    contract, policy = _contract(options.contract)
    if options.learn:
        flights = [read_flight(bag) for bag in options.bags]
        write_world(learn_world(contract, flights), contract, options.learn)
        print(f"learnt of {len(flights)} flights, written to {options.learn}")
        return 0
    if len(options.bags) != 1:
        raise MismatchError(f"{len(options.bags)} bags are given; one is judged at a time")
    flight = read_flight(options.bags[0])
    world = options.world or beside(options.contract)
    if options.world is None and not world.is_file():
        print(f"note: without {world.name} orders, signs, units, frames, gains and delays are not judged (--learn)")
        found = seen_plainly(flight, policy)
    else:
        found = Finder(contract, read_world(world, contract)).find(flight, policy)
    _show(found)
    return 1 if found else 0


def _contract(path: Path) -> tuple[Contract, Path | None]:
    """The contract, and the policy's file where that was given."""
    if path.suffix == ".json":
        try:
            return Contract.from_json(path.read_text(encoding="utf-8")), None
        except OSError as error:
            raise MismatchError(f"{path}: cannot be read: {error.strerror}") from error
    return policy_file.read(path).contract, path


def _show(found: list[Finding]) -> None:
    for place, finding in enumerate(found, 1):
        print(f"{place}. {finding}")
    if not found:
        print("nothing is found to be wrong")


if __name__ == "__main__":
    main()
