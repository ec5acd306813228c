"""What a learner was shown: demonstrations, which stay as they are, and what interveners did in its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from isthmus_policies.algorithms.sac.demonstrations import Demonstrations
from isthmus_policies.algorithms.sac.replay import ReplayBuffer
from isthmus_policies.networks.policy import Groups, Tensors
from isthmus_sim.task import Task


class Taught:
    """Replays beside the online one. A full one of interventions forgets its oldest ones; no demonstration is forgotten
    for them."""

    def __init__(
        self,
        demonstrations: Sequence[Path],
        task: Task,
        groups: Groups,
        *,
        rewarded: bool,
        interventions: int,
        device: torch.device,
    ) -> None:
        """Raises DatasetError.

        Args:
            demonstrations: Folders of datasets of transitions.
            task: What is learned.
            groups: The observation groups to keep.
            rewarded: Whether rewards of demonstrations count.
            interventions: Steps of interventions that are remembered; 0 where nobody intervenes.
            device: Where they are kept.
        """
        self.expected = bool(demonstrations) or interventions > 0
        """Whether anything is ever shown."""
        self.demonstrations = (
            Demonstrations(demonstrations, task, groups, rewarded=rewarded, device=device) if demonstrations else None
        )
        self.interventions = ReplayBuffer(task, groups, 1, interventions, device) if interventions else None

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
