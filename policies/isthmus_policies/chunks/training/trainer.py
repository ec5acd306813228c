"""A chunk policy's training run: data, policy, optimiser and averaged weights, step by step, resumable bit for bit."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor

from isthmus_datasets.training.dataset import Batch
from isthmus_datasets.training.prefetch import Prefetch
from isthmus_datasets.training.sampler import WindowSampler
from isthmus_policies.algorithms.optimizer import load_optimizer, optimizer_tensors
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.methods.few_step import FewStep
from isthmus_policies.chunks.training.config import RESUMABLE, AnyConfig, config_from_json
from isthmus_policies.chunks.training.data import episode_weights, fit_normalizer, make_data, make_spec, open_datasets
from isthmus_policies.chunks.training.mirror import Mirror
from isthmus_policies.chunks.training.run import (
    POLICY,
    load_chunk_run,
    make_policy,
    policy_file,
    policy_files,
    spec_from_json,
)
from isthmus_policies.files import code_revision, plain
from isthmus_policies.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from isthmus_sim.state_dicts import joined, part
from isthmus_sim.threads import WAITING, torch_threads
from isthmus_sim.waiting import OtherPrograms

_VALIDATION_BATCHES = 8


class NotANumber(RuntimeError):  # noqa: N818
    """The loss is not a number: the run cannot go on. The last checkpoint is from before."""


class ChunkTrainer:
    """Holds a run's state. `step` learns from one batch; `save` and `resume` keep all of it.

    Raises:
        DatasetError, ValueError: the datasets do not have what the configuration asks for.
    """

    def __init__(self, config: AnyConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        readers = open_datasets(config)
        self.spec = make_spec(config, readers)
        self._mirror = Mirror.parsed(config.mirror, self.spec)
        self.data = make_data(config, self.spec, readers)
        self.policy = make_policy(config, self.spec, fit_normalizer(config, self.spec, readers))
        if isinstance(self.policy, FewStep):
            self.policy.learn_from(_teacher(config))
        learning = config.learning
        self._parameters = [parameter for parameter in self.policy.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=learning.rate, betas=learning.betas, weight_decay=learning.weight_decay
        )
        self._schedule = get_scheduler(
            "cosine", self._optimizer, num_warmup_steps=learning.warmup, num_training_steps=learning.steps
        )
        self._average = EMAModel(
            self._parameters, decay=learning.average, use_ema_warmup=True, power=0.75, foreach=True
        )
        self._sampler = WindowSampler(
            self.data.training, batch_size=learning.batch_size, seed=config.seed,
            weights=episode_weights(config, readers),
        )  # fmt: skip
        self._batches = Prefetch(self.data.training, self._sampler, threads=1 if self.spec.cameras else 0)
        self._epoch: Iterator[Batch] = iter(())
        self._generator = torch.Generator().manual_seed(config.seed)
        self._others = OtherPrograms()
        self.steps, self.seconds = 0, 0.0

    def begin_with(self, run: Path) -> None:
        """Take the weights and the scaling of another run's policy, or of one of its files, before the first step.

        Raises:
            ValueError: it reads or gives something else, or is another method or network.
            CheckpointError, FileNotFoundError: it cannot be read.
        """
        other = load_chunk_run(run).policy
        if other.spec != self.spec:
            raise ValueError(f"{run} reads and gives {other.spec}, this run {self.spec}")
        own, its = self.policy.state_dict(), other.state_dict()
        alike = {name: value.shape for name, value in own.items()} == {name: value.shape for name, value in its.items()}
        if type(other) is not type(self.policy) or not alike:
            raise ValueError(f"{run} is another method or network: begin with its own --method, --denoiser and sizes")
        self.policy.load_state_dict(its)
        self._average.shadow_params = [parameter.detach().clone() for parameter in self._parameters]

    def step(self) -> float:
        """Learn from one batch; its loss. Raises NotANumber."""
        begun = time.perf_counter()
        batch = self._mirror.half_mirrored(self._next(), self._generator)
        with torch_threads(self.config.torch_threads):
            loss = self.policy.loss(batch, self._generator)
            value = float(loss.detach())
            if not torch.isfinite(loss):
                raise NotANumber(
                    f"the loss is {value} in step {self.steps}: a smaller learning.rate may help; the last checkpoint "
                    "is from before"
                )
            self._optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._parameters, self.config.learning.clip)
            self._optimizer.step()
            self._schedule.step()
            self._average.step(self._parameters)
        self.steps += 1
        self.seconds += time.perf_counter() - begun
        return value

    def suit_threads(self) -> None:
        """Let threads wait as it suits what else the machine has done since the last call."""
        WAITING.suit(self._others.cores())

    def _next(self) -> Batch:
        batch = next(self._epoch, None)
        if batch is None:
            self._epoch = iter(self._batches)
            batch = next(self._epoch)
        return batch

    @torch.no_grad()
    def validate(self) -> float:
        """The loss of the averaged policy on episodes that it does not learn from, with the same noise each time."""
        generator = torch.Generator().manual_seed(self.config.seed)
        batch_size = min(self.config.learning.batch_size, len(self.data.validation))
        sampler = WindowSampler(self.data.validation, batch_size=batch_size, seed=self.config.seed)
        batches = itertools.islice(Prefetch(self.data.validation, sampler, threads=0), _VALIDATION_BATCHES)
        with self.averaged(), torch_threads(self.config.torch_threads):
            losses = [float(self.policy.loss(batch, generator)) for batch in batches]
        return sum(losses) / len(losses)

    def averaged(self) -> _Averaged:
        """Meanwhile, the policy has the averaged weights."""
        return _Averaged(self._average, self._parameters)

    def save(self, folder: Path) -> None:
        """Write the checkpoint of run `folder`, and the averaged policy as one of the last `keep`."""
        state = {
            "policy": self.policy.state_dict(),
            "optimizer": optimizer_tensors(self._optimizer),
            "average": {str(i): value for i, value in enumerate(self._average.shadow_params)},
            "random": {"generator": self._generator.get_state()},
        }
        policy_file(folder, self.steps).parent.mkdir(parents=True, exist_ok=True)
        with self.averaged():
            save_checkpoint(policy_file(folder, self.steps), dict(self.policy.state_dict()), self._facts(), kind=POLICY)
        save_checkpoint(folder / CHECKPOINT, joined(**state), self._facts() | {"batches": self._batches.state_dict()})
        for old in policy_files(folder)[: -self.config.keep]:
            old.unlink()

    def _facts(self) -> dict[str, Any]:
        return {
            "config": plain(self.config),
            "spec": plain(self.spec),
            "steps": self.steps,
            "seconds": self.seconds,
            "code_revision": code_revision(),
            "windows": self.data.training.fingerprint(len(self.data.training)),
            "threads": torch.get_num_threads(),
        }

    @classmethod
    def resume(cls, folder: Path, config: AnyConfig | None = None) -> ChunkTrainer:
        """The run in `folder` as at its last checkpoint.

        Raises:
            ValueError: an option would change that may not, or the datasets are not what they were.
            CheckpointError, FileNotFoundError: there is nothing to go on from.
        """
        tensors, facts = load_checkpoint(folder / CHECKPOINT)
        stored = config_from_json(facts["config"])
        if config is not None:
            _require_resumable(stored, config)
        trainer = cls(config or stored)
        trainer._load(tensors, facts, folder)
        return trainer

    def _load(self, tensors: dict[str, Tensor], facts: dict[str, Any], folder: Path) -> None:
        windows = self.data.training.fingerprint(len(self.data.training))
        if facts["windows"] != windows or spec_from_json(facts["spec"]) != self.spec:
            raise ValueError(
                f"{folder} was trained on other windows ({facts['windows']}, now {windows}): a dataset has changed; "
                "begin another run"
            )
        self.policy.load_state_dict(part(tensors, "policy"))
        load_optimizer(self._optimizer, part(tensors, "optimizer"))
        average = part(tensors, "average")
        self._average.shadow_params = [average[str(i)] for i in range(len(average))]
        self._average.optimization_step = self.steps = facts["steps"]
        self._generator.set_state(tensors["random.generator"])
        self._batches.load_state_dict(facts["batches"])
        self.seconds = facts["seconds"]
        self._go_to(self.steps)

    def _go_to(self, steps: int) -> None:
        """Set the learning rate as after so many steps."""
        state = self._schedule.state_dict()
        state |= {"last_epoch": steps, "_step_count": steps + 1}
        self._schedule.load_state_dict(state)
        for group, base, factor in zip(
            self._optimizer.param_groups, self._schedule.base_lrs, self._schedule.lr_lambdas, strict=True
        ):
            group["lr"] = base * factor(steps)


class _Averaged:
    """Swaps weights while it is entered."""

    def __init__(self, average: EMAModel, parameters: list[torch.nn.Parameter]) -> None:
        self._average, self._parameters = average, parameters

    def __enter__(self) -> None:
        self._average.store(self._parameters)
        self._average.copy_to(self._parameters)

    def __exit__(self, *_: object) -> None:
        self._average.restore(self._parameters)


def _teacher(config: AnyConfig) -> ChunkPolicy:
    """Raises ValueError where the student has none, CheckpointError and FileNotFoundError where it cannot be read."""
    if config.method.teacher is None:
        raise ValueError("a few-step policy learns from a teacher: --method.teacher RUN")
    return load_chunk_run(config.method.teacher).policy


def _require_resumable(before: AnyConfig, after: AnyConfig) -> None:
    old, new = plain(before), plain(after)
    changed = [name for name in old if old[name] != new[name] and name not in RESUMABLE]
    if changed:
        raise ValueError(
            f"a run goes on as it was begun: it cannot change {', '.join(changed)}; "
            f"it can change: {', '.join(RESUMABLE)}"
        )
