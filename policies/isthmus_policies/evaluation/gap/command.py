"""`isthmus-gap BAG POLICY`: replay a flight's commands in simulation, and show how far the two part."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_policies.evaluation.flown import SimulationOptions, run_command
from isthmus_policies.evaluation.gap.page import draw
from isthmus_policies.evaluation.gap.replay import Gap, measure


@dataclass(frozen=True, kw_only=True)
class Options(SimulationOptions):
    """Replay a flight's commands from its recorded states in the simulation that the policy was trained in: how far
    prediction and robot part over the horizon, beside what training randomised."""

    bag: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BAG")]
    """What the flight recorder has written: a run's folder, or one of its files."""
    policy: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="POLICY.onnx")]
    """The policy's file, which says what it was trained on."""
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
    run_command("isthmus-gap", lambda: _run(options))


def _run(options: Options) -> None:
    task, engine, flights = options.read(options.policy, [options.bag])
    [flight] = flights.values()
    gap = measure(flight, task, engine, horizon_s=options.horizon, draws=options.draws, seed=options.seed)
    _show(gap)
    draw(gap, f"{task.robot.name}, {task.name}, {options.bag.name}", options.page)
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
