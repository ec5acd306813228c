"""`make bench-transfer`: exported policies on engines that they were not trained on: what is left of their success.

Each policy runs as it would on a robot, its graph with its safety chain's limits, from the same starts with the same
bodies on every engine (`isthmus-compare`). An engine that does not start ends the benchmark: a row that is missing
would look like one that is met.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common import BenchOptions, Row, parse, report

from isthmus_deploy.policy.policy_file import PolicyFileError, read
from isthmus_policies.evaluation.compare.comparison import Driven, drive, parting
from isthmus_policies.evaluation.compare.guarded import GuardedRunner
from isthmus_policies.evaluation.intervals import ratio
from isthmus_policies.training.run import task_of_contract
from isthmus_sim.threads import use_thread_budget

TOLERANCE = 0.05
"""m: how far apart two engines' robots are when they count as parted."""


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """What policies keep of their success on other engines."""

    policies: tuple[Path, ...] = ()
    """Exported policies, of any robots."""
    engines: tuple[str, ...] = ("mujoco", "physx", "sapien")
    """The first is what the others are held to."""
    episodes: int = 200
    """Episodes of each policy on each engine."""
    seed: int = 40_000
    """Seed of their starts and bodies; isthmus-compare and evaluations have others."""


QUICK = Options(episodes=4)


def rows_of(path: Path, options: Options) -> list[Row]:
    """One policy. Raises PolicyFileError, and what an engine raises that does not start."""
    contract = read(path).contract
    task = task_of_contract(contract, None)
    runner = partial(GuardedRunner, str(path), contract)
    first, *others = options.engines
    driven = {
        name: drive(task, runner, name, options.episodes, options.seed, lambda *_: None) for name in options.engines
    }
    origin, robot = contract.provenance, contract.robot
    trained = f"trained on {origin.engine}, seed {origin.seed}, at {origin.code_revision}"
    return [
        _success(robot, driven[first], options.episodes, trained),
        *(_kept(robot, driven[first], driven[name], contract.control_period_s) for name in others),
    ]


def _success(robot: str, driven: Driven, episodes: int, trained: str) -> Row:
    low, value, high = driven.score.success
    return Row(
        metric=f"{robot}: success on {driven.score.engine}", value=100 * value, unit="%", seeds=episodes,
        peer=f"95 % interval {100 * low:.1f} to {100 * high:.1f}; {trained}",
    )  # fmt: skip


def _kept(robot: str, first: Driven, other: Driven, period_s: float) -> Row:
    name, held_to = other.score.engine, first.score.engine
    low, value, high = ratio(other.score.success, first.score.success)
    part = parting(first, other, TOLERANCE, period_s)
    after = "never" if part.quartiles is None else f"after {part.quartiles[1]:.2f} s in {part.share:.0%}"
    errors = ", ".join(
        f"{metric} {here[1]:.3f} ({there[1]:.3f} on {held_to})"
        for metric, here in other.score.steady.items()
        if here and (there := first.score.steady[metric])
    )
    return Row(
        metric=f"{robot}: success kept on {name}", value=100 * value, unit="%", seeds=other.score.episodes,
        must=">= 95", aim=">= 100",
        peer=f"95 % interval {100 * low:.1f} to {100 * high:.1f}; {TOLERANCE:g} m apart {after}; {errors}",
    )  # fmt: skip


def main() -> int:
    """Entry point; 1 where a must is missed, 2 where there is nothing to measure."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    if not options.policies:
        print("bench-transfer: name exported policies: --policies runs/…/policy.onnx …", file=sys.stderr)
        return 2
    try:
        rows = [row for path in options.policies for row in rows_of(path, options)]
    except (PolicyFileError, ValueError, ConnectionError) as error:
        print(f"bench-transfer: {error}", file=sys.stderr)
        return 2
    return report("transfer", rows, options)


if __name__ == "__main__":
    sys.exit(main())
