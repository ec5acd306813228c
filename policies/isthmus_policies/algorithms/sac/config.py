"""How soft actor-critic learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from isthmus_policies.interventions.config import InterventionsConfig


@dataclass(frozen=True, kw_only=True)
class OffPolicyConfig:
    """How a policy is improved from transitions, whoever took them."""

    collect_steps: int = 4
    """Control steps of every world between two updates of the policy."""
    update_ratio: float = 0.125
    """Gradient steps per transition that was collected (update-to-data ratio): 1 as published; above it, fewer steps of
    the robot are needed and more computing; below it where there are many worlds."""
    actor_every: int = 1
    """The actor and the temperature learn in every such gradient step of the critics."""
    batch_size: int = 256
    """Transitions in a gradient step."""
    replay_steps: int = 4096
    """Control steps of every world that are remembered."""
    warm_up: int = 4096
    """Transitions, of all worlds, before learning begins; in simulation with uniformly random actions."""
    gamma: float = 0.99
    """Discount per control step."""
    n_step: int = 3
    """Rewards that a critic's target adds up before it relies on the critics. The entropy of the actions between is
    left out, as is what the policy would do otherwise by now."""
    minimum_of: int = 2
    """The value is the least of so many critics, drawn anew for each step where there are more (Chen et al. 2021,
    "Randomized Ensembled Double Q-Learning")."""
    target_rate: float = 0.02
    """Share by which the target critics follow the critics in a gradient step."""
    learning_rate: float = 1e-3
    """Rate at which actor, critics and temperature learn."""
    temperature: float | None = None
    """Worth of a nat of entropy, in units of reward; None to learn it."""
    initial_temperature: float = 1.0
    """Where the learned temperature begins."""
    target_entropy: float = -1.0
    """Entropy that the learned temperature aims at, nats per number of the action."""
    image_shift: int = 4
    """Most pixels by which images of a batch are shifted at random; 0 for none."""

    demonstrations: tuple[Path, ...] = ()
    """Folders of datasets of transitions: half of every batch is drawn from these and from what interveners did (Ball
    et al. 2023, "Efficient Online Reinforcement Learning with Offline Data")."""

    def __post_init__(self) -> None:
        for name in ("collect_steps", "actor_every", "batch_size", "replay_steps", "n_step", "minimum_of"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.update_ratio <= 0.0 or self.initial_temperature <= 0.0:
            raise ValueError("update_ratio and initial_temperature must be above 0")
        if self.image_shift < 0:
            raise ValueError(f"image_shift must be at least 0, got {self.image_shift}")
        if self.temperature is not None and self.temperature < 0.0:
            raise ValueError(f"temperature must be at least 0, or None to learn it; got {self.temperature}")
        if max(self.n_step, self.collect_steps) > self.replay_steps:
            raise ValueError(
                f"n_step {self.n_step} and collect_steps {self.collect_steps} must be at most the {self.replay_steps} "
                "replay_steps"
            )


@dataclass(frozen=True, kw_only=True)
class SACConfig(OffPolicyConfig):
    """The defaults reach for a cube within minutes on a core, with 64 worlds and small networks."""

    interventions: InterventionsConfig = field(default_factory=InterventionsConfig)
    """Who takes over from the learner, and when."""
    reward: Literal["task", "takeovers"] = "task"
    """What is learned from: the task's reward, or -1 for an action upon which somebody has taken over, or that has
    ended in failure, and 0 for all others (Luo et al. 2023, "RLIF"); in demonstrations nobody takes over."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reward == "takeovers" and self.interventions.teacher is None:
            raise ValueError("nobody takes over, so there is no reward: name interventions.teacher")
        if self.interventions.teacher is not None and self.interventions.duration > self.replay_steps:
            raise ValueError(f"interventions.duration must be at most the {self.replay_steps} replay_steps")
