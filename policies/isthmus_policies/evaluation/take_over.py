"""A teacher that takes over from a student: how it goes on from where students come to (DAgger, Ross et al. 2011)."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_policies.chunks.runner import ChunkRunner
from isthmus_policies.evaluation.runners import NetworkRunner, PolicyRunner
from isthmus_sim.env import Env, Step


class TakeOver(PolicyRunner):
    """The student begins each episode, and at a random step the teacher takes over. The student's commands are held to
    what the teacher's actions can ask for, so that the teacher's memory is as if it had acted all along.

    A chunk is a plan, so what the teacher would do in a student's state is told by its going on from there; its actions
    in states that the student goes on to would make none.

    Args:
        teacher, student: They, at the start of their episodes.
        env: Whose worlds; its task has `action_of`.
        latest: Step of an episode before which the teacher takes over.
    """

    def __init__(self, teacher: NetworkRunner, student: ChunkRunner, env: Env, latest: int) -> None:
        self._teacher, self._student = teacher, student
        n, device = env.num_envs, env.device
        self.begins: Tensor = torch.randint(latest, (n,), generator=env.generator, device=device)
        self._done = torch.zeros(n, dtype=torch.long, device=device)

    def step(self, env: Env) -> Step:
        action = self._teacher.action(env)
        student = env.task.action_of(self._student.commands(env), env.signals, env.memory)
        begun = (self._done < self.begins).unsqueeze(-1)
        self._done += 1
        return self._teacher.took(env.step(torch.where(begun, student, action)))

    def restart(self, ids: Tensor) -> None:
        self._student.restart(ids)
        self._teacher.restart(ids)
        self._done[ids] = 0
