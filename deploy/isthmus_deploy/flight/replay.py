"""`isthmus-deploy replay`: run a policy on the signals of a recorded flight, and show where its commands differ."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import tyro

from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.contracts.robot_interface import ContractMismatch
from isthmus_deploy.flight.recorded import Flight, FlightError, read_flight
from isthmus_deploy.flight.row import element_names
from isthmus_deploy.flight.unchained import Replayed
from isthmus_deploy.policy.policy_file import TOLERANCE, PolicyFileError
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.commands.filter import full
from isthmus_deploy.safety.supervisor import State


@dataclass(frozen=True, kw_only=True)
class Config:
    """Run policies on the signals of a recorded flight, and show where commands differ from those that were wanted.

    Exit status 0: none differs by more than 1e-5 of its range; 1: some do; 2: they cannot be compared.
    """

    bag: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BAG")]
    """What the flight recorder has written: a run's folder, or one of its files."""
    policies: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[POLICY.onnx ...]")] = ()
    """Policy files, one for each that the flight had, in that order; by default those, where they were then."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far one command of one policy is from the recorded one."""

    policy: str
    command: Command
    largest: float
    """Largest difference, in the command's unit; infinite where only one of the two is a number."""
    share: float
    """Largest difference as a share of the element's range."""
    element: str
    """The element of the largest share."""
    begins_s: float | None
    """When a share first exceeds the tolerance, s since the begin of the bag; None for never."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What replaying a flight has shown."""

    differences: Sequence[Difference]
    compared: int
    """Ticks in which who drove wanted something."""
    remarks: Sequence[str]
    """What to know of it, in words."""

    @property
    def same(self) -> bool:
        """Whether there are none to speak of."""
        return all(difference.begins_s is None for difference in self.differences)


def compare(flight: Flight, runtimes: Sequence[Runtime]) -> Comparison:
    """Step policies that were just loaded on the signals of all ticks in which the recorded ones were asked, each where
    that drove whose place it has.

    Raises:
        FlightError: there are not as many policies, they cannot take each other's place, they need images that were not
            recorded, or the recorded ones wanted nothing.
        ContractMismatch: one is made for another robot.
    """
    _check(flight, runtimes)
    replayed, judged = _replay(flight, runtimes)
    times_s = 1e-9 * (flight.numbers["monotonic_ns"] - flight.numbers["monotonic_ns"][0])
    differences = [
        _difference(policy.name, command, replayed[command.name][own], flight.wanted[command.name][own], times_s[own])
        for place, policy in enumerate(flight.policies)
        if (own := judged & (flight.numbers["policy"] == place)).any()
        for command in flight.contract.commands
    ]
    remarks = _remarks(flight, runtimes, judged)
    return Comparison(differences=differences, compared=int(judged.sum()), remarks=remarks)


def _check(flight: Flight, runtimes: Sequence[Runtime]) -> None:
    names = [policy.name for policy in flight.policies]
    if len(runtimes) != len(names):
        raise FlightError(f"{len(runtimes)} policies are given; the flight had {', '.join(names)}: name one for each")
    for runtime in runtimes:
        runtime.contract.check_robot(flight.contract.interface())
        missing = [signal.name for signal in runtime.contract.signals if signal.name not in flight.signals]
        if missing:
            raise FlightError(f"the policy needs {', '.join(missing)}: the images were too large to be recorded")
    if not flight.has_wanted.any():
        raise FlightError("the policy was never started: there is nothing to compare")


