"""A training run: task, engine, policy and learner put together, iteration by iteration, resumable bit for bit."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from isthmus_policies.algorithms.ppo import PPO, PPOConfig
from isthmus_policies.algorithms.rollout import Collector
from isthmus_policies.files import code_revision, from_json
from isthmus_policies.networks.actor_critic import ActorCritic, NetworkConfig
from isthmus_policies.training import distributed
from isthmus_policies.training.checkpoint import (
    CheckpointError,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    part,
    save_checkpoint,
)
from isthmus_policies.training.diverged import FOLDER, DivergedError, dump
from isthmus_policies.training.ram_budget import refuse_too_many_worlds
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Divergence, Env
from isthmus_sim.robots.models import OWN
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import one_torch_thread

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. It is the command line, the run's config.json and what a checkpoint carries."""

    task: str
    """Name of the task."""
    engine: str | None = None
    """Name of the engine; by default the task's first one. The quadrotor has analytic and mujoco."""
    model: str = OWN
    """Model of the robot: own, menagerie:NAME (as menagerie:unitree_go2), or the path of an MJCF or URDF."""
    num_envs: int = 512
    """Worlds stepped together, by all processes of a data-parallel run (`distributed`)."""
    iterations: int = 440
    """Roll-outs, each followed by an update."""
    seed: int = 0
    """Seed of everything random. On a CPU the same seed gives the same policy, bit for bit."""
    episode_steps: int | None = 100
    """Episodes are cut here while training, by default earlier than the task does: more starts to learn from. The
    value goes on across a cut."""
    curriculum_end: float = 0.35
    """How far the reward's curriculum goes, as a share of all of it."""
    curriculum_share: float = 0.6
    """Share of the iterations after which it is there."""
    checkpoint_every: int = 100
    """Iterations between checkpoints; there is always one at the end and on Ctrl-C."""
    max_diverged_share: float = 0.01
    """Share of the worlds that may diverge within an iteration; they are reset and dumped. More of them stop the
    run."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)

    def __post_init__(self) -> None:
        for name in ("num_envs", "iterations", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 <= self.max_diverged_share <= 1.0:
            raise ValueError(f"max_diverged_share must lie within [0, 1], got {self.max_diverged_share}")
        if self.num_envs * self.ppo.horizon < self.ppo.minibatches:
            raise ValueError(
                f"{self.num_envs} worlds x {self.ppo.horizon} steps are fewer than {self.ppo.minibatches} minibatches"
            )


class Trainer:
    """Holds a run's state. `iterate` does one roll-out and update; `save` and `resume` keep all of it."""

    def __init__(self, config: TrainConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.task = make_task(config.task)
        num_envs = distributed.share(config.num_envs)
        refuse_too_many_worlds(self.task, num_envs, config.ppo.horizon)
        engine = make_engine(self.task, num_envs, config.engine, config.model)
        seed = distributed.own_seed(config.seed)
        self.env = Env(self.task, engine, seed, spread=True, episode_steps=config.episode_steps)
        self.policy = ActorCritic(self.task.groups, self.task.action_size, config.network).to(engine.device)
        self.generator = torch.Generator(engine.device).manual_seed(seed + 1)
        self.learner = PPO(self.policy, config.ppo, self.generator, self.task.mirror)
        self.collector = Collector(self.env, config.ppo.horizon, self.generator)
        self.divergences: list[Divergence] = []
        self.iteration = 0
        self.seconds = 0.0

    @property
    def steps(self) -> int:
        """Environment steps taken so far, over all worlds."""
        return self.iteration * self.config.num_envs * self.config.ppo.horizon

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what `iterate` returns."""
        terms = tuple(f"reward/{name}" for name in self.task.reward_terms)
        episode = ("episode/return", "episode/length", "episode/timed_out", "episode/diverged")
        learner = ("kl", "surrogate", "value_loss", "clipped", "learning_rate", "std")
        return ("iteration", "steps", "seconds", "progress", *episode, *terms, *(f"learner/{name}" for name in learner))

    def iterate(self) -> dict[str, float]:
        """One roll-out and update; what to log."""
        begun = time.perf_counter()
        ramp = self.config.curriculum_share * self.config.iterations
        self.env.progress = self.config.curriculum_end * min(1.0, self.iteration / max(1.0, ramp))
        with one_torch_thread():
            rollout, episodes = self.collector.collect(self.policy)
        self.divergences = episodes.divergences
        learned = self.learner.update(rollout, self.iteration / self.config.iterations)
        self.seconds += time.perf_counter() - begun
        (diverged,) = distributed.total(episodes.diverged)
        row = {"iteration": self.iteration, "progress": self.env.progress, "episode/diverged": int(diverged)}
        self.iteration += 1
        return row | {"steps": self.steps, "seconds": self.seconds} | episodes.summary() | learned

    def dump_diverged(self, folder: Path) -> None:
        """Write the worlds that diverged in the last iteration to run `folder`. Raises DivergedError for too many."""
        if not self.divergences:
            return
        facts = {name: getattr(self.config, name) for name in ("task", "engine", "model")}
        iteration = self.iteration - 1
        path = dump(folder / FOLDER, self.divergences, facts | {"iteration": iteration})
        count = sum(len(divergence.worlds) for divergence in self.divergences)
        if count > self.config.max_diverged_share * self.env.num_envs:
            raise DivergedError(
                f"{count} of {self.env.num_envs} worlds diverged in iteration {iteration}, more than the share of "
                f"{self.config.max_diverged_share:g} (max_diverged_share); "
                f"step one again: python -m isthmus_policies.training.diverged {path}"
            )

    def save(self, folder: Path) -> None:
        """Write the checkpoint of run `folder`, atomically."""
        tensors: dict[str, Tensor] = {"generator": self.generator.get_state()}
        for prefix, group in (
            ("policy", self.policy.state_dict()),
            ("optimizer", optimizer_tensors(self.learner.optimizer)),
            ("env", self.env.state_dict()),
            ("observations", self.collector.observations),
        ):
            tensors |= {f"{prefix}.{name}": value for name, value in group.items()}
        facts = {
            "config": dataclasses.asdict(self.config),
            "iteration": self.iteration,
            "seconds": self.seconds,
            "learning_rate": self.learner.learning_rate,
            "code_revision": code_revision(),
            "processes": distributed.size(),
        }
        save_checkpoint(folder / CHECKPOINT, tensors, facts)

    @classmethod
    def resume(cls, folder: Path) -> Trainer:
        """The run in `folder`, as at its last checkpoint. Of a data-parallel run, the first process's worlds are;
        the others begin anew. Raises CheckpointError, FileNotFoundError."""
        tensors, facts = load_checkpoint(folder / CHECKPOINT)
        if facts["processes"] != distributed.size():
            raise CheckpointError(
                f"{folder} was trained by {facts['processes']} processes, this is {distributed.size()}: "
                "start as many with torchrun"
            )
        trainer = cls(from_json(TrainConfig, facts["config"]))
        trainer.policy.load_state_dict(part(tensors, "policy"))
        load_optimizer(trainer.learner.optimizer, part(tensors, "optimizer"))
        trainer.learner.set_learning_rate(facts["learning_rate"])
        if distributed.leads():
            trainer.env.load_state_dict(part(tensors, "env"))
            observations = part(tensors, "observations").items()
            trainer.collector.observations = {name: rows.to(trainer.env.engine.device) for name, rows in observations}
            trainer.generator.set_state(tensors["generator"])
        trainer.iteration, trainer.seconds = facts["iteration"], facts["seconds"]
        return trainer


def load_policy(folder: Path) -> tuple[TrainConfig, ActorCritic, dict]:
    """Configuration, policy and the checkpoint's facts of the run in `folder`."""
    tensors, facts = load_checkpoint(folder / CHECKPOINT)
    config = from_json(TrainConfig, facts["config"])
    task = make_task(config.task)
    policy = ActorCritic(task.groups, task.action_size, config.network)
    policy.load_state_dict(part(tensors, "policy"))
    return config, policy.eval(), facts
