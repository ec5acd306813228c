"""`make bench-resets`: where episodes begin, and how hard they are, as strategies of learning.

Starts: an arm reaches for a cube whose place is known (`reach_cube`, groups "actor" and "cube") and is rewarded for
nothing but having stayed there. First SAC learns it with the task's own reward; it is the teacher. Then, with each
seed, SAC and PPO learn with the sparse reward alone: from the task's own starts; and half of the time from snapshots of
the teacher's trajectories. SAC also from those of a few demonstrations, and from Go-Explore's archive of what it has
reached itself. Success is that of the mean action, of whole episodes from the task's own starts, the same for everyone.

Levels: a cart is to be pushed to a flag on a slope (`curricula.slope`); half of the levels cannot be learned. PPO
learns with levels that are drawn evenly, by learning progress (ALP-GMM), by failures, and evenly from the half that can
be learned, which nobody knows. A level is mastered where nine of ten episodes succeed.

What was measured is kept in runs/bench/resets and not repeated; rows name its revision where that is another one.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from common import BenchOptions, Row, over_seeds, parse, report

import torch
from curricula.slope import Slope, Slopes
from kept import Kept
from torch import Tensor

from isthmus_policies.algorithms.ppo import PPO
from isthmus_policies.algorithms.ppo_config import PPOConfig
from isthmus_policies.demonstrate import transitions
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.runners import NetworkRunner
from isthmus_policies.networks.actor_critic import ActorCriticConfig
from isthmus_policies.networks.policy import Policy, make_policy
from isthmus_policies.starts import record
from isthmus_policies.starts.config import StartsConfig
from isthmus_policies.training.config import TrainConfig, default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.env import Env
from isthmus_sim.resets.levels.alp_gmm import AlpGmm
from isthmus_sim.resets.levels.prioritised import Prioritised
from isthmus_sim.resets.levels.sampler import LevelSampler
from isthmus_sim.tasks.reach_cube import ReachReward

EVALUATION_SEED = 88_000
OWN = "the task's own starts"
SNAPSHOTS, SHOWN = "teacher.snapshots", "shown"
SPARSE = ReachReward(near=0.0, close=0.0, done=10.0, smoothness=0.0, pushed=0.0)


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn from other starts, and from chosen levels."""

    seeds: tuple[int, ...] = (901, 902, 903, 904, 905)
    """Training seeds of the learners."""
    teacher_seed: int = 1
    teacher_steps: int = 16_000
    """Control steps, of all worlds, that the teacher learns with the task's own reward."""
    sac_steps: int = 40_000
    """Control steps after which SAC has failed."""
    ppo_steps: int = 48_000
    """The same for PPO."""
    sac_interval: int = 2000
    """Control steps from one evaluation of SAC to the next."""
    ppo_interval: int = 8000
    """The same for PPO."""
    threshold: float = 0.5
    """Success that counts as learned."""
    snapshots: int = 2000
    parts: tuple[Literal["levels", "sac", "ppo", "others"], ...] = ("levels", "sac", "ppo", "others")
    """What is measured: levels; SAC and PPO from a teacher's snapshots; SAC from demonstrations and the archive."""
    demonstrations: int = 20
    """Episodes of the teacher whose states are the dataset's."""
    share: float = 0.5
    """Share of the episodes that begin elsewhere."""
    episodes: int = 60
    """Episodes of an evaluation."""
    level_steps: int = 600_000
    """Control steps of a learner of levels."""
    level_sides: int = 12
    """Levels that are asked about, along each of the two things that make an episode hard."""


QUICK = Options(
    seeds=(901,), teacher_steps=1280, sac_steps=1280, ppo_steps=4096, sac_interval=1280, ppo_interval=4096,
    snapshots=64, demonstrations=2, episodes=4, level_steps=12_288, level_sides=4,
)  # fmt: skip


# --- starts ---


