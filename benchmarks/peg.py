"""`make bench-peg`: a peg into a hole, learned within a quarter of an hour from twenty demonstrations and somebody who
takes over.

The task is `peg` with 0.5 mm of clearance on the radius and a force-torque sensor at the wrist, made harder: the camera
errs by 2.5 mm (standard deviation along each axis), so that the script that stands in for a person finds the hole about
every second time within 8 s. The sensor is set to zero before every episode. The script demonstrates, and takes over
where the learner comes no nearer for 3 s or presses with nearly too much force. With each seed, on one arm's control
steps and a gradient step for each:

- RLPD and interventions: SAC, half of each batch from demonstrations and interventions (HIL-SERL, Luo et al. 2024).
- HG-DAgger: the same actor imitates demonstrations and interventions and acts meanwhile, with no more control steps of
  the script than the first had.
- RLPD: SAC with the demonstrations and nobody who takes over.
- cloning: the same actor imitates the demonstrations alone, in as many gradient steps.

A quarter of an hour is what one arm would need for the control steps, and the first one's time is told beside it.
Success and seconds to it are those of the mean action, of whole episodes that are the same for everyone.

What was measured is kept in runs/bench/peg and not repeated; rows name its revision where that is another one.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from common import BenchOptions, Row, over_seeds, parse, report

import torch
from kept import Kept
from shown import EVALUATION_SEED, Dagger, Trained, cloned, learned

from isthmus_policies.demonstrate import transitions
from isthmus_policies.demonstrate.tasks.peg_script import PegScript
from isthmus_policies.interventions.config import InterventionsConfig
from isthmus_policies.networks.policy import Policy
from isthmus_policies.training.config import TrainConfig, default_config
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.robots.so101_peg.description import FORCE, HOLE, TORQUE
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.tasks.peg import PegConfig

TASK = "peg"
OURS, DAGGER, RLPD, CLONING = "RLPD and interventions", "HG-DAgger", "RLPD", "cloning"
TENTHS = 10


@dataclass(frozen=True, kw_only=True)
class Options(BenchOptions):
    """Learn to bring a peg into its hole."""

    seeds: tuple[int, ...] = (511, 512, 513, 514, 515)
    """Training seeds of the learners."""
    minutes: float = 15.0
    """Time of one arm that a learner has, all worlds together."""
    worlds: int = 4
    hidden: int = 64
    """Width of the two layers of actor and critics."""
    actor_every: int = 2
    """The actor of SAC learns in every such gradient step of its critics."""
    demonstrations: int = 20
    """Episodes that are shown."""
    camera_error: float = 0.0025
    """Standard deviation, along each axis, of how far the hole is from where the camera has found it, m."""
    force_drift: float = 0.02
    """Standard deviation of what force is felt where there is none, N: the sensor is set to zero, in the air, before
    every episode, as its driver offers it."""
    torque_drift: float = 0.001
    """The same of torque, N·m."""
    leash: float = 0.0025
    """Farthest that the target of the peg's end may be from it along each axis, m: 2.3 N for each mm along the peg."""
    patience: float = 3.0
    """Time without progress after which whoever looks on sees trouble, s."""
    worrying_force: float = 18.0
    """Force at the wrist at which whoever looks on sees trouble, N. A blow is over before anybody can act."""
    probability: float = 0.5
    """That the script takes over in trouble."""
    duration: int = 10
    """Control steps that it then drives."""
    episodes: int = 200
    """Episodes of an evaluation."""


QUICK = Options(seeds=(511,), minutes=0.4, demonstrations=3, episodes=6)
SETTING = tuple(each.name for each in fields(Options) if each.name not in ("seeds", "quick", "save"))


class Judged(NamedTuple):
    """Share of episodes that succeeded, %, and how long those took on average, s."""

    success: float
    seconds: float


def judged(task: Task, policy: Policy, episodes: int) -> Judged:
    """The first episode in each of so many worlds."""
    env = Env(task, make_engine(task.scene, episodes, task.engines[0]), EVALUATION_SEED, autoreset=False)
    seen, ended = env.reset(), torch.zeros(episodes, dtype=torch.bool)
    took: list[int] = []
    for number in range(1, task.episode_steps + 1):
        with torch.no_grad():
            action, _ = policy.act(seen, {}, {})
        step = env.step(action)
        took += [number] * int((step.succeeded & ~ended).sum())
        ended |= step.terminated
        seen = step.observations
    env.close()
    seconds = statistics.mean(took) * task.robot.control_period_s if took else float("inf")
    return Judged(100 * len(took) / episodes, seconds)


def board(options: Options) -> PegConfig:
    """The task's configuration."""
    usual = PegConfig()
    errors = {HOLE: options.camera_error, FORCE: options.force_drift, TORQUE: options.torque_drift}
    noise = usual.noise | {name: replace(usual.noise[name], bias=bias) for name, bias in errors.items()}
    return replace(
        usual, noise=noise, leash=options.leash, patience_s=options.patience,
        worrying_force=options.worrying_force,
    )  # fmt: skip


