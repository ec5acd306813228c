"""`make bench-sac`: SAC here beside stable-baselines3's SAC on gymnasium's own tasks.

Both learn in this process, in turns of some steps, so that whatever else the machine does hits both. They have equally
large networks, batches, rates, a gradient step for each step of one world, the same number of first steps at random,
and equally many threads of torch. Ours normalises observations and its critics' layers, as it does on robots; the other
has its own defaults. Speed counts environment steps with the learning that comes of them, per second of processor time
(both have one thread unless told otherwise), from when both learn. Returns are of whole episodes at the mean action, in
worlds of their own.

What was measured is kept in runs/bench/sac and not repeated; rows name its revision where that is another one.
"""

# Only the extra `bench` has stable-baselines3.
# pyright: reportMissingImports=false

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from common import BenchOptions, Row, over_seeds, parse, report

import numpy as np
import stable_baselines3
import torch
from kept import Kept
from peers.gym_worlds import GymWorlds

from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.sac import SAC
from isthmus_policies.networks.policy import make_policy
from isthmus_policies.networks.squashed import SquashedConfig

EVALUATION_SEED = 88_000
PEER = "stable-baselines3 2.9.2"
RACE = ("steps", "warm_up", "hidden", "actor_every", "turns", "episodes", "threads")
Act = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn gymnasium's tasks with both learners."""

    tasks: tuple[str, ...] = ("Hopper-v5", "HalfCheetah-v5", "Walker2d-v5")
    """Names of gymnasium's tasks."""
    seeds: tuple[int, ...] = (301, 302, 303, 304, 305)
    """Training seeds: each is one training of either learner."""
    steps: int = 100_000
    """Environment steps of a training."""
    warm_up: int = 1000
    """How many of these have random actions, before learning begins."""
    hidden: tuple[int, ...] = (256, 256)
    """Hidden layers of the actors and critics."""
    actor_every: int = 2
    """Our actor learns in every such gradient step of its critics; 1 as the peer's does."""
    turns: int = 10
    """Turns of a training after the random steps."""
    episodes: int = 10
    """Episodes of an evaluation, at the end of a training."""
    threads: int = 1
    """Threads of torch, for both."""


QUICK = Options(
    tasks=("Hopper-v5",), seeds=(301, 302), steps=400, warm_up=100, hidden=(64, 64), turns=2, episodes=1
)


@dataclass(kw_only=True)
class Track:
    """One learner's training: processor seconds of each turn, return of each evaluation episode at its end."""

    seconds: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class Race:
    """Both learners' trainings on a task, with one seed, in so many steps a turn."""

    turn: int
    ours: Track
    theirs: Track

    def rate(self, track: Track) -> float:
        """Environment steps per processor second."""
        return self.turn * len(track.seconds) / sum(track.seconds)

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Race:
        """What `asdict` made of one, and JSON of that."""
        return cls(turn=kept["turn"], ours=Track(**kept["ours"]), theirs=Track(**kept["theirs"]))


