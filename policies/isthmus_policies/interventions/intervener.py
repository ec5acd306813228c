"""Somebody who watches a learner in many worlds, takes over after an action that they mind, and lets go some steps
later."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from isthmus_policies.algorithms.sac.meaning import differences, meaning
from isthmus_policies.demonstrate.demonstration import find_demonstration
from isthmus_policies.interventions.config import InterventionsConfig
from isthmus_policies.interventions.rules import Anything, Rule, Trouble, ValueGap
from isthmus_policies.networks.policy import Policy, Tensors, require_groups
from isthmus_policies.networks.squashed import SquashedActorCritic
from isthmus_policies.training.run import Run, load_run
from isthmus_sim.task import Task


class Intervener:
    """Who drives which of N worlds. Before a control step `act` says what is done, and after it `watch` is told.

    A person is late by a step: an action is done, seen, and minded, and from the next step on the teacher drives. So
    what the learner is blamed for is what it has done.
    """

    def __init__(
        self, teacher: Policy, rule: Rule, config: InterventionsConfig, num_envs: int, generator: torch.Generator
    ) -> None:
        """generator: Of where it takes over."""
        self._teacher, self._rule, self._config, self._generator = teacher, rule, config, generator
        self.groups = tuple(dict.fromkeys((*teacher.groups, *rule.groups)))
        """Observation groups that it reads."""
        self.left = torch.zeros(num_envs, dtype=torch.long, device=generator.device)
        """Control steps that it will drive each world before it lets go, (N,)."""
        self.driven = torch.zeros_like(self.left)
        """Control steps that it has driven each world without a break, the last one among them, (N,)."""

    @property
    def driving(self) -> Tensor:
        """(N,) bool: where it drives in the next step."""
        return self.left > 0

    @torch.no_grad()
    def act(self, observations: Tensors, proposed: Tensor) -> Tensor:
        """What is done upon the observations (N, *shape): what the learner proposes (N, k), or the teacher does."""
        taught, _ = self._teacher.act(observations, {}, {})
        return torch.where(self.driving.unsqueeze(-1), taught, proposed)

    @torch.no_grad()
    def watch(self, observations: Tensors, action: Tensor, ended: Tensor, transitions: int) -> Tensor:
        """A control step was done upon the observations, after so many transitions; `ended` (N,) bool says where an
        episode ended with it. Returns where it takes over upon that, (N,) bool: it drives from the next step on."""
        driving = self.driving
        takes_over = self._rule.objects(observations, action) & self._drawn(transitions) & ~driving & ~ended
        self.driven = torch.where(driving, self.driven + 1, 0)
        self.left = torch.where(driving & ~ended, self.left - 1, 0)
        self.left[takes_over] = self._config.duration
        return takes_over

    def _drawn(self, transitions: int) -> Tensor:
        """(N,) bool: where it takes over if it minds."""
        fades = self._config.fades_after
        left = 1.0 if fades is None else 1.0 - transitions / fades
        drawn = torch.rand(len(self.left), generator=self._generator, device=self.left.device)
        return drawn < self._config.probability * left

    @property
    def let_go(self) -> Tensor:
        """(N,) bool: where it has driven up to the last step, and drives no more."""
        return (self.driven > 0) & ~self.driving

    def begin(self) -> None:
        """All worlds begin anew: the learner drives."""
        self.left.zero_()
        self.driven.zero_()

    def state_dict(self) -> Tensors:
        return {"left": self.left, "driven": self.driven}

    def load_state_dict(self, state: Tensors) -> None:
        self.left, self.driven = (state[name].to(self.left.device) for name in ("left", "driven"))


def make_intervener(
    config: InterventionsConfig, task: Task, num_envs: int, generator: torch.Generator
) -> Intervener | None:
    """As configured; None where nobody takes over. Raises ValueError for a run of another task, or whose policy cannot
    do what it is to do, and OSError where there is none."""
    if config.teacher is None:
        return None
    teacher = _teacher(config.teacher, task).to(generator.device)
    if teacher.memory or teacher.noise:
        raise ValueError(
            f"{config.teacher}: its policy remembers or draws ({', '.join((*teacher.memory, *teacher.noise))}); one "
            "that takes over in the middle of an episode must do neither"
        )
    if config.when == "random":
        return Intervener(teacher, Anything(), config, num_envs, generator)
    if config.when == "trouble":
        require_groups(Trouble.groups, task.groups)
        return Intervener(teacher, Trouble(), config, num_envs, generator)
    where = config.judge or config.teacher
    if not isinstance(where, Path):
        raise ValueError(
            "a script has no values of actions to judge by: name a run of --algorithm sac as interventions.judge, or "
            "take over at random or in trouble (interventions.when)"
        )
    judge = _run(where, task).policy.to(generator.device)
    if not isinstance(judge, SquashedActorCritic):
        raise ValueError(
            f"{where}: its policy is a {type(judge).__name__}, which has no values of actions to judge by: name a run "
            "of --algorithm sac as interventions.judge, or take over at random"
        )
    return Intervener(teacher, ValueGap(judge, config.margin), config, num_envs, generator)


def _teacher(who: Path | Literal["script"], task: Task) -> Policy:
    """Raises ValueError for a run of another task, and for a task without a script."""
    if isinstance(who, Path):
        return _run(who, task).policy
    script = find_demonstration(task.name, "policy").policy
    assert script is not None
    return script(task)


def _run(folder: Path, task: Task) -> Run:
    """Raises ValueError for a run of another task or action scale."""
    run = load_run(folder)
    if wrong := list(differences(meaning(run.task), meaning(task))):
        raise ValueError(f"{folder} was trained on another task than is learned here: {'; '.join(wrong)}")
    return run
