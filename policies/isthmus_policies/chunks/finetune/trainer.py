"""A fine-tuning run: worlds, policy, critic and learner, iteration by iteration, resumable bit for bit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.finetune.collector import Collector
from isthmus_policies.chunks.finetune.config import RESUMABLE, FinetuneConfig
from isthmus_policies.chunks.finetune.critic import Critic
from isthmus_policies.chunks.finetune.explorer import ActionExplorer, CorrectionExplorer, Explorer, NoiseExplorer
from isthmus_policies.chunks.finetune.learner import COLUMNS, Learner
from isthmus_policies.chunks.finetune.starts import shown_starts
from isthmus_policies.chunks.runner import Execution, executor_of
from isthmus_policies.chunks.training.roll_outs import judged
from isthmus_policies.chunks.training.run import (
    CORRECTION,
    POLICY,
    STEERING,
    load_chunk_run,
    newest_policy,
    policy_file,
    policy_files,
    task_of_run,
)
from isthmus_policies.chunks.training.trainer import NotANumber
from isthmus_policies.evaluation.evaluate import Evaluation
from isthmus_policies.files import code_revision, from_json, plain
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.state_dicts import joined, part
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import WAITING, one_torch_thread, torch_threads
from isthmus_sim.waiting import OtherPrograms

FORMAT = "isthmus.finetune.1"


class Finetuner:
    """Holds a run's state. `iterate` collects experience and learns from it; `save` and `resume` keep all of it.

    Raises:
        ValueError: the policy cannot be fine-tuned, or does not fit the task, or the task has no goal.
        CheckpointError, FileNotFoundError: there is no policy.
        DatasetError: episodes shall begin in demonstrations, and these are not there.
    """

    def __init__(self, config: FinetuneConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        file = newest_policy(config.policy) if config.policy.is_dir() else config.policy
        self._begun_with = load_chunk_run(file)
        self.policy = self._begun_with.policy
        self.task = task_of_run(self._begun_with, config.task)
        task = make_task(self.task)
        if not task.has_goal:
            raise ValueError(f"the task {self.task!r} has no goal, so nothing tells success; choose another --task")
        self._explorer = _explorer(self.policy, config)
        self.executor = executor_of(self.policy, config.execute)
        self._critic = Critic(task)
        self._generator = torch.Generator().manual_seed(config.seed)
        engine = make_engine(task.scene, config.worlds, task.engines[0])
        shown = shown_starts(self._begun_with, task, config.shown)
        env = Env(task, engine, config.seed, random_initial_age=True, training=True, starts=shown)
        self._collector = Collector(env, self._explorer, self._critic, config.ppo, self._generator)
        self._learner = Learner(self._explorer, self._critic, config.ppo, self._generator)
        self.columns = ("iteration", "steps", "seconds", *_EPISODE, *COLUMNS)
        self._others = OtherPrograms()
        self.iteration, self.steps, self.seconds = 0, 0, 0.0

    def close(self) -> None:
        """Release the worlds."""
        self._collector.env.close()

    def iterate(self) -> dict[str, float]:
        """Collect and learn once; what to log, as `columns`. Raises NotANumber."""
        WAITING.suit(self._others.cores())
        begun = time.perf_counter()
        with one_torch_thread():
            experience, statistics = self._collector.collect(self.config.decisions)
        with torch_threads(self.config.torch_threads):
            alone = self.iteration < self.config.ppo.critic_alone
            learned = self._learner.update(experience, critic_alone=alone)
        if not all(map(torch.isfinite, map(torch.tensor, learned.values()))):
            raise NotANumber(
                f"iteration {self.iteration} has lost its numbers ({learned}): a smaller --ppo.rate may help; the last "
                "checkpoint is from before"
            )
        self.seconds += time.perf_counter() - begun
        self.steps += statistics.steps
        summary = statistics.summary()
        row = {"iteration": float(self.iteration), "steps": float(self.steps), "seconds": self.seconds}
        self.iteration += 1
        return row | {name: summary[name] for name in _EPISODE if name in summary} | learned

    def judge(self) -> Evaluation:
        """How good the policy is without exploration."""
        config = self.config
        execution = Execution(executor=self.executor, seed=config.judge_seed)
        return judged(self.policy, self.task, config.episodes, config.judge_seed, execution)

    def save(self, folder: Path) -> None:
        """Write the checkpoint of run `folder`, and the policy as one of the last `keep`."""
        run = self._begun_with
        policy_file(folder, self.iteration).parent.mkdir(parents=True, exist_ok=True)
        facts = run.facts | {
            "steps": self.iteration,
            "seconds": self.seconds,
            "code_revision": code_revision(),
            "finetune": plain(self.config),
            "task": self.task,
        }
        if kept := {"noise": STEERING, "correction": CORRECTION}.get(self.config.ppo.way):
            facts.setdefault(kept, self.config.ppo.width)  # a network that is there already stays as wide as it is
        save_checkpoint(policy_file(folder, self.iteration), dict(self.policy.state_dict()), facts, kind=POLICY)
        facts = {name: facts[name] for name in ("finetune", "code_revision", "seconds")}
        facts |= {"iteration": self.iteration, "env_steps": self.steps, "rate": self._learner.rate}
        save_checkpoint(folder / CHECKPOINT, joined(**self._state()), facts, kind=FORMAT)
        for old in policy_files(folder)[: -self.config.keep]:
            old.unlink()

    def _state(self) -> dict[str, dict[str, Tensor]]:
        return {
            "explorer": dict(self._explorer.state_dict()),
            "critic": dict(self._critic.state_dict()),
            "learner": self._learner.tensors(),
            "collector": self._collector.state_dict(),
            "random": {"generator": self._generator.get_state()},
        }

    @classmethod
    def resume(cls, folder: Path, changes: FinetuneConfig | None = None) -> Finetuner:
        """The run in `folder` as at its last checkpoint.

        Raises:
            ValueError: an option would change that may not.
            CheckpointError, FileNotFoundError: there is nothing to go on from.
        """
        config = changes or stored_config(folder)
        _require_resumable(stored_config(folder), config)
        tensors, facts = load_checkpoint(folder / CHECKPOINT, kind=FORMAT)
        tuner = cls(config)
        tuner._explorer.load_state_dict(part(tensors, "explorer"))
        tuner._critic.load_state_dict(part(tensors, "critic"))
        tuner._learner.load(part(tensors, "learner"), facts["rate"])
        tuner._collector.load_state_dict(part(tensors, "collector"))
        tuner._generator.set_state(tensors["random.generator"])
        tuner.iteration, tuner.steps, tuner.seconds = facts["iteration"], facts["env_steps"], facts["seconds"]
        return tuner


_EPISODE = ("episode/succeeded", "episode/length")


def _explorer(policy: ChunkPolicy, config: FinetuneConfig) -> Explorer:
    ppo = config.ppo
    if ppo.way == "correction":
        if config.execute not in (None, 1):
            raise ValueError(f"a correction is of one action, and {config.execute} shall be done: leave out --execute")
        return CorrectionExplorer(policy, ppo.width, ppo.deviation)
    if policy.plans_every_tick:
        raise ValueError(f"the policy's actions are corrected: it goes on by --ppo.way correction, not {ppo.way}")
    execute = executor_of(policy, config.execute).execute
    if ppo.way == "noise":
        return NoiseExplorer(policy, execute, ppo.width)
    return ActionExplorer(policy, execute, ppo.cosines, ppo.deviation)


def stored_config(folder: Path) -> FinetuneConfig:
    """The configuration of the run in `folder`. Raises CheckpointError, FileNotFoundError and ValueError."""
    _, facts = load_checkpoint(folder / CHECKPOINT, kind=FORMAT)
    return from_json(FinetuneConfig, facts["finetune"])


def _require_resumable(before: FinetuneConfig, after: FinetuneConfig) -> None:
    old: dict[str, Any] = plain(before)
    new: dict[str, Any] = plain(after)
    changed = [name for name in old if old[name] != new[name] and name not in RESUMABLE]
    if changed:
        raise ValueError(
            f"a run goes on as it was begun: it cannot change {', '.join(changed)}; "
            f"it can change: {', '.join(RESUMABLE)}"
        )
