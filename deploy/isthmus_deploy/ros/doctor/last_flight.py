"""What the newest flight of a robot says of what is wrong between it and the world that its policy was trained in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.flight.folder import newest_run
from isthmus_deploy.flight.recorded import FlightError, read_flight
from isthmus_deploy.mismatch.finder import Finder, MismatchError, seen_plainly
from isthmus_deploy.mismatch.world_file import WorldFileError, read_world
from isthmus_deploy.ros.doctor.finding import Finding, fine, remark


def check_last_flight(contract: Contract, digest: str, policy: Path, world: Path, flights: Path) -> Iterator[Finding]:
    """The ranked causes, as remarks: what a flight shows may have been mended since. The flight may still go on.

    Args:
        contract: Of the policy.
        digest: The policy file states it.
        policy: The file.
        world: What sound flights have taught, if it is there.
        flights: The folder of all flights.
    """
    run = newest_run(flights, contract.robot)
    if run is None:
        yield remark("flight", f"none of {contract.robot} in {flights}: once it has moved, it can be judged")
        return
    try:
        flight = read_flight(run)
        if digest not in {each.sha256 for each in flight.policies}:
            yield remark("flight", f"{run.name}, the newest, was another policy's: not judged")
            return
        if world.is_file():
            found = Finder(contract, read_world(world, contract)).find(flight, policy)
        else:
            words = f"without {world.name} orders, signs, units, frames, gains and delays are not judged"
            yield remark("flight", f"{words}: learn it of sound flights with isthmus-mismatch --learn")
            found = seen_plainly(flight, policy)
    except (FlightError, MismatchError, WorldFileError) as error:
        yield remark("flight", f"{run.name} cannot be judged: {error}")
        return
    for place, finding in enumerate(found, 1):
        yield remark("flight", f"{run.name} shows {place}. {finding}")
    if not found:
        yield fine("flight", f"{run.name} shows nothing that is wrong")
