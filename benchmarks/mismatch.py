"""`make bench-mismatch`: faults between the trained world and a robot, and whether the right cause is named from a log.

Each robot moves in one process: hand-made policy, safety chain, a stand-in's body that nobody was told of. The trained
world is learnt of sound flights; then faults of every kind, drawn at random, and sound flights of other units.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import BenchOptions, Row, parse, report

import numpy as np
from mismatching.faults import FAULTS
from mismatching.robots import Robot, fly, robots

from isthmus_deploy.mismatch.finder import Finder, MismatchError, learn_world
from isthmus_deploy.policy.runtime import Runtime


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """How often the right cause is named."""

    faults: int = 20
    """Faults of each kind, by robot."""
    sound: int = 20
    """Sound flights that are judged, by robot."""
    learnt: int = 60
    """Sound flights that the world is learnt of, by robot."""
    kinds: int = 12
    """So many of the kinds, in their order."""
    show: bool = False
    """Print what was said of each fault that was not named first."""


QUICK = Options(faults=1, sound=1, learnt=12, kinds=4)


@dataclass
class Score:
    """One robot's flights by kind, and how many were named first and among the first three."""

    first: dict[str, int] = field(default_factory=dict)
    three: dict[str, int] = field(default_factory=dict)
    false_alarms: int = 0
    seconds: list[float] = field(default_factory=list)


def main() -> int:
    """Print the table; 1 where a must is missed."""
    options = parse(Options(), QUICK)
    scores = {name: _judge(robot, options) for name, robot in robots().items()}
    rows = [row for name, score in scores.items() for row in _rows(name, score, options)]
    total = options.faults * sum(len(score.first) for score in scores.values())
    first, three = (sum(sum(getattr(s, place).values()) for s in scores.values()) for place in ("first", "three"))
    alarms = sum(score.false_alarms for score in scores.values())
    rows += [
        Row(metric="right cause first", value=100 * first / total, unit="%", seeds=total, must=">= 90", aim=">= 98"),
        Row(metric="among the first three", value=100 * three / total, unit="%", seeds=total, must=">= 98"),
        Row(metric="false alarms in sound flights", value=alarms, unit="", seeds=2 * options.sound, must="<= 0"),
    ]
    return report("mismatch", rows, options)


def _judge(robot: Robot, options: Options) -> Score:
    score = Score()
    with tempfile.TemporaryDirectory() as folder:
        right, turned = Path(folder) / "right.onnx", Path(folder) / "turned.onnx"
        right.write_bytes(robot.policy(False))
        turned.write_bytes(robot.policy(True))
        runtimes = {False: Runtime(right), True: Runtime(turned)}
        world = learn_world(robot.contract, [fly(robot, runtimes[False], 10_000 + i) for i in range(options.learnt)])
        finder = Finder(robot.contract, world)
        for seed in range(options.sound):
            score.false_alarms += bool(finder.find(fly(robot, runtimes[False], seed), right))
        for kind, draw in list(FAULTS[robot.name].items())[: options.kinds]:
            score.first[kind] = score.three[kind] = 0
            for number in range(options.faults):
                fault = draw(np.random.default_rng([number, 5]))
                flight = fly(robot, runtimes[fault.turned], 1000 + number, fault)
                begun = time.perf_counter()
                named = _named(finder, flight, right)
                score.seconds.append(time.perf_counter() - begun)
                score.first[kind] += named[:1] == [kind]
                score.three[kind] += kind in named[:3]
                if options.show and named[:1] != [kind]:
                    print(f"{robot.name}: {kind} {number} was called {', '.join(named) or 'nothing'}", flush=True)
    return score


def _named(finder: Finder, flight, policy: Path) -> Sequence[str]:
    try:
        return [finding.kind for finding in finder.find(flight, policy)]
    except MismatchError:
        return []


def _rows(name: str, score: Score, options: Options) -> list[Row]:
    n = options.faults
    rows = [
        Row(
            metric=f"{name}: {kind}", value=100 * first / n, unit="% first", seeds=n,
            peer=f"{100 * score.three[kind] / n:.0f} % among three",
        )
        for kind, first in score.first.items()
    ]  # fmt: skip
    return [*rows, Row(metric=f"{name}: time of a judgement", value=float(np.median(score.seconds)), unit="s")]


if __name__ == "__main__":
    sys.exit(main())
