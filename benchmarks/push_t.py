"""Push-T beside the published environment: the recorded actions of 206 human demonstrations, replayed from their
recorded starts, and how fast worlds and images go.

What counts is the coverage that the same actions lead to. A recording is what the published environment did, so it
stands in for it where gym-pusht is not installed; where it is (`make bench-gym-pusht` does that), it replays the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import BenchOptions, Row, parse, report

import numpy as np
import torch
import zarr
from chunk_trials import PYTHON, GymPushT
from numpy.typing import NDArray

from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.pusher.description import ROBOT
from isthmus_sim.robots.pusher.drawing import image
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.push_t import SUCCESS, PushT, PushTConfig, coverage
from isthmus_sim.threads import one_torch_thread

DATA = Path("../shared/data/pusht_human/pusht_cchi_v7_replay.zarr")
CLOSE = 0.02  # of coverage
ASIDE = 0.1  # px: nobody sees it, and it shows how much of a difference is the task's own sensitivity

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Replay the human demonstrations and measure speed."""

    data: Path = DATA
    """The published zarr of 206 demonstrations; --quick makes up two where it is missing."""
    gym_python: Path = PYTHON
    """The Python that has gym-pusht; where there is none, the recorded states stand in for it."""
    worlds: tuple[int, ...] = (1, 64)
    """Numbers of worlds to measure the speed of."""
    seconds: float = 1.0
    """Length of a measurement, s."""
    rounds: int = 5
    """Measurements of each."""


QUICK = Options(worlds=(1,), seconds=0.1, rounds=2)


@dataclass(frozen=True, kw_only=True)
class Demonstrations:
    """n demonstrations of `lengths` (n,), padded to t: states (n, t, 5) before actions (n, t, 2), px and rad."""

    states: Vector
    actions: Vector
    lengths: NDArray[np.int64]


def load(path: Path) -> Demonstrations:
    """The published zarr. The last step of the shorter ones is repeated."""
    group: Any = zarr.open_group(str(path), mode="r")
    ends = group["meta/episode_ends"][:]
    begins = np.concatenate(([0], ends[:-1]))
    steps = np.minimum(begins[:, None] + np.arange((ends - begins).max()), ends[:, None] - 1)
    return Demonstrations(
        states=group["data/state"][:].astype(np.float64)[steps],
        actions=group["data/action"][:].astype(np.float64)[steps],
        lengths=ends - begins,
    )


def made_up() -> Demonstrations:
    """Two demonstrations of 20 steps whose states have nothing to do with their actions."""
    random = np.random.default_rng(0)
    return Demonstrations(
        states=random.uniform(150.0, 350.0, (2, 20, 5)) * (1.0, 1.0, 1.0, 1.0, 0.01),
        actions=random.uniform(100.0, 400.0, (2, 20, 2)),
        lengths=np.array((20, 20)),
    )


def replay(human: Demonstrations) -> Vector:
    """Coverage (n, t) here after each recorded action, from the recorded starts; goes on where it would be done."""
    n = len(human.states)
    task = PushT(ROBOT, PushTConfig(starts=tuple(map(tuple, human.states[:, 0].tolist()))))
    engine, ids = make_engine(task.scene, n, "mujoco"), torch.arange(n)
    engine.advance(None, task.reset(engine, ids, torch.zeros_like(ids), torch.Generator()))
    covered = []
    for action in torch.from_numpy(human.actions).float().unbind(1):
        state = engine.advance({ROBOT.commands[0].name: action})
        covered.append(task.metrics(state, {})["coverage"])
    return torch.stack(covered, dim=1).double().numpy()


def replay_in_gym(human: Demonstrations, python: Path, aside: float = 0.0) -> tuple[Vector, float]:
    """The same in gym-pusht, with the block `aside` px to the right at the start, and its steps per second."""
    starts = human.states[:, 0] + np.array((0, 0, aside, 0, 0))
    with GymPushT(python) as worlds:
        worlds.begin(starts.tolist())
        covered = [worlds.step(actions)[1] for actions in human.actions.swapaxes(0, 1)]
        return np.stack(covered, axis=1), human.actions[..., 0].size / worlds.seconds


def recorded(human: Demonstrations) -> Vector:
    """Coverage (n, t) of the recorded states, after each action but the last, whose outcome nobody kept."""
    rows = torch.from_numpy(human.states[:, 1:].reshape(-1, 5))
    return coverage(rows[:, 2:4], rows[:, 4:]).reshape(len(human.states), -1).numpy()


def over_episodes(covered: Vector, lengths: NDArray[np.int64]) -> tuple[Vector, Vector]:
    """Greatest and last coverage (n,) of (n, t), of which the first `lengths` count."""
    greatest = [row[:length].max() for row, length in zip(covered, lengths, strict=True)]
    return np.array(greatest), covered[np.arange(len(covered)), lengths - 1]


