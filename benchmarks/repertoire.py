"""`make bench-repertoire`: a repertoire of gaits of the quadruped, and what it is worth when a motor is dead.

For each seed an archive is filled by MAP-Elites, and one by as many gaits that are drawn evenly. Then one motor has no
torque any more. Three ways to go on are compared, for each motor: the gait that was best before; the look-up, which
tries what the archive and its trials so far promise most; and as many gaits drawn evenly from it. A fall counts as no
way at all.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from rich.console import Console

from isthmus_policies.repertoire.archive import Archive
from isthmus_policies.repertoire.gaits import GaitConfig, Gaits
from isthmus_policies.repertoire.recovery import RecoveryConfig, recover
from isthmus_policies.repertoire.search import SearchConfig, search
from isthmus_sim.robots import ROBOTS
from isthmus_sim.threads import use_thread_budget

WAYS = ("the gait that was best before", "looked up", "as many drawn evenly")


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Fill repertoires of gaits, and damage the robot."""

    robot: str = "quadruped"
    """A robot with legs."""
    seeds: tuple[int, ...] = (801, 802, 803, 804, 805)
    bins: int = 5
    """Cells along the share of time that a foot stands, for each foot."""
    gait: GaitConfig = field(default_factory=GaitConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)
    figure: Path | None = None
    """Where a picture goes, of the first seed; by default nowhere."""


QUICK = Options(seeds=(1,), search=SearchConfig(first=128, trials=256), recovery=RecoveryConfig(trials=3))
"""Proves that it runs."""


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A motor is dead: metres forward in a trial, by way to go on, and how many trials the look-up took."""

    joint: str
    forward: dict[str, float]
    trials: int


def damaged(gaits: Gaits, archive: Archive, joint: str, options: Options, seed: int) -> Damage:
    """Every gait of the archive is simulated without that motor; who recovers sees only those that it tries."""
    cells = archive.filled
    strength = torch.tensor([float(name != joint) for name in gaits.robot.joints]).repeat(len(cells), 1)
    forward = torch.zeros_like(archive.quality)
    forward[cells] = gaits.evaluate(archive.solutions[cells], strength)[1]
    forward = torch.where(forward.isnan(), 0.0, forward)
    found = recover(archive, lambda cell: float(forward[cell]), options.recovery)
    order = torch.randperm(len(cells), generator=torch.Generator().manual_seed(seed))
    chance = forward[cells[order[: len(found.cells)]]].max()
    metres = (float(forward[archive.best]), found.best, float(chance))
    return Damage(joint=joint, forward=dict(zip(WAYS, metres, strict=True)), trials=len(found.cells))


def filled(gaits: Gaits, options: Options, seed: int, *, vary: bool) -> Archive:
    """An archive by MAP-Elites, or by even drawing."""
    archive = Archive((options.bins,) * len(gaits.robot.legs), gaits.size)
    search(gaits.evaluate, archive, replace(options.search, vary=vary), seed)
    return archive


def total(archive: Archive) -> float:
    """The archive's metres forward, of all cells together; gaits that go back count as none."""
    return float(archive.quality[archive.filled].clamp_min(0.0).sum())


def archive_rows(kinds: dict[str, list[Archive]], seconds: float) -> list[Row]:
    """How full the archives are, and how good."""
    rows = []
    for kind, archives in kinds.items():
        speeds = [float(archive.quality[archive.best]) / seconds for archive in archives]
        rows += [
            over_seeds(f"{kind}: cells filled", [100 * archive.coverage for archive in archives], "%"),
            over_seeds(f"{kind}: fastest gait", speeds, "m/s"),
        ]
    varied, even = ([total(archive) for archive in archives] for archives in kinds.values())
    ratios = [a / b for a, b in zip(varied, even, strict=True)]
    return [*rows, over_seeds("sum of the cells' speeds, times that of even drawing", ratios, "", must=">= 1.5")]