class Ours:
    """The project's SAC."""

    def __init__(self, task: str, seed: int, options: Options) -> None:
        torch.manual_seed(seed)
        worlds = GymWorlds(task, seed)
        network = SquashedConfig(
            critic_groups=("actor",), actor=options.hidden, critic=options.hidden, activation="relu"
        )
        config = SACConfig(
            collect_steps=1, update_ratio=1.0, replay_steps=options.steps, warm_up=options.warm_up, batch_size=256,
            n_step=1, actor_every=options.actor_every, target_rate=0.005, learning_rate=3e-4,
        )  # fmt: skip
        self.policy = make_policy("squashed", network, worlds.groups, worlds.action_size)
        self.sac = SAC(cast(Any, worlds), self.policy, config, torch.Generator().manual_seed(seed))

    def learn(self, steps: int) -> None:
        for _ in range(steps):
            self.sac.collect()
            self.sac.update(0.0)

    @torch.no_grad()
    def act(self, seen: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(seen.astype(np.float32)).unsqueeze(0)
        return self.policy.act({"actor": rows}, {}, {})[0][0].numpy()


class Theirs:
    """stable-baselines3's SAC."""

    def __init__(self, task: str, seed: int, options: Options) -> None:
        self.model = stable_baselines3.SAC(
            "MlpPolicy", task, seed=seed, device="cpu", learning_starts=options.warm_up, buffer_size=options.steps,
            policy_kwargs={"net_arch": list(options.hidden)},
        )  # fmt: skip

    def learn(self, steps: int) -> None:
        self.model.learn(steps, reset_num_timesteps=False)

    def act(self, seen: np.ndarray) -> np.ndarray:
        return self.model.predict(seen, deterministic=True)[0]


def returns(act: Act, task: str, episodes: int) -> list[float]:
    """Sum of rewards of each of so many whole episodes, in the same starts for everyone. The actions of gymnasium's
    walkers are in [-1, 1]."""
    worlds, earned = GymWorlds(task, EVALUATION_SEED), []
    seen = worlds.reset()["actor"]
    while len(earned) < episodes:
        step = worlds.step(torch.from_numpy(np.asarray(act(seen[0].numpy()), np.float32)).unsqueeze(0))
        seen = step.observations["actor"]
        earned += step.episode_terms["reward"].tolist()
    worlds.close()
    return earned


def race(task: str, seed: int, options: Options) -> Race:
    """Train both in turns, with one seed."""
    learners = {"ours": Ours(task, seed, options), "theirs": Theirs(task, seed, options)}
    result = Race(turn=(options.steps - options.warm_up) // options.turns, ours=Track(), theirs=Track())
    tracks = {"ours": result.ours, "theirs": result.theirs}
    for learner in learners.values():
        learner.learn(options.warm_up)
    for turn in range(options.turns):
        for name, learner in learners.items():
            begun = time.process_time()
            learner.learn(result.turn)
            tracks[name].seconds.append(time.process_time() - begun)
        rates = ", ".join(f"{name} {result.turn / track.seconds[-1]:.1f}/s" for name, track in tracks.items())
        print(f"{task} seed {seed} turn {turn + 1} of {options.turns}: {rates}", flush=True)
    for name, learner in learners.items():
        tracks[name].returns = returns(learner.act, task, options.episodes)
    ours, theirs = (statistics.mean(track.returns) for track in tracks.values())
    print(f"{task} seed {seed}: return {ours:.0f}, peer {theirs:.0f}", flush=True)
    return result


def rows(task: str, races: list[Race]) -> list[Row]:
    """What is reported of a task. Our return must not be lower than the peer's by more than the difference's 95 %
    interval over seeds."""
    rates = [(r.rate(r.ours), r.rate(r.theirs)) for r in races]
    ours, theirs = ([statistics.mean(getattr(r, name).returns) for r in races] for name in ("ours", "theirs"))
    half = 1.96 * ((statistics.variance(ours) + statistics.variance(theirs)) / len(races)) ** 0.5
    return [
        over_seeds(f"{task}: steps/s with learning", [a for a, _ in rates], "1/s"),
        over_seeds(f"{task}: steps/s with learning, peer", [b for _, b in rates], "1/s", peer=PEER),
        over_seeds(f"{task}: steps/s with learning, ratio", [a / b for a, b in rates], "", must=">= 1.5"),
        over_seeds(f"{task}: return at the end", ours, ""),
        over_seeds(f"{task}: return at the end, peer", theirs, "", peer=PEER),
        Row(metric=f"{task}: return at the end, mean less the peer's",
            value=statistics.mean(ours) - statistics.mean(theirs), unit="", seeds=len(races), must=f">= {-half:.4g}",
            peer="the bound: its 95 % interval"),
    ]  # fmt: skip


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    if len(options.seeds) < 2:
        sys.exit("bench-sac: an interval needs at least 2 --seeds")
    if not 1 <= options.turns <= options.steps - options.warm_up:
        sys.exit("bench-sac: there must be at least one step a turn after the random ones")
    torch.set_num_threads(options.threads)
    kept = Kept.of("sac", options)

    def raced(task: str, seed: int) -> Race:
        return Race.of(kept.once(f"{task}-{seed}", RACE, lambda: asdict(race(task, seed, options))))

    found = [row for task in options.tasks for row in rows(task, [raced(task, seed) for seed in options.seeds])]
    return report("sac", kept.told(found), options)


if __name__ == "__main__":
    sys.exit(main())
