"""`python -m isthmus_policies.demonstrate.transitions RUN DATASET`: what a trained policy does, or a task's script, as
transitions that off-policy learning takes in.

Datasets of `isthmus-record` hold a robot's readings and commands: of these no learner gets back what the task's groups
were, with their noise and memory, nor what only the simulation knows. So here the Env itself is recorded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from rich.console import Console
from torch import Tensor

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.info import DatasetError
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_datasets.recording.robot_columns import column_name
from isthmus_policies.algorithms.sac.demonstrations import (
    ACTION,
    DONE,
    MEANING,
    REWARD,
    TRUNCATED,
    transition_features,
)
from isthmus_policies.algorithms.sac.meaning import meaning
from isthmus_policies.demonstrate.demonstration import find_demonstration
from isthmus_policies.networks.policy import Groups, Policy, restart
from isthmus_policies.starts.files import FILE, write_snapshots
from isthmus_policies.training.run import load_run
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env, Step
from isthmus_sim.resets.snapshots import take
from isthmus_sim.resets.starts import Snapshot
from isthmus_sim.task import Task
from isthmus_sim.tasks import TASKS, make_task
from isthmus_sim.threads import one_torch_thread, use_thread_budget

PROGRAM = "python -m isthmus_policies.demonstrate.transitions"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Let a trained policy or a script act in many worlds side by side and record its episodes as transitions:
    observation groups that are numbers, the task's action, rewards, ends, and what was observed after the last
    action."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the policy's run; or the name of a task, whose script acts, such as "peg"."""
    dataset: Annotated[Path, tyro.conf.Positional]
    """Folder of the dataset, which is made."""
    episodes: int = 20
    """How many, each to its own end: as often good and bad as the policy is."""
    noise: float = 0.0
    """Standard deviation of what is added to the actions, which are from -1 to 1."""
    seed: int = 40_000
    """Seed of the worlds."""
    snapshots: bool = False
    """Also keep what the worlds were in before every action, so that episodes of a training may begin there
    (--starts.snapshots DATASET)."""

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.noise < 0.0:
            raise ValueError("episodes must be at least 1 and noise not negative")


def recorded_groups(task: Task) -> Groups:
    """The groups that a dataset holds: images are not among them."""
    return {name: group for name, group in task.groups.items() if group.dtype != "uint8"}


def demonstrated(env: Env, policy: Policy, noise: float, kept: list[Snapshot] | None = None) -> Iterator[Episode]:
    """The first episode of every world, in the order in which they end, as `transition_features` says. The policy acts
    at its mean action, with noise. `kept` is given what the worlds were in before each action."""
    task, groups = env.task, recorded_groups(env.task)
    seen, memory = env.reset(), policy.initial_memory(env.num_envs, env.device)
    drawn = torch.Generator(env.device).manual_seed(env.generator.initial_seed())  # worlds are alike whatever the noise
    rows: list[dict[str, Tensor]] = []
    going = set(range(env.num_envs))
    while going:
        if kept is not None:
            kept.append(take(env, torch.tensor(sorted(going), device=env.device)))
        before = {column_name(name): seen[name].clone() for name in groups}  # an engine may write into what it gave
        with torch.no_grad(), one_torch_thread():
            action, memory = policy.act(seen, memory, policy.draw_noise(env.num_envs, drawn))
            action = (action + noise * torch.empty_like(action).normal_(generator=drawn)).clamp(-1.0, 1.0)
            step = env.step(action)
        rows.append(before | _done(action, step))
        good = step.succeeded if task.has_goal else ~step.terminated
        for place, world in enumerate(step.ended.tolist()):
            if world in going:
                going.remove(world)
                final = {column_name(name): step.final[name][place].cpu().numpy() for name in groups}
                yield _episode(task, rows, world, final, bool(good[world]))
        restart(memory, step.ended)
        seen = step.observations


def _done(action: Tensor, step: Step) -> dict[str, Tensor]:
    flags = {REWARD: step.reward, DONE: step.terminated, TRUNCATED: step.truncated}
    return {ACTION: action, **{name: value.unsqueeze(-1) for name, value in flags.items()}}


def _episode(
    task: Task, rows: list[dict[str, Tensor]], world: int, final: dict[str, np.ndarray], good: bool
) -> Episode:
    columns = {name: torch.stack([row[name][world] for row in rows]).cpu().numpy() for name in rows[0]}
    facts = {"success": good, MEANING: json.dumps(meaning(task))}
    return Episode(columns=columns, task=task.name, facts=facts, final=final)


def actor(run: Path) -> tuple[Task, str, Policy, str]:
    """Task, engine, who acts, and what it is called. Raises ValueError and OSError where there is nobody."""
    if run.is_dir() or str(run) not in TASKS:
        trained = load_run(run)
        return trained.task, trained.engine, trained.policy, "policy"
    script = find_demonstration(str(run), "policy").policy
    assert script is not None
    task = make_task(str(run))
    return task, task.engines[0], script(task), "script"


def record(options: Options) -> str:
    """Record; a line that says what there is now. Raises ValueError, OSError and DatasetError."""
    return written(*actor(options.run), options)


def written(task: Task, engine: str, policy: Policy, operator: str, options: Options) -> str:
    """As `record`, of whom the operator's name is told; `options.run` does not count."""
    n = options.episodes
    env = Env(task, make_engine(task.scene, n, engine), options.seed)
    features = transition_features(recorded_groups(task), task.action_size)
    fps = round(1 / task.robot.control_period_s)
    kept = [] if options.snapshots else None
    with DatasetWriter.create(options.dataset, fps=fps, features=features, robot_type=task.robot.name) as writer:
        steps = succeeded = 0
        for episode in demonstrated(env, policy.to(env.device), options.noise, kept):
            writer.append(replace(episode, facts={**episode.facts, "operator": operator}))
            steps, succeeded = steps + episode.length, succeeded + bool(episode.facts["success"])
    if kept is not None:
        write_snapshots(options.dataset / FILE, kept, task, engine)
    env.close()
    return f"{options.dataset}: {n} episodes, {steps} steps, {succeeded} of them succeeded"


def main() -> None:
    """Entry point."""
    try:
        options = tyro.cli(Options, prog=PROGRAM)
        use_thread_budget()
        Console().print(record(options), highlight=False)
    except (ValueError, DatasetError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


if __name__ == "__main__":
    main()
