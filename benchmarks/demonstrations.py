"""`make bench-demonstrations`: a second operator, whose demonstrations do not all fit those of the first.

A point goes round a disc (the world of bench-bimodal). Operator A always goes left. Two thirds of B's demonstrations go
right, and one third goes left from places farther from the usual start than A's. An ensemble that was trained on A's
scores B's (`isthmus_policies.chunks.compatibility`). Then policies are trained on

- A's alone,
- A's and all of B's,
- A's and a random half of B's,
- A's and those of B's that are compatible,
- A's, these, and in the place of the others what B shows when asked for another: left, from the same start.

The mean of two ways leads into the disc, so a regression suffers from B's; a method that draws one of them need not.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report

import numpy as np
from bimodal import (
    ACTION,
    CHUNKED,
    FPS,
    GOAL,
    REST,
    START_NOISE,
    STATE,
    STRIDE,
    World,
    learn,
    roll_out,
    shown,
    training,
)
from numpy.typing import NDArray

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.compatibility.score import Compatibility
from isthmus_policies.chunks.training.config import AnyConfig
from isthmus_policies.chunks.training.run import ChunkRun
from isthmus_sim.threads import use_thread_budget

LEFT, RIGHT = 1.0, -1.0
WIDE = 8.0
"""How much farther from the usual start B begins where it goes left."""
METHODS = ("cloning", "diffusion")
ARMS = ("A alone", "all", "random half", "compatible", "asked again")
MEMBERS = 4

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn from two operators, with each method and several seeds, and measure."""

    seeds: tuple[int, ...] = (711, 712, 713, 714, 715)
    """Seeds of demonstrations and trainings."""
    first: int = 40
    """Demonstrations of A."""
    second: int = 30
    """Demonstrations of B."""
    steps: int = 600
    """Batches of a training."""
    episodes: int = 300
    """Roll-outs of a policy."""


QUICK = Options(seeds=(711,), first=12, second=6, steps=20, episodes=8)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """Demonstrations: columns (n, T, 2) by name, and the side (n,) of each."""

    columns: dict[str, Vector]
    side: Vector

    def __len__(self) -> int:
        return len(self.side)

    def chosen(self, which: NDArray[np.bool_]) -> Shown:
        return Shown(columns={name: values[which] for name, values in self.columns.items()}, side=self.side[which])

    def joined(self, other: Shown) -> Shown:
        both = {name: np.concatenate((values, other.columns[name])) for name, values in self.columns.items()}
        return Shown(columns=both, side=np.concatenate((self.side, other.side)))


def demonstrate(start: Vector, side: Vector, seed: int) -> Shown:
    """From these starts (n, 2) m on these sides (n,)."""
    world = World(len(side), seed)
    world.position = start
    world.path = [start]
    actions = []
    for _ in range(round(GOAL[0] / STRIDE) + REST):
        actions.append(shown(world.position, side))
        world.step(actions[-1])
    states = np.stack(world.path[:-1], axis=1)
    return Shown(columns={STATE: states, ACTION: np.stack(actions, axis=1)}, side=side)


def write(root: Path, shown_: Shown) -> Path:
    """As a dataset."""
    place = Feature(dtype="float32", shape=(2,), names=("x", "y"))
    with DatasetWriter.create(root, fps=FPS, features={STATE: place, ACTION: place}, robot_type="point") as writer:
        for i in range(len(shown_)):
            rows = {name: values[i].astype(np.float32) for name, values in shown_.columns.items()}
            writer.append(Episode(columns=rows, task="go round the disc"))
    return root


def config(data: Path, method: str, seed: int, steps: int) -> AnyConfig:
    """How a method learns from a dataset, of which a tenth is kept back to say what is usual."""
    return replace(training(data, method, seed, steps), validation=0.1)


