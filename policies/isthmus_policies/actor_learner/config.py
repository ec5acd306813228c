"""How soft actor-critic learns from a robot that another process drives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isthmus_policies.algorithms.sac.config import OffPolicyConfig


@dataclass(frozen=True, kw_only=True)
class RobotSACConfig(OffPolicyConfig):
    """The defaults learn from one robot that takes some 20 control steps a second, with small networks on a core."""

    exchange: Path | None = None
    """Folder of what actor and learner share, which is made. What a robot did stays there when a process dies."""
    reward: Literal["robot", "takeovers"] = "robot"
    """What is learned from: what the robot tells, 1 for success where it tells none; or -1 for an action upon which
    somebody has taken over, or that has ended in failure, and 0 for all others (Luo et al. 2023, "RLIF")."""
    patience_s: float = 2.0
    """An iteration ends when `collect_steps` transitions have come, or none has come for so long, s."""
    collect_steps: int = 20
    """Transitions that an iteration waits for. The actor gets a new policy after every iteration."""
    update_ratio: float = 2.0
    """Gradient steps per transition, or fewer where the learner cannot keep pace with the robot."""
    replay_steps: int = 100_000
    """Transitions that are remembered."""
    warm_up: int = 200
    """Transitions before learning begins."""
    n_step: int = 1
    """Rewards that a critic's target adds up before it relies on the critics."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience_s <= 0.0:
            raise ValueError(f"patience_s must be above 0, got {self.patience_s}")
