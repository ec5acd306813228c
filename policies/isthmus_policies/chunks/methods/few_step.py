"""A student that does in one or two evaluations what its teacher does in many.

The network's answer v at noise level s makes of a chunk x the actions x - s v, as a flow's velocity would if the way
were straight: so a student of the flow's own size begins with the teacher's weights. Three ways to learn:

levels: the flow's own loss on the data, at no other noise levels than the student is asked at. One network for all
levels spends itself on those that two evaluations never meet.
regression: from noise to the chunk that the teacher makes of it (Liu et al. 2023, "Flow Straight and Fast": reflow and
distillation); from that chunk and other noise to it again, which is what a second evaluation asks for; and from a
demonstrated chunk and a little noise to what the teacher makes of that, which is what a warm start asks for.
consistency: all points of one of the teacher's ways lead to the same chunk (Song et al. 2023, "Consistency Models");
the teacher, which has to be a flow, is asked once a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from isthmus_policies.chunks.chunk_policy import ChunkPolicy, ChunkPolicyEntry, Tensors
from isthmus_policies.chunks.methods.denoising import DenoisingPolicy, Network, gaussian, positive, times, uniform
from isthmus_policies.chunks.methods.flow import NEAR, SECOND, Flow

Way = Literal["levels", "regression", "consistency"]


@dataclass(frozen=True, kw_only=True)
class FewStepConfig:
    """Settings."""

    teacher: Path | None = None
    """Run of the teacher, or one of its policies. Needed to learn, not to act."""
    way: Way = "levels"
    steps: int = 2
    """Evaluations of the network for a chunk: 1 or 2."""
    middle: float = SECOND
    """Noise level of the second evaluation."""
    near: float = NEAR
    """Noise level of a chunk to begin near to."""
    jump: float = 0.1
    """consistency: how far apart two points of a way are, in noise levels."""
    jitter: float = 0.1
    """regression, consistency: how far numbers that are observed are moved, standard deviation of their scaled values,
    at most. A teacher answers anywhere; asked only where people were, a student learns its answers there by heart."""

    def __post_init__(self) -> None:
        positive(self.steps, 1, 2)
        if not all(0.0 < level < 1.0 for level in (self.middle, self.near, self.jump)):
            raise ValueError(f"middle, near and jump are noise levels between 0 and 1: {self}")
        if not 0.0 <= self.jitter < math.inf:
            raise ValueError(f"jitter is 0 or more, not {self.jitter}")


class FewStep(DenoisingPolicy[FewStepConfig]):
    """One evaluation, or two with noise put back between them."""

    draws = 2

    def learn_from(self, teacher: ChunkPolicy) -> None:
        """Take a teacher, and its weights where they fit.

        Raises:
            ValueError: it reads, gives or scales something else, draws nothing, is no flow where one is needed, or
                corrects its actions.
        """
        if teacher.plans_every_tick:
            raise ValueError(
                "the teacher corrects its actions from tick to tick, which a chunk of noise alone cannot show: distill "
                "what it was fine-tuned from, or record it with isthmus-roll-out and train on that"
            )
        if teacher.spec != self.spec:
            raise ValueError(f"the teacher reads and gives {teacher.spec}, the student {self.spec}")
        scaling = zip(self.normalizer.state_dict().values(), teacher.normalizer.state_dict().values(), strict=True)
        if not all(torch.allclose(mine, its) for mine, its in scaling):
            raise ValueError("the teacher was trained on other data: its scaling is not the student's")
        if self.config.way != "regression" and not isinstance(teacher, Flow):
            needs = f"{self.config.way} needs a flow for a teacher, not {type(teacher).__name__}"
            raise ValueError(f"{needs}: take --method.way regression")
        if teacher.draws == 0:
            raise ValueError(f"{type(teacher).__name__} draws nothing and has one or two evaluations already")
        self._teacher = (teacher.eval().requires_grad_(False),)  # in a tuple: it is no part of this module
        own, its = self.state_dict(), teacher.state_dict()
        if own.keys() <= its.keys() and all(own[name].shape == its[name].shape for name in own):
            self.load_state_dict({name: its[name] for name in own})  # it may steer its noise, too

    def loss(self, batch: Tensors, generator: torch.Generator) -> Tensor:
        if not hasattr(self, "_teacher"):
            raise ValueError("a few-step policy learns from a teacher: --method.teacher RUN")
        (teacher,) = self._teacher
        if self.config.way != "levels":  # the data say what to do there, and nowhere else
            batch = self._moved(batch, generator)
        goal = {name: batch[f"goal.{name}"] for name in self.spec.goal} or None
        condition = self.embed(batch, goal)

        def network(chunk: Tensor, time: Tensor) -> Tensor:
            return self.denoiser(chunk, time, condition)

        if self.config.way == "levels":
            return self._levels(network, batch, generator)
        if self.config.way == "regression":
            return self._regression(network, teacher, batch, goal, generator)
        assert isinstance(teacher, Flow)
        return self._consistency(network, teacher, batch, goal, generator)

    def _moved(self, batch: Tensors, generator: torch.Generator) -> Tensors:
        """Observed numbers elsewhere, all rows of an observation by the same."""
        moved = dict(batch)
        for name in self.spec.columns:
            value = self.normalizer.normalize(name, batch[name])
            far = self.config.jitter * uniform(value, generator).view(-1, *[1] * (value.ndim - 1))
            by = torch.randn(value[:, :1].shape, generator=generator, device=value.device)
            moved[name] = self.normalizer.unnormalize(name, value + far * by)
        return moved

    def _levels(self, network: Network, batch: Tensors, generator: torch.Generator) -> Tensor:
        actions = self.normalizer.normalize(self.spec.action, batch[self.spec.action])
        noise, level = gaussian(actions, generator), self._asked(len(actions), actions.device)
        point = torch.lerp(actions, noise, level[:, None, None])
        return (network(point, level) - (noise - actions)).square().mean()

    def _asked(self, rows: int, device: torch.device) -> Tensor:
        """(rows,) noise levels that the student will be asked at: of noise, a second time, and of a warm start."""
        again, near = rows // 2, rows - rows // 4
        level = torch.ones(rows, device=device)
        level[again:near], level[near:] = self.config.middle, self.config.near
        return level

    def _regression(
        self, network: Network, teacher: ChunkPolicy, batch: Tensors, goal: Tensors | None, generator: torch.Generator
    ) -> Tensor:
        drawn = teacher.noise(batch[self.spec.action].shape[0], generator)
        rows = len(drawn)
        again, near = rows // 2, rows - rows // 4  # from these rows on: as a second evaluation, as a warm start
        shown = self._shown(teacher, batch, goal, drawn, near)
        noise, level = drawn[:, 0].clone(), self._asked(rows, drawn.device)
        # Before a second evaluation there is other noise than that of which the chunk was made.
        noise[again:near] = gaussian(noise[again:near], generator)
        end = torch.cat((shown[:near], self.normalizer.normalize(self.spec.action, batch[self.spec.action][near:])))
        point = torch.lerp(end, noise, level[:, None, None])
        return (_actions(network, point, level) - shown).square().mean()

    @torch.no_grad()
    def _shown(self, teacher: ChunkPolicy, batch: Tensors, goal: Tensors | None, noise: Tensor, near: int) -> Tensor:
        """Scaled chunks (n, horizon, action_size) that the teacher makes of noise, and, from row `near` on, of noise
        near to the demonstrated chunk."""

        def made(rows: slice, init: Tensor | None) -> Tensor:
            seen = {name: batch[name][rows] for name in (*self.spec.columns, *self.spec.cameras)}
            told = {name: value[rows] for name, value in goal.items()} if goal else None
            return teacher.sample(seen, noise=noise[rows], init=init, goal=told)

        chunks = (made(slice(near), None), made(slice(near, None), batch[self.spec.action][near:]))
        return self.normalizer.normalize(self.spec.action, torch.cat(chunks))

    def _consistency(
        self, network: Network, teacher: Flow, batch: Tensors, goal: Tensors | None, generator: torch.Generator
    ) -> Tensor:
        actions = self.normalizer.normalize(self.spec.action, batch[self.spec.action])
        level = uniform(actions, generator)
        before = (level - self.config.jump).clamp(min=0.0)
        noise = gaussian(actions, generator)
        point = torch.lerp(actions, noise, level[:, None, None])
        with torch.no_grad():
            velocity = teacher.denoiser(point, level, teacher.embed(batch, goal))
            further = point + (before - level)[:, None, None] * velocity
            wanted = _actions(network, further, before)
        return (_actions(network, point, level) - wanted).square().mean()

    def denoised(self, network: Network, noise: Tensor, begin: Tensor | None, steps: int | None) -> Tensor:
        count = positive(steps, self.config.steps if begin is None else 1, 2)
        level = 1.0 if begin is None else self.config.near
        point = noise[:, 0] if begin is None else torch.lerp(begin, noise[:, 0], level)
        chunk = _actions(network, point, times(point, level))
        if count == 1:
            return chunk
        middle = min(self.config.middle, level)
        point = torch.lerp(chunk, noise[:, 1], middle)
        return _actions(network, point, times(point, middle))


def _actions(network: Network, point: Tensor, level: Tensor) -> Tensor:
    """Scaled actions that a point (n, horizon, action_size) at a noise level (n,) leads to."""
    return point - level[:, None, None] * network(point, level)


FEW_STEP = ChunkPolicyEntry(config=FewStepConfig(), make=FewStep)
