"""A point that has to go through two gates, and hands that show how: the world of `make bench-steering`.

On a plane of 3 m × 2 m two walls stand one behind the other, each with a gap, and the gaps are not in line. Whoever
touches a wall or leaves the plane has failed; whoever is at the goal behind both in time has succeeded. The action is
by what the point goes in a step. A hand without skill strays and lapses (`NoisyExpert`), touches walls, and so fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import common  # noqa: F401 (before torch)

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.noisy_expert import NoisyExpert
from isthmus_policies.chunks.chunk_policy import ChunkPolicy

FPS = 10
WALLS = (-0.4, 0.4)  # m: their x
GAPS = (0.25, -0.25)  # m: y of the middle of each one's gap
HALF_GAP = 0.1  # m
EDGE = (1.5, 1.0)  # m
GOAL = (1.0, 0.0)
REACHED = 0.1  # m
SPEED = 0.06  # m a step
STEPS = 70
TREMOR = 0.005  # m: standard deviation of every hand's actions
STRAY = 0.06  # m: how far a hand without skill is from where it should go in a step
STATE, ACTION = "observation.state", "action"


def starts(n: int, random: np.random.Generator) -> Tensor:
    """(n, 2) m: where episodes begin, left of both walls."""
    return torch.from_numpy(random.uniform((-1.1, -0.4), (-0.9, 0.4), (n, 2))).float()


@dataclass(kw_only=True)
class Points:
    """n points: where they are (n, 2) m, and which have succeeded or failed (n,). Those that have stay there."""

    place: Tensor
    succeeded: Tensor
    failed: Tensor

    @classmethod
    def at(cls, place: Tensor) -> Points:
        """Points that begin there."""
        nothing = torch.zeros(len(place), dtype=torch.bool)
        return cls(place=place.clone(), succeeded=nothing, failed=nothing.clone())

    def move(self, by: Tensor) -> None:
        """Every point goes by `by` (n, 2) m, and by SPEED at most."""
        by = by * (SPEED / by.norm(dim=1, keepdim=True).clamp(min=1e-9)).clamp(max=1.0)
        after = torch.where(self.going.unsqueeze(1), self.place + by, self.place)
        self.failed |= touches(self.place, after) | (after.abs() > torch.tensor(EDGE)).any(dim=1)
        self.place = after
        self.succeeded |= ((after - torch.tensor(GOAL)).norm(dim=1) < REACHED) & ~self.failed

    @property
    def going(self) -> Tensor:
        return ~(self.succeeded | self.failed)


def touches(before: Tensor, after: Tensor) -> Tensor:
    """(n,): whether the way from `before` to `after` (n, 2) crosses a wall beside its gap."""
    crossed = torch.zeros(len(before), dtype=torch.bool)
    for wall, gap in zip(WALLS, GAPS, strict=True):
        crosses = (before[:, 0] - wall) * (after[:, 0] - wall) < 0.0
        share = (wall - before[:, 0]) / (after[:, 0] - before[:, 0]).where(crosses, 1.0)
        height = before[:, 1] + share * (after[:, 1] - before[:, 1])
        crossed |= crosses & ((height - gap).abs() > HALF_GAP)
    return crossed


def planned(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2,) m: by what a hand at `place` wants to go: to before the next gap, through it, or to the goal."""
    target = np.array(GOAL)
    for wall, gap in zip(WALLS, GAPS, strict=True):
        if place[0] < wall + SPEED:
            before = place[0] < wall - SPEED and abs(place[1] - gap) > 0.5 * HALF_GAP
            target = np.array((wall - 1.5 * SPEED if before else wall + 1.5 * SPEED, gap))
            break
    return limited(target - place)


def limited(way: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same way (2,), by SPEED at most."""
    return way * min(1.0, SPEED / max(float(np.linalg.norm(way)), 1e-9))


def demonstrate(root: Path, episodes: int, spoiled: float, seed: int) -> float:
    """Record a dataset, of which a share is by hands without skill; the share of successes."""
    features = {name: Feature(dtype="float32", shape=(2,), names=("x", "y")) for name in (STATE, ACTION)}
    random, successes = np.random.default_rng(seed), 0
    begins = starts(episodes, random)
    with DatasetWriter.create(root, fps=FPS, features=features, robot_type="point") as writer:
        for i in range(episodes):
            hand = NoisyExpert(skill=0.0 if i < round(spoiled * episodes) else 1.0, stray=STRAY)
            hand.reset(int(random.integers(2**31)))
            episode = _episode(begins[i : i + 1], hand, random)
            successes += bool(episode.facts["success"])
            writer.append(episode)
    return successes / episodes


def _episode(begin: Tensor, hand: NoisyExpert, random: np.random.Generator) -> Episode:
    points, states, actions = Points.at(begin), [], []
    while points.going.all() and len(states) < STEPS:
        place = points.place[0].double().numpy()
        action = limited(hand.act(planned(place)) + TREMOR * random.standard_normal(2))
        states.append(place)
        actions.append(action)
        points.move(torch.from_numpy(action).float().unsqueeze(0))
    columns = {STATE: np.stack(states).astype(np.float32), ACTION: np.stack(actions).astype(np.float32)}
    return Episode(columns=columns, task="go through both gates", facts={"success": bool(points.succeeded[0])})


@torch.no_grad()
def roll_out(policy: ChunkPolicy, episodes: int, execute: int, seed: int) -> int:
    """How many of so many episodes succeed, each with `execute` actions of a chunk executed."""
    points, generator = Points.at(starts(episodes, np.random.default_rng(seed))), torch.Generator().manual_seed(seed)
    seen = torch.stack([points.place] * policy.spec.observed, dim=1)
    for _ in range(-(-STEPS // execute)):
        chunks = policy.sample({STATE: seen}, noise=policy.noise(episodes, generator))
        for action in chunks[:, :execute].unbind(dim=1):
            points.move(action)
            seen = torch.cat((seen[:, 1:], points.place.unsqueeze(1)), dim=1)
        if not points.going.any():
            break
    return int(points.succeeded.sum())
