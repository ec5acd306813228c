"""`make bench-bimodal`: a point goes round a disc, for which there are two ways, equally good and equally often shown.

The mean of the two leads into the disc, so a regression fails where a method that draws one of them does not. Half the
demonstrations go left and half right, and until the paths part nothing in the observation tells which. Each method
learns with the same network and as many steps, and is rolled out in the world of the demonstrations.

A plan that is drawn anew at every tick changes its side until the paths have parted; one that begins near to the plan
before shall not. Changes are counted from plan to plan, until the robot is beside the disc.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from common import BenchOptions, Row, over_seeds, parse, report

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Circle
from numpy.typing import NDArray
from rich.console import Console

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.denoisers.mlp import MlpConfig
from isthmus_policies.chunks.runner import Execution, policy_driver
from isthmus_policies.chunks.training.config import AnyConfig, Learning, default_config
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_sim.threads import use_thread_budget

FPS = 10
DISC = np.array((1.0, 0.0))  # m, on the straight way from the start at 0, 0
RADIUS = 0.25  # m
GOAL = np.array((2.0, 0.0))
CLOSE = 0.15  # m from the goal is there
STRIDE = 0.1  # m a tick, as it is shown
FASTEST = 0.2  # m a tick, as it is possible
ASIDE = 0.45  # m, of a path beside the disc
PARTED = 0.6  # m before and behind the disc's centre, where paths go aside
NOISE = 0.01  # m, standard deviation of what a tick adds
START_NOISE = 0.03
TICKS = 40
REST = 8  # ticks that a demonstration stays at the goal
HORIZON = 8
STATE, ACTION = "observation.state", "action"

METHODS = ("cloning", "mip", "act", "flow", "diffusion", "edm")
DRAWING = ("flow", "diffusion", "edm")
JUDGED = {"cloning": "<= 10", "flow": ">= 97", "diffusion": ">= 97", "edm": ">= 97"}
"""Success that a method must have, or, for the mean, must not."""
FEW = (1, 2, 3)
"""Evaluations of the network for a chunk, of which success is told too."""
CHUNKED = ExecutorConfig(horizon=HORIZON, execute=HORIZON // 2)
ANEW = ExecutorConfig(horizon=HORIZON, execute=1)
WARM = ExecutorConfig(horizon=HORIZON, execute=1, strategy="warm_start")

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn to go round the disc with each method and several seeds, and measure."""

    seeds: tuple[int, ...] = (701, 702, 703)
    """Training seeds."""
    demonstrations: int = 300
    """Episodes to learn from, half of them to the left."""
    steps: int = 1_500
    """Batches of a training."""
    episodes: int = 300
    """Roll-outs of a policy."""
    figure: Path | None = None
    """Where a picture of the paths of the first seed goes; by default nowhere."""


QUICK = Options(seeds=(701,), demonstrations=20, steps=20, episodes=8)


class World:
    """n robots, each a point that goes where it is told, a little astray and at most `FASTEST` a tick."""

    def __init__(self, n: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.position: Vector = START_NOISE * self._random.standard_normal((n, 2))
        self.path: list[Vector] = [self.position]
        self.touched, self.reached = np.zeros(n, bool), np.zeros(n, bool)

    def step(self, target: Vector) -> None:
        """A tick towards `target` (n, 2) m. Robots that have touched the disc stay."""
        way = target - self.position
        way *= np.minimum(1.0, FASTEST / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9))
        way += NOISE * self._random.standard_normal(way.shape)
        way[self.touched] = 0.0
        self.touched |= distance(DISC, self.position, way) < RADIUS
        self.position = self.position + way
        self.reached |= ~self.touched & (np.linalg.norm(self.position - GOAL, axis=1) < CLOSE)
        self.path.append(self.position)


def distance(point: Vector, begin: Vector, way: Vector) -> Vector:
    """(n,) m: of a point (2,) from straight pieces that go `way` (n, 2) from `begin` (n, 2)."""
    along = ((point - begin) * way).sum(1) / np.maximum((way * way).sum(1), 1e-12)
    return np.linalg.norm(begin + along.clip(0.0, 1.0)[:, None] * way - point, axis=1)