def arm(
    algorithm: str, seed: int, steps: int, starts: StartsConfig | None = None, reward: ReachReward = SPARSE
) -> TrainConfig[Any, Any, Any]:
    """Small networks learn this within two minutes on a core; SAC in 32 worlds, PPO in 128."""
    sac = algorithm == "sac"
    config = default_config("reach_cube", "squashed" if sac else "mlp", algorithm)
    task = replace(config.task, visuals=None, hold_s=0.2, episode_steps=75, reward=reward)
    its, worlds, per = config.algorithm, 128, 0
    if sac:
        its, worlds = replace(its, replay_steps=2048, warm_up=1024, initial_temperature=0.1), 32
    per = worlds * (its.collect_steps if sac else its.num_steps)
    return replace(
        config, robot="so101", seed=seed, num_envs=worlds, iterations=max(1, steps // per), episode_steps=None,
        algorithm=its, task=task, starts=starts or StartsConfig(),
        policy=replace(config.policy, actor_groups=("actor", "cube"), actor=(64, 64), critic=(64, 64)),
    )  # fmt: skip


def success(trainer: Trainer, episodes: int) -> float:
    """Share of episodes from the task's own starts that the mean action does."""
    return evaluate(trainer.task, lambda env: NetworkRunner(trainer.policy, env), episodes, EVALUATION_SEED).success[1]


def learned_after(config: TrainConfig[Any, Any, Any], interval: int, options: Options) -> int | None:
    """Control steps until the success is above the threshold; None where it never was."""
    trainer = Trainer(config)
    asked = interval
    while trainer.iteration < config.iterations:
        trainer.iterate()
        if trainer.steps >= asked or trainer.iteration == config.iterations:
            asked += interval
            share = success(trainer, options.episodes)
            if share >= options.threshold:
                trainer.close()
                return trainer.steps
    trainer.close()
    return None


def taught(options: Options, folder: Path) -> dict[str, Any]:
    """Train the teacher and record its states: how good it is."""
    run = folder / "teacher"
    run.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(arm("sac", options.teacher_seed, options.teacher_steps, reward=ReachReward()))
    while trainer.iteration < trainer.config.iterations:
        trainer.iterate()
    trainer.save(run)
    trainer.close()
    told = record.record(record.Options(run=run, file=folder / SNAPSHOTS, snapshots=options.snapshots))
    print(told, flush=True)
    shutil.rmtree(folder / SHOWN, ignore_errors=True)
    told = transitions.record(
        transitions.Options(run=run, dataset=folder / SHOWN, episodes=options.demonstrations, snapshots=True)
    )
    print(told, flush=True)
    return {"success": success(trainer, 3 * options.episodes), "steps": trainer.steps}


def strategies(options: Options, folder: Path) -> dict[tuple[str, str], StartsConfig]:
    """Algorithm and name -> where episodes begin."""
    snapshots = StartsConfig(snapshots=folder / SNAPSHOTS, share=options.share)
    shown = replace(snapshots, snapshots=folder / SHOWN)
    usual = {
        (algorithm, name): starts
        for algorithm in ("sac", "ppo")
        if algorithm in options.parts
        for name, starts in ((OWN, StartsConfig()), ("a teacher's snapshots", snapshots))
    }
    others = {
        ("sac", f"states of {options.demonstrations} demonstrations"): shown,
        ("sac", "Go-Explore's archive"): StartsConfig(archive=True, share=options.share),
    }
    return usual | others if "others" in options.parts else usual


def start_rows(found: dict[tuple[str, str], list[float]], teacher: dict[str, Any], options: Options) -> list[Row]:
    """What is reported of starts. Who has not learned counts as if it had at the end: a ratio to it is a lower
    bound."""
    limits = {"sac": options.sac_steps, "ppo": options.ppo_steps}
    rows = [
        Row(metric="teacher: success", value=100 * teacher["success"], unit="%",
            peer=f"after {teacher['steps']} steps with the task's own reward")
    ]  # fmt: skip
    for (algorithm, name), steps in found.items():
        done, limit = [each for each in steps if math.isfinite(each)], limits[algorithm]
        said = f"{len(done)} of {len(steps)} seeds within {limit}"
        rows.append(replace(over_seeds(f"{algorithm}, {name}: steps until learned", steps, ""), peer=said))
    for (algorithm, name), steps in found.items():
        own = found.get((algorithm, OWN))
        if steps is own or own is None:
            continue
        limit = float(limits[algorithm])
        times = [min(a, limit) / min(b, limit) for a, b in zip(own, steps, strict=True)]
        bound = ">= 1.3" if (algorithm, name) == ("sac", "a teacher's snapshots") else None
        rows.append(over_seeds(f"{algorithm}, {name}: times earlier", times, "", must=bound))
    return rows


# --- levels ---


class Grid(LevelSampler):
    """Levels in the middles of a grid's cells, each so many times in a row: for evaluation."""

    def __init__(self, sides: int, each: int) -> None:
        middle = (torch.arange(sides) + 0.5) / sides
        self.levels = torch.cartesian_prod(middle, middle).repeat_interleave(each, 0)

    def draw(self, n: int, size: int, generator: torch.Generator) -> Tensor:
        return self.levels[:n]


class Learnable(LevelSampler):
    """Draws evenly from the half of the slopes that the motor is strong enough for."""

    def draw(self, n: int, size: int, generator: torch.Generator) -> Tensor:
        return super().draw(n, size, generator) * torch.tensor((1.0, 0.5))


SAMPLERS: dict[str, Callable[[], LevelSampler]] = {
    "even": LevelSampler,
    "learning progress (ALP-GMM)": AlpGmm,
    "failures (prioritised)": Prioritised,
    "even, learnable half alone": Learnable,
}
_EACH = 10


@torch.no_grad()
def mastered(policy: Policy, sides: int) -> float:
    """Share of all levels, %, of which the mean action does nine episodes in ten."""
    grid, task = Grid(sides, _EACH), Slope()
    env = Env(task, Slopes(len(grid.levels)), EVALUATION_SEED, autoreset=False, levels=grid)
    seen, done = env.reset(), torch.zeros(len(grid.levels), dtype=torch.bool)
    for _ in range(task.episode_steps):
        step = env.step(policy.act(seen, {}, {})[0])
        seen, done = step.observations, done | step.succeeded
    good = done.view(-1, _EACH).float().mean(1) >= 0.9
    return 100 * float(good.float().mean())


def levels_learned(sampler: LevelSampler, seed: int, options: Options) -> dict[str, float]:
    """Share of mastered levels half-way and at the end, and of the last episodes that were at learnable levels, %."""
    torch.manual_seed(seed)
    task = Slope()
    env = Env(task, Slopes(256), seed, random_initial_age=True, training=True, levels=sampler)
    sizes = ActorCriticConfig(actor=(32, 32), critic=(32, 32), initial_std=1.0)
    policy = make_policy("mlp", sizes, task.groups, task.action_size)
    config = PPOConfig(num_steps=16, minibatches=4, gamma=0.98, lam=0.95)
    ppo = PPO(env, policy, config, torch.Generator().manual_seed(seed + 1))
    count, half, learnable = max(2, options.level_steps // (256 * config.num_steps)), 0.0, 0.0
    late = max(1, count // 5)
    for i in range(count):
        ppo.collect()
        ppo.update(i / count)
        if i >= count - late:
            learnable += float((env.graded[:, 1] < 0.5).float().mean()) / late
        if i + 1 == count // 2:
            half = mastered(policy, options.level_sides)
    return {"half": half, "end": mastered(policy, options.level_sides), "learnable": 100 * learnable}


def level_rows(found: dict[str, list[dict[str, float]]], options: Options) -> list[Row]:
    """What is reported of levels; 50 % of them can be mastered."""
    end = {name: [each["end"] for each in runs] for name, runs in found.items()}
    even = end["even"]
    rows = [over_seeds(f"levels, {name}: mastered after {options.level_steps} steps", end[name], "%") for name in end]
    rows += [
        over_seeds(f"levels, {name}: mastered half-way", [each["half"] for each in runs], "%")
        for name, runs in found.items()
    ]
    rows += [
        over_seeds(f"levels, {name}: worlds at learnable ones, last fifth", [run["learnable"] for run in runs], "%")
        for name, runs in found.items()
    ]
    for name in end:
        if name != "even":
            bound = ">= 10" if "ALP-GMM" in name else None
            more = [a - b for a, b in zip(end[name], even, strict=True)]
            rows.append(over_seeds(f"levels, {name}: mastered, more than even", more, "points", must=bound))
    return rows


# --- both ---

TEACHER = ("teacher_seed", "teacher_steps", "snapshots", "demonstrations", "episodes")
LEARNER = (*TEACHER, "threshold", "share")
LEVELS = ("level_steps", "level_sides")


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    torch.set_num_threads(1)
    kept = Kept.of("resets", options)
    levels = {
        name: [
            kept.once(f"levels-{name}-{seed}", LEVELS, lambda s=seed, m=make: levels_learned(m(), s, options))
            for seed in options.seeds
        ]
        for name, make in SAMPLERS.items()
        if "levels" in options.parts
    }
    asked = strategies(options, kept.folder)
    teacher = kept.once("teacher", TEACHER, lambda: taught(options, kept.folder)) if asked else None
    steps, found = {"sac": options.sac_steps, "ppo": options.ppo_steps}, {}
    for (algorithm, name), starts in asked.items():
        # What PPO does depends on how long it will train; what SAC does, does not.
        by, limit = (*LEARNER, f"{algorithm}_interval"), f"{algorithm}_steps"
        by, limit = (by, limit) if algorithm == "sac" else ((*by, limit), None)
        found[algorithm, name] = [
            kept.once(
                f"{algorithm}-{name}-{seed}", by,
                lambda s=seed, a=algorithm, w=starts: learned_after(
                    arm(a, s, steps[a], w), getattr(options, f"{a}_interval"), options
                ), limit,
            ) or math.inf
            for seed in options.seeds
        ]  # fmt: skip
    rows = [*(start_rows(found, teacher, options) if teacher else ()), *(level_rows(levels, options) if levels else ())]
    return report("resets", kept.told(rows), options)


if __name__ == "__main__":
    sys.exit(main())
