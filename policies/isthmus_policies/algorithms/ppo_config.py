"""How PPO learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """The defaults were tuned on a task at 100 Hz, with two hidden layers of 64 and training seeds 0 to 9."""

    num_steps: int = 16
    """Control steps per roll-out. Short, so that the policy is improved often."""
    epochs: int = 2
    """Passes over a roll-out."""
    minibatches: int = 8
    """Parts of a pass, each a gradient step. They are of rows; of worlds where the policy has a memory."""
    gamma: float = 0.99
    """Discount per control step."""
    lam: float = 0.9
    """λ of the generalised advantage estimate."""
    clip: float = 0.2
    """Clipping of the probability ratio, and of the value in units of its standard deviation."""
    value_weight: float = 0.5
    """Weight of the value's loss beside the policy's."""
    entropy_weight: float = 0.0
    """Weight of a bonus for exploring: the entropy of the action's distribution."""
    learning_rate: float = 1e-3
    """Adam's at the start; then it follows the KL within learning_rate_range."""
    learning_rate_range: tuple[float, float] = (1e-5, 1e-2)
    """Bounds of the learning rate."""
    kl_target: tuple[float, float] = (0.03, 0.003)
    """KL between the policies before and after an update that the learning rate aims at: at the training's start and
    end. Falling, so that the policy settles."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    symmetry: bool = False
    """Whether the policy is its own mirror image, left and right, by ties between its weights (`symmetry.Ties`). They
    leave √½ of the weights' size at the start."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "epochs", "minibatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