def shown(position: Vector, side: Vector) -> Vector:
    """(n, 2) m: where a demonstration goes next, on the side (n,) of 1 or -1; it keeps most of how far it is astray."""

    def aside(x: Vector) -> Vector:
        return 0.5 * ASIDE * side * (1 + np.cos(np.pi * ((x - DISC[0]) / PARTED).clip(-1.0, 1.0)))

    x, y = position.T
    ahead = np.minimum(x + STRIDE, GOAL[0])
    return np.stack((ahead, aside(ahead) + 0.8 * (y - aside(x))), axis=1)


def demonstrate(root: Path, count: int, seed: int) -> Path:
    """Write a dataset of demonstrations, to the left and to the right in turn."""
    world, side = World(count, seed), np.where(np.arange(count) % 2, -1.0, 1.0)
    actions = []
    for _ in range(round(GOAL[0] / STRIDE) + REST):
        actions.append(shown(world.position, side))
        world.step(actions[-1])
    assert world.reached.all(), "every demonstration reaches the goal and does not touch the disc"
    columns = {STATE: np.stack(world.path, axis=1), ACTION: np.stack(actions, axis=1)}
    place = Feature(dtype="float32", shape=(2,), names=("x", "y"))
    with DatasetWriter.create(root, fps=FPS, features={STATE: place, ACTION: place}, robot_type="point") as writer:
        for i in range(count):
            rows = {name: values[i, : len(actions)].astype(np.float32) for name, values in columns.items()}
            writer.append(Episode(columns=rows, task="go round the disc"))
    return root


def training(data: Path, method: str, seed: int, steps: int) -> AnyConfig:
    """How a method learns from a dataset."""
    learning = Learning(steps=steps, batch_size=128, rate=2e-3, warmup=min(100, steps))
    config = default_config((data,), method, observed=1, horizon=HORIZON, seed=seed, learning=learning)
    return replace(config, denoiser=MlpConfig(width=128, depth=3)) if config.denoiser_name == "mlp" else config


def learn(config: AnyConfig) -> ChunkPolicy:
    """The policy that comes of it: averaged weights, as they are kept."""
    trainer = ChunkTrainer(config)
    for _ in range(config.learning.steps):
        trainer.step()
    with trainer.averaged():
        return copy.deepcopy(trainer.policy).eval()


@dataclass(frozen=True, kw_only=True)
class RollOut:
    """n roll-outs: paths (t, n, 2) m, whether the goal was reached, what side the robot went beside the disc (1, -1, or
    0 where it never came there), and plans' changes of side until then, each (n,)."""

    paths: Vector
    reached: NDArray[np.bool_]
    side: Vector
    changes: NDArray[np.int64]
    kept: NDArray[np.bool_]

    @property
    def success(self) -> float:
        """%."""
        return 100 * float(self.reached.mean())

    @property
    def rarer_way(self) -> float:
        """Share of those that reached the goal that went the way that fewer went, %."""
        left = float((self.side[self.reached] > 0).mean()) if self.reached.any() else 0.0
        return 100 * min(left, 1 - left)

    @property
    def keep_their_way(self) -> float:
        """Share whose plans all lead round one side, on which the robot then goes, %."""
        return 100 * float(self.kept.mean())


def roll_out(policy: ChunkPolicy, n: int, seed: int, executor: ExecutorConfig, steps: int | None = None) -> RollOut:
    """Let a policy act in n worlds; steps: evaluations of its network, None for its own number."""
    world = World(n, seed)
    driver = policy_driver(policy, n, Execution(executor=executor, steps=steps, seed=seed))
    first, last, side = np.zeros((3, n))
    changes = np.zeros(n, int)
    for _ in range(TICKS):
        seen = torch.from_numpy(world.position).float().unsqueeze(1)
        target = driver.actions({STATE: seen}).double().numpy()
        plan, before = planned_side(driver.chunks), world.position[:, 0] < DISC[0]
        changes += before & (last != 0) & (plan != last)
        first, last = np.where(first == 0, plan, first), plan
        world.step(target)
        passes = before & (world.position[:, 0] >= DISC[0])
        side[passes] = np.sign(world.position[passes, 1])
    return RollOut(
        paths=np.stack(world.path),
        reached=world.reached,
        side=side,
        changes=changes,
        kept=(changes == 0) & (side == first),
    )


