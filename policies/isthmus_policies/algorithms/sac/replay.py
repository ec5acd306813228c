"""What an off-policy algorithm remembers: the last control steps of every world, in a ring."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from isthmus_policies.algorithms.sac.meaning import differences, meaning
from isthmus_policies.networks.policy import DTYPES, Groups, Tensors
from isthmus_sim.task import Task


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """n transitions: from `observations`, `action` earned `reward` (discounted, of up to n steps) and led to `next`.

    discount (n,): what the value of `next` is worth, 0 where the episode has ended in failure or success. known (n,)
    bool: whether anything is known of what the action led to.
    """

    observations: Tensors
    action: Tensor
    reward: Tensor
    next: Tensors
    discount: Tensor
    known: Tensor

    @classmethod
    def joined(cls, parts: Sequence[Transitions]) -> Transitions:
        """One behind the other, with the observations that all of them have: what an intervener sees beside the
        learner's own is remembered online alone."""
        if len(parts) == 1:
            return parts[0]
        return cls(**_joined([{field.name: getattr(part, field.name) for field in fields(cls)} for part in parts]))


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    columns = {name: [part[name] for part in parts] for name in shared}
    return {
        name: _joined(values) if isinstance(values[0], dict) else torch.cat(values) for name, values in columns.items()
    }