def damage_rows(damages: list[list[Damage]], archives: list[Archive]) -> list[Row]:
    """Speed with a dead motor in shares of the fastest gait's before, the mean over motors for each seed."""
    shares = {
        way: [
            100 * statistics.mean(damage.forward[way] for damage in motors) / float(archive.quality[archive.best])
            for motors, archive in zip(damages, archives, strict=True)
        ]
        for way in WAYS
    }
    best, looked_up, even = shares.values()
    trials = [statistics.mean(damage.trials for damage in motors) for motors in damages]
    return [
        *(over_seeds(f"a dead motor, {way}: speed, share of before", values, "%") for way, values in shares.items()),
        over_seeds("… looked up, more than the gait before", _less(looked_up, best), "points", must=">= 5"),
        over_seeds("… looked up, more than as many drawn evenly", _less(looked_up, even), "points", must=">= 5"),
        over_seeds("… trials of the look-up", trials, ""),
    ]


def _less(values: list[float], others: list[float]) -> list[float]:
    return [value - other for value, other in zip(values, others, strict=True)]


def draw(kinds: dict[str, Archive], damages: list[Damage], seconds: float, path: Path) -> None:
    """The archives as maps within maps, and the speeds with a dead motor."""
    figure, (*maps, bars) = plt.subplots(1, 3, figsize=(15, 5.2), layout="constrained", width_ratios=(1, 1, 1.3))
    fastest = max(float(archive.quality.max()) for archive in kinds.values()) / seconds
    for axes, (kind, archive) in zip(maps, kinds.items(), strict=True):
        _map(axes, archive, seconds, fastest)
        axes.set_title(f"{kind}: {len(archive.filled)} gaits")
    figure.colorbar(maps[-1].images[0], ax=maps[-1], label="speed, m/s", shrink=0.8)
    places, width = np.arange(len(damages)), 0.27
    for i, (way, color) in enumerate(zip(WAYS, ("#7f8c8d", "#2e8b57", "#2f6db5"), strict=True)):
        speeds = [damage.forward[way] / seconds for damage in damages]
        bars.bar(places + (i - 1) * width, speeds, width, label=way, color=color)
    before = float(next(iter(kinds.values())).quality.max()) / seconds
    bars.axhline(before, color="#c0392b", linestyle="--", label="before the damage")
    names = [f"{damage.joint.removesuffix('_joint')}, {damage.trials}" for damage in damages]
    bars.set_xticks(places, names, rotation=60, ha="right")
    bars.set_xlabel("motor, trials of the look-up")
    bars.set(ylabel="speed forward, m/s", ylim=(0.0, 1.45 * before), title="A motor is dead")
    bars.legend(frameon=False, loc="upper center", ncols=2, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _map(axes: Axes, archive: Archive, seconds: float, fastest: float) -> None:
    """Outer cells by the first two descriptors, inner ones by the rest."""
    speed = torch.where(archive.quality.isfinite(), archive.quality / seconds, torch.nan).reshape(archive.bins)
    first, second, *rest = archive.bins
    inner = speed.reshape(first, second, rest[0], -1).permute(0, 2, 1, 3)
    image = inner.reshape(first * rest[0], -1).numpy()
    axes.imshow(image, origin="lower", cmap="viridis", vmin=0.0, vmax=fastest)
    for line in range(first + 1):
        axes.axhline(line * rest[0] - 0.5, color="black", linewidth=0.6)
        axes.axvline(line * inner.shape[-1] - 0.5, color="black", linewidth=0.6)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("second foot stands more → (inner: fourth)")
    axes.set_ylabel("first foot stands more → (inner: third)")


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options, console = parse(Options(), QUICK), Console(stderr=True)
    use_thread_budget()
    gaits = Gaits(ROBOTS[options.robot], options.gait)
    kinds: dict[str, list[Archive]] = {"MAP-Elites": [], "even drawing": []}
    damages = []
    for seed in options.seeds:
        for archives, vary in zip(kinds.values(), (True, False), strict=True):
            archives.append(filled(gaits, options, seed, vary=vary))
        archive = kinds["MAP-Elites"][-1]
        damages.append([damaged(gaits, archive, joint, options, seed) for joint in gaits.robot.joints])
        console.print(f"seed {seed}: {len(archive.filled)} gaits")
    if options.figure:
        firsts = {kind: archives[0] for kind, archives in kinds.items()}
        draw(firsts, damages[0], options.gait.seconds, options.figure)
    rows = archive_rows(kinds, options.gait.seconds) + damage_rows(damages, kinds["MAP-Elites"])
    return report("repertoire", rows, options)


if __name__ == "__main__":
    sys.exit(main())