def differences(text: str, here: Vector, there: Vector, *, judged: bool = False) -> list[Row]:
    """How far two coverages (n,) of the same episodes are apart."""
    off, n = np.abs(here - there), len(here)

    def row(metric: str, value: float, must: str) -> Row:
        return Row(metric=metric, value=float(value), unit="", seeds=n, must=must if judged and must else None)

    return [
        row(f"{text}: median", np.median(off).item(), "<= 0.005"),
        row("… mean", off.mean().item(), ""),
        row("… worst episode", off.max().item(), ""),
        row(f"… share of episodes within {CLOSE}", (off <= CLOSE).mean().item(), ">= 0.95"),
    ]


def levels(ours: Vector, other: Vector, name: str) -> list[Row]:
    """What greatest coverages (n,) the actions lead to, here and there."""
    n, done, done_there = len(ours), 100 * float((ours > SUCCESS).mean()), 100 * float((other > SUCCESS).mean())
    return [
        Row(metric="greatest coverage: median", value=float(np.median(ours)), unit="", seeds=n,
            peer=f"{name} {np.median(other):.4f}"),
        Row(metric=f"… share of episodes > {SUCCESS}", value=done, unit="%", seeds=n,
            peer=f"{name} {done_there:.1f} %"),
    ]  # fmt: skip


def beside_the_recording(human: Demonstrations, ours: Vector) -> list[Row]:
    """Coverage here (n, t) and of the recorded states."""
    here, there = (over_episodes(c, human.lengths - 1) for c in (ours[:, :-1], recorded(human)))
    return [
        *differences("greatest coverage, from recorded", here[0], there[0], judged=True),
        *differences("last coverage, from recorded", here[1], there[1]),
        *levels(here[0], there[0], "recorded"),
    ]


def beside_gym(human: Demonstrations, ours: Vector, python: Path) -> tuple[list[Row], float]:
    """Coverage here (n, t) and in gym-pusht; how far that is from itself when the block starts a little aside."""
    theirs, steps_per_s = replay_in_gym(human, python)
    aside, _ = replay_in_gym(human, python, aside=ASIDE)
    here, there, moved = (over_episodes(c, human.lengths) for c in (ours, theirs, aside))
    rows = [
        *differences("greatest coverage, from gym-pusht", here[0], there[0], judged=True),
        *differences("last coverage, from gym-pusht", here[1], there[1]),
        *levels(here[0], there[0], "gym-pusht"),
        *differences(f"gym-pusht itself, block {ASIDE} px aside, greatest coverage", moved[0], there[0]),
    ]
    return rows, steps_per_s


def rates(act: Callable[[], object], options: Options) -> tuple[float, tuple[float, float]]:
    """Median, least and most calls per second."""
    found = []
    act()
    for _ in range(options.rounds):
        begun, calls = time.perf_counter(), 0
        while time.perf_counter() - begun < options.seconds:
            act()
            calls += 1
        found.append(calls / (time.perf_counter() - begun))
    return float(np.median(found)), (min(found), max(found))


def speed(options: Options, gym_steps_per_s: float | None) -> list[Row]:
    """Steps of the whole Env per second with random actions, and images."""
    rows, generator = [], torch.Generator().manual_seed(0)
    for worlds in options.worlds:
        task = make_task("push_t")
        env = Env(task, make_engine(task.scene, worlds, "mujoco"), seed=0, random_initial_age=True)
        env.reset()
        with torch.no_grad(), one_torch_thread():
            value, (low, high) = rates(lambda: env.step(2 * torch.rand(worlds, 2, generator=generator) - 1), options)  # noqa: B023
        peer = f"gym-pusht {gym_steps_per_s:.0f}" if gym_steps_per_s and worlds == 1 else None
        rows.append(
            Row(metric=f"Env, worlds: {worlds}", value=worlds * value, unit="steps/s", seeds=options.rounds,
                spread=(worlds * low, worlds * high), peer=peer)
        )  # fmt: skip
    value, spread = rates(lambda: image((100.0, 50.0), (200.0, 300.0, 1.0)), options)
    return [*rows, Row(metric="images 96 x 96", value=value, unit="1/s", spread=spread, seeds=options.rounds)]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    human = made_up() if options.quick and not options.data.exists() else load(options.data)
    ours = replay(human)
    rows, gym_steps_per_s = beside_the_recording(human, ours), None
    if options.gym_python.exists():
        more, gym_steps_per_s = beside_gym(human, ours, options.gym_python)
        rows += more
    return report("push_t", rows + speed(options, gym_steps_per_s), options)


if __name__ == "__main__":
    sys.exit(main())
