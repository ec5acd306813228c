"""Episodes begin in snapshots that were taken before: of a teacher's trajectories, say, or of demonstrations."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from isthmus_sim.env import Env
from isthmus_sim.resets.starts import Snapshot, Starts, drawn, rows


class Stored(Starts):
    """A share of the episodes begins in one of these snapshots, each as likely ("Snapshot Reinforcement Learning",
    2024; "Dataset Reset Policy Optimization", Chang et al. 2024).

    Args:
        snapshots: n rows, n at least 1.
        share: Of the episodes that begin so, at first.
        fades_after: Transitions, of all worlds, over which the share falls to 0, evenly; None: it stays.
    """

    needs_snapshots = True

    def __init__(self, snapshots: Snapshot, share: float, fades_after: int | None = None) -> None:
        self._snapshots, self._share, self._fades_after = snapshots, share, fades_after
        self._transitions = 0

    @property
    def share(self) -> float:
        """Share of the episodes that begin in a snapshot now."""
        left = 1.0 if self._fades_after is None else max(0.0, 1.0 - self._transitions / self._fades_after)
        return self._share * left

    def snapshots(self, n: int, generator: torch.Generator) -> tuple[Tensor, Snapshot] | None:
        there = drawn(n, self.share, generator)
        if len(there) == 0:
            return None
        count = len(self._snapshots["episode_step"])
        return there, rows(
            self._snapshots, torch.randint(count, (len(there),), generator=generator, device=generator.device)
        )

    def watch(self, env: Env, going: Tensor) -> None:
        self._transitions += len(going)

    def state_dict(self) -> dict[str, Tensor]:
        digest = hashlib.sha256()
        for name in sorted(self._snapshots):
            digest.update(self._snapshots[name].cpu().contiguous().numpy().tobytes())
        return {
            "digest": torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8),
            "transitions": torch.tensor(self._transitions, device="cpu"),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Raises ValueError where the run was begun with other snapshots."""
        if not torch.equal(state["digest"].cpu(), self.state_dict()["digest"]):
            raise ValueError(
                "the snapshots that episodes begin in have changed since the run was begun: bring back those that were "
                "there, or begin another run"
            )
        self._transitions = int(state["transitions"])