def _replay(flight: Flight, runtimes: Sequence[Runtime]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(n, *shape) by name: what is wanted now; NaN where nobody was asked, or wants nothing. And (n,) bool: where
    something was wanted of the policy that drives now too."""
    names, started = [policy.name for policy in flight.policies], None
    try:
        driven = Replayed(dict(zip(names, runtimes, strict=True)), flight.ramp_s)
    except ValueError as error:
        raise FlightError(str(error)) from error
    numbers = flight.numbers
    replayed = {name: np.full_like(values, np.nan) for name, values in flight.wanted.items()}
    judged = np.zeros(len(flight.states), bool)
    taken = np.diff(flight.chunks, axis=0, prepend=flight.chunks[:1])
    for index in _asked(flight):
        now_ns, activation = int(numbers["monotonic_ns"][index]), int(numbers["activation"][index])
        drove, selected = names[numbers["policy"][index]], names[numbers["selected"][index]]
        if activation != started:
            driven.start(drove, now_ns)
            started = activation
        driven.select(selected)
        signals = {name: values[index] for name, values in flight.signals.items()}
        wanted = driven.tick(signals, now_ns, dict(zip(names, taken[index].tolist(), strict=True)))
        for name, values in wanted.items():
            replayed[name][index] = values
        judged[index] = flight.has_wanted[index] and driven.drives(drove)
    return replayed, judged


def _asked(flight: Flight) -> list[int]:
    """The ticks in which the policy was asked what it wants: in ramp-in also those in which it had nothing yet."""
    return [i for i, state in enumerate(flight.states) if flight.has_wanted[i] or state is State.RAMP_IN]


def _remarks(flight: Flight, runtimes: Sequence[Runtime], judged: np.ndarray) -> list[str]:
    remarks = []
    for policy, runtime in zip(flight.policies, runtimes, strict=True):
        earlier = {opinion.policy for opinion in runtime.contract.provenance.second_opinions or ()}
        if policy.sha256 not in {runtime.digest, *earlier}:
            known = f"{policy.name} was {policy.sha256[:12]}"
            remarks.append(f"another policy: {runtime.digest[:12]} is replayed, {known}")
    if unjudged := int((flight.has_wanted & ~judged).sum()):
        remarks.append(f"{unjudged} ticks cannot be judged: another policy than in the flight drives there now")
    if not flight.finished:
        remarks.append("the bag was not finished: it is read as far as it goes")
    ticks, asked = flight.numbers["tick"], _asked(flight)
    lost = int(flight.numbers["lost_rows"][-1])
    if lost:
        remarks.append(f"{lost} ticks were not recorded: what the policy remembers differs after them")
    if asked[0] == 0:
        remarks.append("the bag begins while the policy drives: what it remembered then is not known")
    if ticks[0] != 1 and any(runtime.contract.noise for runtime in runtimes):
        remarks.append("the begin of the run is missing: the policy draws other numbers than it did")
    return remarks


def _difference(
    policy: str, command: Command, replayed: np.ndarray, recorded: np.ndarray, times_s: np.ndarray
) -> Difference:
    """Compare commands (n, *shape) that were replayed and recorded, at times (n,)."""
    replayed, recorded = replayed.reshape(len(times_s), -1), recorded.reshape(len(times_s), -1)
    apart = np.where(
        (replayed == recorded) | (np.isnan(replayed) & np.isnan(recorded)), 0.0, np.abs(replayed - recorded)
    )
    apart[np.isnan(apart)] = np.inf
    share = apart / (full(command, command.maximum) - full(command, command.minimum)).reshape(-1)
    beyond = np.flatnonzero((share > TOLERANCE).any(axis=1))
    return Difference(
        policy=policy,
        command=command,
        largest=float(apart.max()),
        share=float(share.max()),
        element=element_names(command)[int(share.max(axis=0).argmax())],
        begins_s=float(times_s[beyond[0]]) if len(beyond) else None,
    )


def main(arguments: list[str]) -> NoReturn:
    """Entry point of `isthmus-deploy replay`."""
    config = tyro.cli(Config, prog="isthmus-deploy replay", args=arguments)
    try:
        flight = read_flight(config.bag)
        files = config.policies or [policy.file for policy in flight.policies]
        comparison = compare(flight, [Runtime(file) for file in files])
    except (FlightError, PolicyFileError, ContractMismatch) as error:
        print(f"isthmus-deploy replay: refused: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    _show(comparison)
    raise SystemExit(0 if comparison.same else 1)


def _show(comparison: Comparison) -> None:
    for remark in comparison.remarks:
        print(f"note: {remark}")
    print(f"{comparison.compared} ticks in which a policy wanted something; largest differences:")
    for item in comparison.differences:
        began = "never beyond" if item.begins_s is None else f"from {item.begins_s:.3f} s on beyond"
        print(
            f"  {item.policy:12} {item.command.name:24} {item.largest:.3g} {item.command.unit}, "
            f"{item.share:.2g} of the range ({item.element}); {began} {TOLERANCE:.0e} of it"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
