"""Levels where something is learned or forgotten: absolute learning progress, by mixtures of normal distributions."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.resets.levels.mixture import Mixture, best_fit
from isthmus_sim.resets.levels.sampler import LevelSampler

_MOST_PARTS = 10


class AlpGmm(LevelSampler):
    """ALP-GMM (Portelas et al. 2019, "Teacher algorithms for curriculum learning of deep RL in continuously
    parameterized environments").

    An episode's learning progress is by how much its return differs from that of the nearest level before. Every
    `window` episodes a mixture is fitted to the levels and progress of the last `window` ones; then levels come from
    its parts, each as likely as its mean progress, and a share is drawn evenly.

    Args:
        random_share: Of the levels that are drawn evenly.
        window: Episodes between two fits, and of a fit.
        remembered: Episodes among which the nearest level is looked for.
    """

    def __init__(self, random_share: float = 0.2, window: int = 250, remembered: int = 10_000) -> None:
        self._random_share, self._window, self._remembered = random_share, window, remembered
        self._levels, self._returns = torch.zeros(0, 0), torch.zeros(0)
        self._recent = torch.zeros(0, 0, dtype=torch.float64)  # levels and progress, (k, d + 1)
        self._mixture: Mixture | None = None

    def draw(self, n: int, size: int, generator: torch.Generator) -> Tensor:
        even = super().draw(n, size, generator)
        progress = None if self._mixture is None else self._mixture.mean[:, -1].clamp_min(0.0)
        if self._mixture is None or progress is None or not bool(progress.sum() > 0.0):
            return even
        cpu = _on_cpu(generator)
        parts = torch.multinomial(progress, n, replacement=True, generator=cpu)
        levels = self._mixture.sample(parts, cpu)[:, :-1].clamp(0.0, 1.0).to(even)
        random = torch.rand(n, 1, generator=generator, device=even.device) < self._random_share
        return torch.where(random, even, levels)

    def tell(self, levels: Tensor, returns: Tensor, failed: Tensor, generator: torch.Generator) -> None:
        levels, returns = levels.cpu(), returns.cpu()
        if len(self._levels):
            nearest = torch.cdist(levels, self._levels).argmin(1)
            progress = (returns - self._returns[nearest]).abs()
            rows = torch.cat((levels, progress.unsqueeze(1)), dim=1).double()
            self._recent = torch.cat((self._recent.reshape(-1, rows.shape[1]), rows))
        self._levels = torch.cat((self._levels.reshape(-1, levels.shape[1]), levels))[-self._remembered :]
        self._returns = torch.cat((self._returns, returns))[-self._remembered :]
        if len(self._recent) >= self._window:
            self._fit(self._recent[-self._window :].clone(), generator)
            self._recent = self._recent[:0]

    def _fit(self, points: Tensor, generator: torch.Generator) -> None:
        """Progress counts in shares of the largest, so that its unit, the reward's, does not matter."""
        points[:, -1] /= points[:, -1].max().clamp_min(1e-9)
        self._mixture = best_fit(points, _MOST_PARTS, _on_cpu(generator))

    def state_dict(self) -> dict[str, Tensor]:
        m = self._mixture
        fitted = {} if m is None else {"weight": m.weight, "mean": m.mean, "covariance": m.covariance}
        return {"levels": self._levels, "returns": self._returns, "recent": self._recent, **fitted}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        state = {name: value.cpu() for name, value in state.items()}
        self._levels, self._returns, self._recent = (state[name] for name in ("levels", "returns", "recent"))
        fitted = {name: state[name] for name in ("weight", "mean", "covariance") if name in state}
        self._mixture = Mixture(**fitted) if fitted else None


def _on_cpu(generator: torch.Generator) -> torch.Generator:
    """Itself, or one for the CPU that follows from it: a mixture is a few numbers."""
    if generator.device.type == "cpu":
        return generator
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    return torch.Generator().manual_seed(int(seed))