class ReplayBuffer:
    """The last `steps` control steps of N worlds that step together and begin anew on their own.

    An observation is kept once: what a step led to lies in the next place of the ring. Where an episode was cut by its
    time limit, that place has the start of the next one. So a return over several steps ends before a cut and relies on
    the critics there, as it does at the newest step, and an action right before a cut is not `known`. No cut is taken
    for an end.
    """

    def __init__(self, task: Task, groups: Groups, num_envs: int, steps: int, device: torch.device) -> None:
        """groups: Those to keep."""
        self.num_envs, self._slots = num_envs, steps + 1  # one for the newest observation
        self._about = meaning(task)
        shapes = {f"observations.{name}": (group.shape, DTYPES[group.dtype]) for name, group in groups.items()}
        shapes |= {"action": ((task.action_size,), torch.float32), "reward": ((), torch.float32)}
        shapes |= {"terminated": ((), torch.bool), "truncated": ((), torch.bool)}
        self._kept = {
            name: torch.zeros(self._slots, num_envs, *shape, dtype=dtype, device=device)
            for name, (shape, dtype) in shapes.items()
        }
        self._rows = {name: value.flatten(0, 1) for name, value in self._kept.items()}
        self._names = tuple(groups)
        self.taken = 0
        """Control steps that were ever taken."""

    def __len__(self) -> int:
        """Transitions that are remembered."""
        return self._steps * self.num_envs

    @property
    def _steps(self) -> int:
        return min(self.taken, self._slots - 1)

    def begin(self, observations: Tensors) -> None:
        """The worlds are seen so (N, *shape), before the next step."""
        for name in self._names:
            self._kept[f"observations.{name}"][self.taken % self._slots] = observations[name]

    def add(
        self, action: Tensor, reward: Tensor, terminated: Tensor, truncated: Tensor, observations: Tensors
    ) -> None:
        """A step of all worlds, and how they are seen after it: anew where an episode ended."""
        step = {"action": action, "reward": reward, "terminated": terminated, "truncated": truncated}
        for name, value in step.items():
            self._kept[name][self.taken % self._slots] = value
        self.taken += 1
        self.begin(observations)

    def append(self, steps: Tensors) -> None:
        """Steps of the only world, one after the other: (n, *shape) each, by the names that `recent` gives them."""
        slots = torch.arange(self.taken, self.taken + len(steps["action"])) % self._slots
        for name, kept in self._kept.items():
            kept[slots, 0] = steps[name].to(kept.device)
        self.taken += len(slots)

    def recent(self, world: int, steps: int) -> Tensors:
        """The last so many steps of a world, by name (n, *shape); closed where it goes on."""
        slots = torch.arange(self.taken - steps, self.taken) % self._slots
        found = {name: kept[slots, world] for name, kept in self._kept.items()}
        if bool(found["terminated"][-1] | found["truncated"][-1]):
            return found
        return closed(found, {name: rows[world] for name, rows in self.newest().items()})

    def newest(self) -> Tensors:
        """How the worlds are seen now, (N, *shape)."""
        return {name: self._kept[f"observations.{name}"][self.taken % self._slots] for name in self._names}

    def last(self, steps: int) -> Tensors:
        """What the last so many steps were decided on, (steps * N, *shape)."""
        slots = torch.arange(self.taken - steps, self.taken) % self._slots
        return {name: self._kept[f"observations.{name}"][slots].flatten(0, 1) for name in self._names}

    def all(self) -> Tensors:
        """What all steps were decided on that are remembered, (steps * N, *shape)."""
        return self.last(self._steps)

    def cut(self, observations: Tensors) -> None:
        """The worlds were lost and have begun anew: what the newest step led to is not known."""
        newest = (self.taken - 1) % self._slots
        self._kept["truncated"][newest] = ~self._kept["terminated"][newest]
        self.begin(observations)

    def sample(self, size: int, n_step: int, gamma: float, generator: torch.Generator) -> Transitions:
        """`size` transitions, drawn with replacement."""
        drawn = torch.randint(len(self), (size,), generator=generator, device=generator.device)
        step, world = self.taken - self._steps + drawn // self.num_envs, drawn % self.num_envs

        def row(after: int | Tensor) -> Tensor:
            return (step + after) % self._slots * self.num_envs + world

        reward = torch.zeros(size, device=drawn.device)
        steps = torch.zeros_like(drawn)  # that the return is of
        going = torch.ones_like(drawn, dtype=torch.bool)
        ended = torch.zeros_like(going)
        for ahead in range(n_step):
            rows = row(ahead)
            going &= (step + ahead < self.taken) & ~self._rows["truncated"][rows]
            reward += torch.where(going, gamma**ahead * self._rows["reward"][rows], 0.0)
            steps += going
            ended |= going & self._rows["terminated"][rows]
            going &= ~ended
        here, there = row(0), row(steps)
        return Transitions(
            observations=self._seen(here), action=self._rows["action"][here], reward=reward, next=self._seen(there),
            discount=torch.where(ended, 0.0, gamma**steps), known=steps > 0,
        )  # fmt: skip

    def _seen(self, rows: Tensor) -> Tensors:
        return {name: self._rows[f"observations.{name}"].index_select(0, rows) for name in self._names}

    def state_dict(self) -> Tensors:
        """All that is remembered, and what its numbers mean."""
        about = torch.frombuffer(bytearray(json.dumps(self._about).encode()), dtype=torch.uint8)
        filled = min(self.taken + 1, self._slots)
        kept = {name: value[:filled] for name, value in self._kept.items()}
        return {"about": about, "taken": torch.tensor(self.taken), **kept}

    def load_state_dict(self, state: Tensors) -> None:
        """Take back what `state_dict` gave. Raises ValueError, with the lines that differ, for what was remembered in
        another task, with other commands or actions, or in a ring of another size."""
        about = json.loads(bytes(state["about"].cpu().numpy()))
        wrong = list(differences(about, self._about))
        taken = int(state["taken"])
        filled = min(taken + 1, self._slots)
        for name, kept in self._kept.items():
            shape = (filled, *kept.shape[1:])
            if name not in state or (tuple(state[name].shape), state[name].dtype) != (shape, kept.dtype):
                there = f"{tuple(state[name].shape)} {state[name].dtype}" if name in state else "nothing"
                wrong.append(f"{name}: {there}, here {shape} {kept.dtype}")
        if wrong:
            raise ValueError(f"the replay buffer is another one's: {'; '.join(wrong)}; begin another run")
        for name, kept in self._kept.items():
            kept[:filled] = state[name].to(kept.device)
        self.taken = taken


def closed(steps: Tensors, after: Tensors) -> Tensors:
    """Steps that go on, and how the world was seen after the last of them (*shape): one row more, that of an action of
    which nothing is known. So what the last step led to is known, as in the middle of an episode."""
    seen = {f"observations.{name}": value.unsqueeze(0) for name, value in after.items()}
    row = {name: torch.zeros_like(value[:1]) for name, value in steps.items()} | seen
    row["truncated"] = torch.ones_like(row["truncated"])
    return {name: torch.cat((value, row[name])) for name, value in steps.items()}


def transition_bytes(groups: Groups, action_size: int) -> int:
    """Memory of one transition."""
    observations = sum(group.size * DTYPES[group.dtype].itemsize for group in groups.values())
    return observations + 4 * (action_size + 1) + 2
