"""What a learner was shown: demonstrations, which stay as they are, and what interveners did in its place."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_policies.algorithms.sac.config import SACConfig
from isthmus_policies.algorithms.sac.demonstrations import Demonstrations
from isthmus_policies.algorithms.sac.replay import ReplayBuffer
from isthmus_policies.networks.policy import Groups, Tensors
from isthmus_sim.task import Task


class Taught:
    """Replays beside the online one. A full one of interventions forgets its oldest ones; no demonstration is forgotten
    for them."""

    def __init__(self, config: SACConfig, task: Task, groups: Groups, room: int, device: torch.device) -> None:
        """room: Steps of interventions that are remembered. Raises DatasetError."""
        self.expected = bool(config.demonstrations) or config.interventions.teacher is not None
        """Whether anything is ever shown."""
        rewarded = config.reward == "task"
        self.demonstrations = (
            Demonstrations(config.demonstrations, task, groups, rewarded=rewarded, device=device)
            if config.demonstrations
            else None
        )
        self.interventions = (
            ReplayBuffer(task, groups, 1, room, device) if config.interventions.teacher is not None else None
        )

    def add(self, done: ReplayBuffer, steps: Tensor) -> None:
        """Take over from the online replay the last so many steps (N,) of each world, which somebody else did."""
        assert self.interventions is not None
        for world in steps.nonzero().squeeze(-1).tolist():
            self.interventions.append(done.recent(world, int(steps[world])))

    @property
    def replays(self) -> list[ReplayBuffer]:
        """Those that hold something."""
        both = (self.demonstrations and self.demonstrations.replay, self.interventions)
        return [replay for replay in both if replay is not None and len(replay) > 0]

    def shares(self, online: ReplayBuffer, size: int) -> list[tuple[ReplayBuffer, int]]:
        """How many of a batch's transitions are drawn from where: half of them from what it was shown, if anything,
        from each in proportion to how much it holds."""
        shown, half = self.replays, size // 2
        if not shown:
            return [(online, size)]
        first = round(half * len(shown[0]) / sum(map(len, shown)))
        sizes = (first, half - first)
        return [(online, size - half), *((r, n) for r, n in zip(shown, sizes, strict=False) if n > 0)]

    def state_dict(self) -> Tensors:
        parts = {"demonstrations": self.demonstrations, "interventions": self.interventions}
        states = {name: part.state_dict() for name, part in parts.items() if part is not None}
        return {f"{name}.{key}": value for name, state in states.items() for key, value in state.items()}

    def load_state_dict(self, state: Tensors) -> None:
        """Raises ValueError where the demonstrations have changed."""
        for name, part in (("demonstrations.", self.demonstrations), ("interventions.", self.interventions)):
            if part is not None:
                part.load_state_dict({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