def planned_side(chunks: NDArray[np.float32]) -> Vector:
    """(n,) 1 or -1: on which side of the straight way chunks (n, horizon, 2) are where they are furthest from it."""
    furthest = np.abs(chunks[:, :, 1]).argmax(1)
    return np.sign(chunks[np.arange(len(chunks)), furthest, 1]).astype(float)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a policy did: half of each chunk executed; the same with few evaluations, number -> success in %; with a new
    plan at every tick, drawn anew and begun near to the one before. Only methods that draw have the latter."""

    chunked: RollOut
    few: dict[int, float] = field(default_factory=dict)
    anew: RollOut | None = None
    warm: RollOut | None = None


def measure(policy: ChunkPolicy, method: str, n: int, seed: int) -> Measured:
    """Roll a policy out in every way."""
    chunked = roll_out(policy, n, seed, CHUNKED)
    if method not in DRAWING:
        return Measured(chunked=chunked)
    return Measured(
        chunked=chunked,
        few={steps: roll_out(policy, n, seed, CHUNKED, steps).success for steps in FEW},
        anew=roll_out(policy, n, seed, ANEW),
        warm=roll_out(policy, n, seed, WARM),
    )


def rows_of(table: dict[str, list[Measured]]) -> list[Row]:
    """Success of every method; of those that draw, ways, few evaluations, and how plans keep to a way."""
    rows = []
    for method, found in table.items():
        success, rarer = ([getattr(each.chunked, name) for each in found] for name in ("success", "rarer_way"))
        ways = "the rarer way of them: " + ", ".join(f"{share:.0f}" for share in rarer) + " %"
        rows.append(over_seeds(f"success, {method}", success, "%", must=JUDGED.get(method), peer=ways))
    for method in DRAWING:
        rows += rows_of_ways(method, table[method])
    return rows


def rows_of_ways(method: str, found: list[Measured]) -> list[Row]:
    """What is told of a method that draws."""
    rarer = [each.chunked.rarer_way for each in found]
    rows = [over_seeds(f"{method}: share of the rarer way among successes", rarer, "%", must=">= 40")]
    for steps in FEW:
        values = [each.few[steps] for each in found]
        rows.append(over_seeds(f"… success, evaluations: {steps}", values, "%"))
    warm, anew = ([getattr(each, kind) for each in found] for kind in ("warm", "anew"))
    # That drawing anew does not keep to a way is what makes keeping to it worth something.
    for name, told, must, aim in (("warm start", warm, ">= 90", ">= 99"), ("drawn anew", anew, "<= 50", None)):
        keep = [out.keep_their_way for out in told]
        rows += [
            over_seeds(f"… a plan a tick, {name}: keep their way", keep, "%", must=must, aim=aim),
            over_seeds("…… changes of side", [float(out.changes.mean()) for out in told], "a roll-out"),
            over_seeds("…… success", [out.success for out in told], "%"),
        ]
    return rows


PANELS = ("cloning", "diffusion", "flow")
COLORS = {"left": "#2f6db5", "right": "#e0872b", "fails": "#c0392b"}


def draw(table: dict[str, list[Measured]], path: Path) -> None:
    """A picture of some paths of the first seed's policies."""
    figure, panels = plt.subplots(1, len(PANELS), figsize=(9.6, 2.5), sharey=True, layout="constrained")
    for panel, method in zip(panels, PANELS, strict=True):
        out = table[method][0].chunked
        for i in range(min(40, out.paths.shape[1])):
            kind = "fails" if not out.reached[i] else "left" if out.side[i] > 0 else "right"
            panel.plot(*out.paths[:, i].T, color=COLORS[kind], linewidth=0.8, alpha=0.6)
        panel.add_patch(Circle((float(DISC[0]), float(DISC[1])), RADIUS, color="0.75"))
        panel.plot(*GOAL, marker="*", color="black", markersize=10)
        panel.set(aspect="equal", xlim=(-0.15, 2.2), ylim=(-0.65, 0.65), xticks=(), yticks=())
        panel.set_title(f"{method}: {out.success:.0f} % reach the goal", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    use_thread_budget()
    console = Console()
    table: dict[str, list[Measured]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as folder:
        data = demonstrate(Path(folder) / "demonstrations", options.demonstrations, seed=0)
        for seed in options.seeds:
            for method, found in table.items():
                policy = learn(training(data, method, seed, options.steps))
                found.append(measure(policy, method, options.episodes, seed))
                console.print(f"seed {seed}, {method}: {found[-1].chunked.success:.1f} % reach the goal")
    if options.figure:
        draw(table, options.figure)
    return report("bimodal", rows_of(table), options)


if __name__ == "__main__":
    sys.exit(main())