def compatible(base: Path, new: Path, seed: int, steps: int) -> NDArray[np.bool_]:
    """(n,): which episodes of `new` an ensemble of cloning finds compatible with `base`."""
    members = [config(base, "cloning", 1000 * (k + 1) + seed, steps) for k in range(MEMBERS)]
    runs = [ChunkRun(config=each, policy=learn(each), facts={}) for each in members]
    compatibility, reader = Compatibility.fit(runs), DatasetReader(new)
    scores = [compatibility.score(reader.columns(i, (STATE, ACTION))).score for i in range(reader.num_episodes)]
    print("least", round(compatibility.least, 3), "scores", np.round(scores, 2).tolist(), flush=True)
    return np.array(scores) >= compatibility.least


def arms(options: Options, seed: int, folder: Path) -> tuple[dict[str, Path], dict[str, float]]:
    """A dataset for every arm; and shares in % of B's that fit and that do not which were found compatible."""
    random = np.random.default_rng(seed)
    left = np.full(options.second // 3, LEFT)
    right = np.full(options.second - len(left), RIGHT)
    starts = START_NOISE * random.standard_normal((options.first + options.second, 2))
    first = demonstrate(starts[: options.first], np.full(options.first, LEFT), seed)
    begin = starts[options.first :] * np.repeat((WIDE, 1.0), (len(left), len(right)))[:, None]
    second = demonstrate(begin, np.concatenate((left, right)), seed + 1)
    base, new = write(folder / "base", first), write(folder / "new", second)
    fits = compatible(base, new, seed, options.steps)
    half = random.permutation(len(second)) < len(second) // 2
    again = demonstrate(begin[~fits], np.full(int((~fits).sum()), LEFT), seed + 2)
    shown_ = {
        "all": first.joined(second),
        "random half": first.joined(second.chosen(half)),
        "compatible": first.joined(second.chosen(fits)),
        "asked again": first.joined(second.chosen(fits)).joined(again),
    }
    datasets = {name: write(folder / name.replace(" ", "-"), each) for name, each in shown_.items()}
    found = {"left": 100 * float(fits[: len(left)].mean()), "right": 100 * float(fits[len(left) :].mean())}
    return {"A alone": base, **datasets}, found


def success(policy: ChunkPolicy, options: Options) -> float:
    """%, from A's starts."""
    return roll_out(policy, options.episodes, 99, CHUNKED).success


Table = dict[tuple[str, str], list[float]]


def rows_of(table: Table, found: list[dict[str, float]]) -> list[Row]:
    """Success of every method and arm, and what adding B's demonstrations changes."""
    rows = [
        over_seeds("B's to the left that are found compatible", [each["left"] for each in found], "%"),
        over_seeds("B's to the right that are", [each["right"] for each in found], "%"),
    ]
    for method in METHODS:
        rows += [over_seeds(f"success, {method}, {arm}", table[method, arm], "%") for arm in ARMS]
        for arm in ARMS[1:]:
            rows.append(_difference(method, arm, table))
    return rows


JUDGED = {("cloning", "all"): "<= -5", ("cloning", "compatible"): ">= 0", ("cloning", "asked again"): ">= 0"}
"""Bounds hold for the means over the seeds."""


def _difference(method: str, arm: str, table: Table) -> Row:
    """The means over the seeds are compared: where all are at 100 %, chance moves single seeds."""
    less = [a - b for a, b in zip(table[method, arm], table[method, ARMS[0]], strict=True)]
    seeds = f"seeds: {', '.join(f'{value:.1f}' for value in less)}"
    return Row(
        metric=f"{method}: {arm} less A alone, mean", value=statistics.fmean(less), unit="points", seeds=len(less),
        must=JUDGED.get((method, arm)), peer=seeds,
    )  # fmt: skip


def measure(options: Options, seeds: Sequence[int]) -> tuple[Table, list[dict[str, float]]]:
    """Everything, seed by seed; printed as it comes."""
    table: Table = {(method, arm): [] for method in METHODS for arm in ARMS}
    found = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            datasets, shares = arms(options, seed, Path(folder))
            found.append(shares)
            for (method, arm), values in table.items():
                values.append(success(learn(config(datasets[arm], method, seed, options.steps)), options))
                print(f"seed {seed}: {method}, {arm}: {values[-1]:.1f} %", flush=True)
    return table, found


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    return report("demonstrations", rows_of(*measure(options, options.seeds)), options)


if __name__ == "__main__":
    sys.exit(main())