def configured(options: Options, seed: int, shown: Path, **algorithm: Any) -> TrainConfig[Any, Any, Any]:
    """As the task asks for, on so many control steps."""
    config = default_config(TASK)
    sac = replace(config.algorithm, actor_every=options.actor_every, demonstrations=(shown,), **algorithm)
    steps = round(60 * options.minutes / make_task(TASK).robot.control_period_s)
    return replace(
        config, task=board(options), seed=seed, num_envs=options.worlds,
        iterations=max(1, steps // (options.worlds * sac.collect_steps)),
        algorithm=sac, policy=replace(config.policy, actor=(options.hidden,) * 2, critic=(options.hidden,) * 2),
    )  # fmt: skip


Told = dict[str, Any]
"""What is told of a trained learner: its success, %; the mean seconds to it, None without any; processor minutes of its
training; which share of the steps the script drove in each tenth of it, %; and how many it drove in all."""


def learners(options: Options, shown: Path, kept: Kept) -> dict[str, list[Told]]:
    """What is told of every learner with each seed. Ours comes first: it says how much HG-DAgger is helped."""
    takes_over = InterventionsConfig(
        teacher="script", when="trouble", probability=options.probability, duration=options.duration
    )
    helped = [configured(options, seed, shown, interventions=takes_over) for seed in options.seeds]
    alone = [configured(options, seed, shown) for seed in options.seeds]

    def once(name: str, config: TrainConfig[Any, Any, Any], learn: Callable[[], Trained]) -> Told:
        per_iteration = config.num_envs * config.algorithm.collect_steps
        return kept.once(
            f"{name.replace(' ', '-')}-{config.seed}", SETTING, lambda: told(learn, per_iteration, options.episodes)
        )

    ours = [once(OURS, config, lambda c=config: learned(c)) for config in helped]
    limits = [each["steps driven"] for each in ours]
    return {
        OURS: ours,
        DAGGER: [
            once(DAGGER, config, lambda c=config, n=limit: learned(c, Dagger, driven=n))
            for config, limit in zip(helped, limits, strict=True)
        ],
        CLONING: [once(CLONING, config, lambda c=config: cloned(c)) for config in alone],
        RLPD: [once(RLPD, config, lambda c=config: learned(c)) for config in alone],
    }


def told(learn: Callable[[], Trained], per_iteration: int, episodes: int) -> Told:
    """What is told of a learner that collects so many control steps in an iteration."""
    begun = time.process_time()
    trainer, rates = learn()
    minutes = (time.process_time() - begun) / 60
    success, seconds = judged(trainer.task, trainer.policy, episodes)
    return {
        "success": success, "seconds": seconds if success else None, "minutes": minutes,
        "driven": [100 * rate for rate in tenths(rates)], "steps driven": sum(rates) * per_iteration,
    }  # fmt: skip


def tenths(rates: list[float]) -> list[float]:
    """Means of ten parts, one after the other."""
    bounds = [len(rates) * part // TENTHS for part in range(TENTHS + 1)]
    return [statistics.mean(rates[a:b] or [0.0]) for a, b in itertools.pairwise(bounds)]


def rows(found: dict[str, list[Told]], script: Judged, options: Options) -> list[Row]:
    """What is reported: the seed that is worst must keep a bound."""
    others = (DAGGER, RLPD, CLONING)
    success = {name: [each["success"] for each in of] for name, of in found.items()}
    seconds = {
        name: [float("inf") if each["seconds"] is None else each["seconds"] for each in of]
        for name, of in found.items()
    }
    driven = [
        over_seeds(f"steps driven by the script, tenth {i + 1}", [each["driven"][i] for each in found[OURS]], "%")
        for i in range(TENTHS)
    ]

    def more(name: str) -> list[float]:
        """How many times as often ours succeeds with each seed."""
        return [own / max(other, 1e-9) for own, other in zip(success[OURS], success[name], strict=True)]

    def longer(name: str) -> list[float]:
        """How many times as long the other one takes."""
        return [other / own for own, other in zip(seconds[OURS], seconds[name], strict=True)]

    return [
        Row(metric="success: script", value=script.success, unit="%", peer=f"{options.episodes} episodes"),
        Row(metric="seconds to success: script", value=script.seconds, unit="s"),
        over_seeds(f"success: {OURS}", success[OURS], "%", must=">= 95"),
        *(over_seeds(f"success: {name}", success[name], "%") for name in others),
        *(over_seeds(f"success of ours over that of {name}", more(name), "x", must=">= 1.5") for name in others),
        over_seeds(f"seconds to success: {OURS}", seconds[OURS], "s"),
        *(over_seeds(f"seconds of {name} over ours", longer(name), "x", must=">= 1.2") for name in others),
        *driven[:-1],
        replace(driven[-1], must="<= 5"),
        over_seeds("processor time of training, ours", [each["minutes"] for each in found[OURS]], "min", must="<= 15"),
    ]


def main() -> int:
    """Entry point; 1 when a must is missed."""
    options = parse(Options(), QUICK)
    torch.set_num_threads(1)
    task = make_task(TASK, board(options))
    acts = PegScript(task.config)
    script = judged(task, acts, options.episodes)
    print(f"script: {script.success:.1f} %, {script.seconds:.2f} s", flush=True)
    kept = Kept.of("peg", options)
    with tempfile.TemporaryDirectory() as recorded:
        shown = Path(recorded) / "shown"
        shows = transitions.Options(run=Path(TASK), dataset=shown, episodes=options.demonstrations)
        print(transitions.written(task, task.engines[0], acts, "script", shows), flush=True)
        found = learners(options, shown, kept)
    return report("peg", kept.told(rows(found, script, options)), options)


if __name__ == "__main__":
    sys.exit(main())
