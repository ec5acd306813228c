"""A training run: task, engine, policy and algorithm put together, iteration by iteration, resumable bit for bit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isthmus_policies import distributed
from isthmus_policies.algorithms import episodes
from isthmus_policies.algorithms.algorithm import find_algorithm
from isthmus_policies.export.contract import check_contract
from isthmus_policies.files import code_revision, plain
from isthmus_policies.networks.policy import make_policy
from isthmus_policies.starts.making import make_levels, make_starts
from isthmus_policies.training.checkpoint import CHECKPOINT, CheckpointError, load_checkpoint, save_checkpoint
from isthmus_policies.training.config import TrainConfig, config_from_json, require_resumable, require_storable
from isthmus_policies.training.diverged import FOLDER, DivergedError, dump
from isthmus_policies.training.ram_budget import refuse_too_many_worlds
from isthmus_policies.training.run import load_weights
from isthmus_policies.training.worlds import engine_name, make_engine, make_task, require_same_robot, robot_digest
from isthmus_sim.env import Divergence, Env
from isthmus_sim.state_dicts import joined, part
from isthmus_sim.threads import WAITING, one_torch_thread, torch_threads
from isthmus_sim.waiting import OtherPrograms


class Trainer:
    """Holds a run's state. `iterate` collects experience and improves the policy once; `save` and `resume` keep all of
    it. Of several processes (`distributed`), each holds its own worlds, and all do the same in the same order."""

    def __init__(self, config: TrainConfig[Any, Any, Any]) -> None:
        """Raises ValueError for a configuration that cannot be trained, before anything large is made."""
        torch.manual_seed(config.seed)
        self.config = config
        self.task = make_task(config)
        groups, action_size = self.task.groups, self.task.action_size
        self.policy = make_policy(config.policy_name, config.policy, groups, action_size)
        check_contract(self.task, self.policy)
        entry = find_algorithm(config.algorithm_name, config.algorithm)
        require_storable(config)
        num_envs = distributed.share(config.num_envs)
        world_bytes = entry.world_bytes(self.policy, groups, action_size, config.algorithm)
        refuse_too_many_worlds(config.name, num_envs, world_bytes)
        levels = make_levels(config.levels, self.task)
        engine = make_engine(config, self.task, num_envs)
        starts = make_starts(config.starts, self.task, engine, engine_name(config, self.task))
        seed = distributed.own_seed(config.seed)
        self.env = Env(
            self.task, engine, seed,
            random_initial_age=True, training=True, episode_steps=config.episode_steps, keep_divergences=True,
            starts=starts, levels=levels,
        )  # fmt: skip
        self.policy.to(self.env.device)
        generator = torch.Generator(self.env.device).manual_seed(seed + 1)
        self.algorithm = entry.make(self.env, self.policy, config.algorithm, generator)
        self.diverged = 0
        self.divergences: list[Divergence] = []
        self.iteration = 0
        self.steps = 0
        self.seconds = 0.0
        self._others = OtherPrograms()

    def close(self) -> None:
        """Release the worlds."""
        self.env.close()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what `iterate` returns."""
        terms = tuple(f"reward/{name}" for name in self.env.reward_terms)
        run = ("iteration", "steps", "seconds", "progress")
        return (*run, *episodes.COLUMNS, "episode/diverged", *terms, *self.algorithm.columns)

    @property
    def keeps_worlds(self) -> bool:
        """Whether a checkpoint has the worlds too. Without, a run goes on with new episodes."""
        return "snapshots" in self.env.engine.capabilities

    def iterate(self) -> dict[str, float]:
        """Collect and improve once; what to log. Threads wait as it suits what else the machine did meanwhile."""
        WAITING.suit(self._others.cores())
        begun = time.perf_counter()
        ramp = self.config.curriculum_share * self.config.iterations
        self.env.progress = self.config.curriculum_end * min(1.0, self.iteration / max(1.0, ramp))
        with one_torch_thread():
            collected = self.algorithm.collect()
        self.diverged, self.divergences = collected.diverged, collected.divergences
        with torch_threads(self.config.torch_threads):
            learned = self.algorithm.update(self.iteration / self.config.iterations)
        self.seconds += time.perf_counter() - begun
        diverged, steps = distributed.total(collected.diverged, collected.steps)
        self.steps += int(steps)
        row = {"iteration": self.iteration, "progress": self.env.progress, "episode/diverged": int(diverged)}
        self.iteration += 1
        return row | {"steps": self.steps, "seconds": self.seconds} | collected.summary() | learned

    def dump_diverged(self, folder: Path) -> None:
        """Write the worlds that diverged in the last iteration to run `folder`, if the engine could keep them. Raises
        DivergedError for too many."""
        iteration, again = self.iteration - 1, ""
        if self.divergences:
            facts = self._facts() | {"iteration": iteration}
            first_world = distributed.rank() * self.env.num_envs
            path = dump(folder / FOLDER, self.divergences, facts, first_world)
            again = f"; step one again: python -m isthmus_policies.training.diverged {path}"
        if self.diverged > self.config.max_diverged_share * self.env.num_envs:
            raise DivergedError(
                f"{self.diverged} of {self.env.num_envs} worlds diverged in iteration {iteration}, more than the share "
                f"of {self.config.max_diverged_share:g} (max_diverged_share){again}"
            )

    def save(self, folder: Path) -> None:
        """Write the checkpoint of run `folder`; every process calls it.

        The first process's file is the checkpoint, renamed into place when those of the others are on disk, which are
        named by their iteration. So whenever the power fails, the files of one iteration are all there.
        """
        if distributed.leads():
            distributed.barrier()
            tensors = joined(policy=self.policy.state_dict(), **self._state())
            save_checkpoint(folder / CHECKPOINT, tensors, self._facts())
            distributed.barrier()
        else:
            path = self._save_worlds(folder)
            distributed.barrier()
            distributed.barrier()
            for old in folder.glob(_worlds_file(folder, distributed.rank(), "*").name):
                if old != path:
                    old.unlink()

    def _save_worlds(self, folder: Path) -> Path:
        """What only this process has; where it was written."""
        folder.mkdir(parents=True, exist_ok=True)
        path = _worlds_file(folder, distributed.rank(), self.iteration)
        save_checkpoint(path, joined(**self._state()), {"iteration": self.iteration})
        return path

    def _state(self) -> dict[str, dict[str, Tensor]]:
        worlds = {"env": self.env.state_dict()} if self.keeps_worlds else {}
        return {**worlds, "algorithm": self.algorithm.state_dict()}

    def _facts(self) -> dict[str, Any]:
        return {
            "config": plain(self.config),
            "iteration": self.iteration,
            "steps": self.steps,
            "seconds": self.seconds,
            "code_revision": code_revision(),
            "robot": robot_digest(self.task.robot),
            "processes": distributed.size(),
            "threads": learning_threads(self.config),
        }

    @classmethod
    def resume(cls, folder: Path, config: TrainConfig[Any, Any, Any] | None = None) -> Trainer:
        """The run in `folder` as at its last checkpoint; with equally many threads of torch it goes on bit for bit.

        Args:
            folder: The run's.
            config: With changes of `config.RESUMABLE`; by default none.

        Raises:
            ValueError: Another option would change.
            CheckpointError, FileNotFoundError: There is nothing to go on from.
        """
        tensors, facts = load_checkpoint(folder / CHECKPOINT)
        stored = config_from_json(facts["config"])
        if facts["processes"] != distributed.size():
            raise CheckpointError(
                f"{folder} was trained by {facts['processes']} processes, this is {distributed.size()}: "
                "start as many with torchrun"
            )
        if config is not None:
            require_resumable(stored, config)
        if config is not None and config.iterations < facts["iteration"]:
            raise ValueError(
                f"{folder} has done {facts['iteration']} iterations; it cannot be made to have {config.iterations}"
            )
        require_same_robot(make_task(stored).robot, facts, folder)
        trainer = cls(config or stored)
        load_weights(trainer.policy, tensors, facts)
        rank = distributed.rank()
        own = tensors if rank == 0 else load_checkpoint(_worlds_file(folder, rank, facts["iteration"]))[0]
        if trainer.keeps_worlds:
            trainer.env.load_state_dict(part(own, "env"))
        trainer.algorithm.load_state_dict(part(own, "algorithm"))
        trainer.iteration, trainer.steps, trainer.seconds = facts["iteration"], facts["steps"], facts["seconds"]
        return trainer


def learning_threads(config: TrainConfig[Any, Any, Any]) -> int:
    """Threads of torch's operations while the policy is improved."""
    return min(config.torch_threads, torch.get_num_threads())


def _worlds_file(folder: Path, rank: int, iteration: int | str) -> Path:
    """The worlds of another process than the first, as they were before `iteration`."""
    return folder / f"checkpoint-rank{rank}-{iteration}.safetensors"
