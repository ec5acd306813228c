"""`isthmus-identify-robot BAGS --policy POLICY`: from flights to the parameters of the simulation they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_policies.evaluation.flown import SimulationOptions, run_command
from isthmus_policies.evaluation.identify.identify import identify
from isthmus_sim.identify.identified_robot import IdentifiedRobot


@dataclass(frozen=True, kw_only=True)
class Options(SimulationOptions):
    """Identify a robot from its flights: the parameters that differ from unit to unit, each with a 95 % interval, and
    what the flights do not tell. Writes what training can randomise."""

    bags: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """What the flight recorder has written: runs' folders, or files of them."""
    policy: Path
    """A file of the policy that flew, or of another one for this robot: it says in which simulation."""
    parameters: tuple[str, ...] = ()
    """What is unknown, by name; by default all parameters of the robot."""
    horizon: float = 0.25
    """How long each window is, s: each begins at a recorded state."""
    out: Path = field(default_factory=lambda: Path("robot.json"))
    """Where to write the result."""


def main() -> None:
    """Entry point of `isthmus-identify-robot`."""
    options = tyro.cli(Options, prog="isthmus-identify-robot")
    run_command("isthmus-identify-robot", lambda: _run(options))


def _run(options: Options) -> None:
    if not options.bags:
        raise ValueError("no flight: name folders or files that the flight recorder has written")
    task, engine, flights = options.read(options.policy, options.bags)
    names = options.parameters or tuple(parameter.name for parameter in task.robot.parameters)
    found = identify(flights, task, parameters=names, horizon_s=options.horizon, engine=engine)
    found.write(options.out)
    show(found)
    print(f"written to {options.out}")


def show(found: IdentifiedRobot) -> None:
    """Print it as a person reads it."""
    print(f"{found.robot}: {len(found.flights)} flights, {found.windows} windows of {found.horizon_s:g} s")
    print(f"{'parameter':28} {'value':>10} {'95 % interval':>25}  unit")
    for name, ranges in {**found.parameters, "latency": (found.latency_s,)}.items():
        for index, item in enumerate(ranges):
            shown = name if len(ranges) == 1 else f"{name}[{index}]"
            print(f"{shown:28} {item.value:10.4g} {item.low:12.4g} …{item.high:11.4g}  {item.unit}")
    for name, error in found.errors.items():
        print(
            f"{name}: {error.identified:.3g} {error.unit} off at the windows' end (rms), "
            f"{error.nominal:.3g} with nominal parameters"
        )
    for line in found.remarks:
        print(f"note: {line}")


if __name__ == "__main__":
    main()
