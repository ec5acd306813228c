"""Where a policy draws the noise that it makes chunks of, so that of all it might do it does what leads to success.

Wagenmaker et al. 2025, "Steering Your Diffusion Policy with Latent Space Reinforcement Learning" (DSRL): the policy
stays as it was trained, and every chunk one that it might have made.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus_policies.networks.mlp import mlp


class NoiseSteering(nn.Module):
    """What the policy makes of its observations -> a normal distribution of the noise; a standard one at the start.

    Args:
        features: Numbers that the policy makes of its observations.
        shape: (horizon, action_size) of the noise.
        width: Of its two hidden layers.
    """

    def __init__(self, features: int, shape: tuple[int, int], width: int) -> None:
        super().__init__()
        self.shape = shape
        self.layers = mlp((features, width, width, shape[0] * shape[1]), last_gain=0.01, activation="elu")
        self.log_deviation = nn.Parameter(torch.zeros(shape))

    def mean(self, condition: Tensor) -> Tensor:
        """(n, features) -> (n, horizon, action_size)."""
        return self.layers(condition).unflatten(-1, self.shape)

    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        """Standard normal noise (n, draws, horizon, action_size) -> that from which chunks are made: the first array
        is where they begin, and the others stay."""
        first = self.mean(condition) + self.log_deviation.exp() * noise[:, 0]
        return torch.cat((first.unsqueeze(1), noise[:, 1:]), dim=1)
