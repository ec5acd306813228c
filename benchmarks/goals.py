"""`make bench-goals`: policies that are told where to go, with few evaluations beside many (BESO, Reuss et al. 2023).

A point goes from one of four places to another. Where a disc lies between them there are two ways, equally often shown,
so a policy must choose a way and still come to where it is told: the mean of the two touches the disc. Demonstrations
say nothing of goals: every later moment is one in hindsight. Each method learns with the same network and as many
steps, and goes between all pairs of places; where no goal is told, it shall go to any place.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report

import numpy as np
import torch
from bimodal import ASIDE, CLOSE, FASTEST, FPS, NOISE, PARTED, START_NOISE, STRIDE, Vector, distance
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_policies.chunks.chunk_policy import ChunkPolicy, Tensors
from isthmus_policies.chunks.denoisers.mlp import MlpConfig
from isthmus_policies.chunks.inference import Inference
from isthmus_policies.chunks.runner import ChunkDriver
from isthmus_policies.chunks.training.config import Learning, default_config
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_sim.threads import use_thread_budget

PLACES = np.array(((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)))  # m
DISC, RADIUS = np.zeros(2), 0.25  # m
PAIRS = tuple(permutations(range(len(PLACES)), 2))
LEG = 24  # ticks in which any place is reached from any other, with some to rest there
TICKS = 40
HORIZON = 8
STATE, ACTION, GOAL = "observation.state", "action", "goal"
HALF = ExecutorConfig(horizon=HORIZON, execute=HORIZON // 2)

EVALUATIONS = {"cloning": (1,), "flow": (3, 50), "diffusion": (3, 50), "edm": (1, 3, 5, 50)}
"""Evaluations of the network for a chunk, by method."""
JUDGED = "edm"
FEW, MANY = 3, 50


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn to go where one is told, with each method and several seeds, and measure."""

    seeds: tuple[int, ...] = (711, 712, 713)
    """Training seeds."""
    demonstrations: int = 480
    """Episodes to learn from, as many between any two places."""
    steps: int = 10_000
    """Batches of a training."""
    episodes: int = 40
    """Roll-outs between any two places."""


QUICK = Options(seeds=(711,), demonstrations=24, steps=20, episodes=2)


class World:
    """n points that go where they are told, a little astray and at most `FASTEST` a tick; who has touched the disc
    stays there."""

    def __init__(self, begin: Vector, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.position = begin + START_NOISE * self._random.standard_normal(begin.shape)
        self.touched = np.zeros(len(begin), bool)

    def step(self, target: Vector) -> None:
        """A tick towards `target` (n, 2) m."""
        way = target - self.position
        way *= np.minimum(1.0, FASTEST / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9))
        way += NOISE * self._random.standard_normal(way.shape)
        way[self.touched] = 0.0
        self.touched |= distance(DISC, self.position, way) < RADIUS
        self.position = self.position + way

    def at(self, place: Vector) -> NDArray[np.bool_]:
        """(n,): who is there and has not touched the disc."""
        return ~self.touched & (np.linalg.norm(self.position - place, axis=1) < CLOSE)


def shown(position: Vector, begin: Vector, end: Vector, side: Vector) -> Vector:
    """(n, 2) m: where demonstrations go next that lead from `begin` to `end` (n, 2), past the disc on the side (n,) of
    1 or -1 where it lies between; they keep most of how far they are astray."""
    length = np.linalg.norm(end - begin, axis=1)
    ahead = (end - begin) / length[:, None]
    across = np.stack((-ahead[:, 1], ahead[:, 0]), axis=1)
    between = np.abs(((DISC - begin) * across).sum(1)) < RADIUS

    def aside(along: Vector) -> Vector:
        from_disc = ((along - ((DISC - begin) * ahead).sum(1)) / PARTED).clip(-1.0, 1.0)
        return between * side * 0.5 * ASIDE * (1 + np.cos(np.pi * from_disc))

    along, off = ((position - begin) * ahead).sum(1), ((position - begin) * across).sum(1)
    further = np.minimum(along + STRIDE, length)
    wanted = aside(further) + 0.8 * (off - aside(along))
    return begin + further[:, None] * ahead + wanted[:, None] * across


