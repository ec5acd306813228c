"""A scorer's training run: data, networks and optimiser, step by step. It takes minutes, so it cannot be resumed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus_datasets.training.normalizer import Mode, Normalizer
from isthmus_datasets.training.sampler import WindowSampler
from isthmus_policies.chunks.steering.iql import IqlScorer
from isthmus_policies.chunks.steering.training.config import ScorerConfig
from isthmus_policies.chunks.steering.training.labelled import LabelledChunks
from isthmus_policies.chunks.steering.training.run import FILE, SCORER
from isthmus_policies.chunks.training.data import make_spec, open_datasets
from isthmus_policies.chunks.training.trainer import NotANumber
from isthmus_policies.files import code_revision, plain
from isthmus_policies.training.checkpoint import save_checkpoint
from isthmus_sim.threads import torch_threads


class ScorerTrainer:
    """Holds a run's state. `step` learns from one batch; `save` writes the scorer.

    Raises:
        DatasetError, ValueError: the datasets do not have what the configuration asks for.
    """

    def __init__(self, config: ScorerConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        readers = open_datasets(config)
        self.spec = make_spec(config, readers)
        self.data = LabelledChunks(readers, self.spec, config.reward_steps, config.iql.discount)
        modes: dict[str, Mode] = dict.fromkeys((*self.spec.columns, self.spec.action), config.scaling)
        normalizer = Normalizer.fit(self.data.subsets, modes, constant=config.constant)
        self.scorer = IqlScorer(config.iql, self.spec, normalizer)
        self._optimizer = torch.optim.AdamW(
            [parameter for parameter in self.scorer.parameters() if parameter.requires_grad],
            lr=config.rate,
            weight_decay=config.weight_decay,
        )
        self._sampler = WindowSampler(self.data.windows, batch_size=config.batch_size, seed=config.seed)
        self._epoch: Iterator[NDArray[np.int64]] = iter(())
        self.steps, self.seconds = 0, 0.0

    def step(self) -> float:
        """Learn from one batch; its loss. Raises NotANumber."""
        begun = time.perf_counter()
        items = self._next()
        batch = self.data.transitions(items[:, 0], self.data.windows.__getitems__(items))
        with torch_threads(self.config.torch_threads):
            loss = self.scorer.loss(batch)
            if not torch.isfinite(loss):
                raise NotANumber(f"the loss is {float(loss)} in step {self.steps}: a smaller --rate may help")
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self.scorer.follow()
        self.steps += 1
        self.seconds += time.perf_counter() - begun
        return float(loss.detach())

    def _next(self) -> NDArray[np.int64]:
        items = next(self._epoch, None)
        if items is None:
            self._epoch = iter(self._sampler)
            items = next(self._epoch)
        return items

    def save(self, folder: Path) -> None:
        """Write the scorer into the run's folder, which is made. Raises OSError."""
        facts = {
            "config": plain(self.config),
            "spec": plain(self.spec),
            "steps": self.steps,
            "seconds": self.seconds,
            "code_revision": code_revision(),
            "windows": self.data.windows.fingerprint(len(self.data.windows)),
            "threads": torch.get_num_threads(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(folder / FILE, dict(self.scorer.state_dict()), facts, kind=SCORER)