def demonstrate(root: Path, count: int, seed: int) -> Path:
    """Write a dataset of demonstrations, between all places, on both sides in turn."""
    pairs = np.array(PAIRS)[np.arange(count) % len(PAIRS)]
    begin, end = PLACES[pairs[:, 0]], PLACES[pairs[:, 1]]
    side = np.where(np.arange(count) // len(PAIRS) % 2, -1.0, 1.0)
    world, states, actions = World(begin, seed), [], []
    for _ in range(LEG):
        states.append(world.position)
        actions.append(shown(world.position, begin, end, side))
        world.step(actions[-1])
    assert world.at(end).all(), "every demonstration comes to its place and does not touch the disc"
    columns = {STATE: np.stack(states, axis=1), ACTION: np.stack(actions, axis=1)}
    place = Feature(dtype="float32", shape=(2,), names=("x", "y"))
    with DatasetWriter.create(root, fps=FPS, features={STATE: place, ACTION: place}, robot_type="point") as writer:
        for i in range(count):
            rows = {name: values[i].astype(np.float32) for name, values in columns.items()}
            writer.append(Episode(columns=rows, task="go somewhere"))
    return root


def learn(data: Path, method: str, seed: int, steps: int) -> ChunkPolicy:
    """The policy that a method makes of the demonstrations: averaged weights, as they are kept."""
    learning = Learning(steps=steps, batch_size=128, rate=2e-3, warmup=min(100, steps))
    config = default_config(
        (data,), method, observed=1, horizon=HORIZON, goal=(STATE,), seed=seed, learning=learning
    )  # fmt: skip
    trainer = ChunkTrainer(replace(config, denoiser=MlpConfig(width=128, depth=3)))
    for _ in range(steps):
        trainer.step()
    with trainer.averaged():
        return copy.deepcopy(trainer.policy).eval()


@dataclass(frozen=True, kw_only=True)
class Told(Inference):
    """A policy that is told where to go, or where nobody says so, not."""

    policy: ChunkPolicy
    steps: int
    tells: bool

    @property
    def noise(self) -> tuple[int, int, int]:
        return (self.policy.draws, HORIZON, 2)

    @torch.no_grad()
    def chunks(self, seen: Tensors, noise: Tensor, init: Tensor | None) -> Tensor:
        goal = {STATE: seen[GOAL]} if self.tells else None
        return self.policy.sample({STATE: seen[STATE]}, noise=noise, goal=goal, steps=self.steps)


@dataclass(frozen=True, kw_only=True)
class RollOut:
    """Shares of roll-outs, %: that reach the place that was meant; and of those between places that face each other,
    past the disc, alone. What share of those that reach a place went to the one that fewest went to."""

    success: float
    across: float
    rarest: float


def roll_out(policy: ChunkPolicy, episodes: int, seed: int, steps: int, *, tells: bool = True) -> RollOut:
    """Let a policy go between all places."""
    pairs = np.repeat(np.array(PAIRS), episodes, axis=0)
    world, end = World(PLACES[pairs[:, 0]], seed), PLACES[pairs[:, 1]]
    driver = ChunkDriver(Told(policy=policy, steps=steps, tells=tells), len(pairs), HALF, seed)
    goal = torch.from_numpy(end).float()
    for _ in range(TICKS):
        seen = torch.from_numpy(world.position).float().unsqueeze(1)
        world.step(driver.actions({STATE: seen, GOAL: goal}).double().numpy())
    reached = world.at(end)
    # Places by how many corners they lie further on: 1, 2 and 3, of which 2 is across.
    corners = (pairs[:, 1] - pairs[:, 0]) % len(PLACES)
    went = [world.at(PLACES[(pairs[:, 0] + turn) % len(PLACES)]) for turn in (1, 2, 3)]
    there = max(1, sum(int(each.sum()) for each in went))
    return RollOut(
        success=100 * float(reached.mean()),
        across=100 * float(reached[corners == 2].mean()),
        rarest=100 * min(int(each.sum()) for each in went) / there,
    )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one policy did, by its evaluations; and without a goal, with the most of them."""

    told: dict[int, RollOut]
    untold: RollOut


def measure(policy: ChunkPolicy, method: str, episodes: int, seed: int) -> Measured:
    """Roll a policy out with all numbers of evaluations."""
    most = max(EVALUATIONS[method])
    return Measured(
        told={steps: roll_out(policy, episodes, seed, steps) for steps in EVALUATIONS[method]},
        untold=roll_out(policy, episodes, seed, most, tells=False),
    )


def rows_of(table: dict[str, list[Measured]]) -> list[Row]:
    """Success of every method by its evaluations, and what few keep of many."""
    rows = []
    for method, found in table.items():
        for steps in EVALUATIONS[method]:
            success, across = ([getattr(each.told[steps], name) for each in found] for name in ("success", "across"))
            past = "past the disc: " + ", ".join(f"{share:.0f}" for share in across) + " %"
            rows.append(over_seeds(f"success, {method}, evaluations: {steps}", success, "%", peer=past))
        if FEW in EVALUATIONS[method]:
            kept = [100 * each.told[FEW].success / max(each.told[MANY].success, 1e-9) for each in found]
            must = ">= 95" if method == JUDGED else None
            rows.append(over_seeds(f"… {FEW} evaluations beside {MANY}", kept, "%", must=must))
        rarest = [each.untold.rarest for each in found]
        rows.append(over_seeds("… told nothing: share of the place that fewest go to", rarest, "%"))
    return rows


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    console = Console()
    table: dict[str, list[Measured]] = {method: [] for method in EVALUATIONS}
    with tempfile.TemporaryDirectory() as folder:
        data = demonstrate(Path(folder) / "demonstrations", options.demonstrations, seed=0)
        for seed in options.seeds:
            for method, found in table.items():
                found.append(measure(learn(data, method, seed, options.steps), method, options.episodes, seed))
                told = ", ".join(f"{steps}: {each.success:.1f} %" for steps, each in found[-1].told.items())
                console.print(f"seed {seed}, {method}, evaluations and success: {told}")
    return report("goals", rows_of(table), options)


if __name__ == "__main__":
    sys.exit(main())
