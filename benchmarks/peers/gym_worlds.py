"""One gymnasium environment as the project's algorithms see an `Env`: what they need of it, no more."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import gymnasium
import numpy as np
import torch
from torch import Tensor

from isthmus_sim.env import Observations, Step
from isthmus_sim.task import Group


@dataclass(frozen=True)
class GymConfig:
    """What the task is made from."""

    id: str


class GymWorlds:
    """A world of a gymnasium environment with a vector to see and a bounded vector to do.

    Actions in [-1, 1] go from the least to the most that it takes. Its time limit truncates, its ends terminate, and
    then it begins anew at once, as an `Env` does. What is seen is the group "actor".
    """

    num_envs = 1
    device = torch.device("cpu")
    reward_terms = ("reward",)
    capabilities = frozenset()  # nothing of it can be saved

    def __init__(self, id_: str, seed: int, hold: int = 1) -> None:
        """hold: Steps of the environment that an action is held; what they earn is added up."""
        self._worlds = gymnasium.make(id_)
        space, seen = self._worlds.action_space, self._worlds.observation_space
        assert isinstance(space, gymnasium.spaces.Box)
        assert isinstance(seen, gymnasium.spaces.Box)
        self._middle, self._half = (space.high + space.low) / 2, (space.high - space.low) / 2
        self.action_size = int(np.prod(space.shape))
        self.groups = {"actor": Group(shape=tuple(seen.shape))}
        self.task, self.engine = self, self
        self.name, self.config, self.robot = id_, GymConfig(id_), SimpleNamespace(commands=())
        self._seed: int | None = seed
        self._hold = hold
        self._earned, self._length = 0.0, 0

    def reset(self) -> Observations:
        """Begin an episode; the first one by the seed."""
        seen, _ = self._worlds.reset(seed=self._seed)
        self._seed, self._earned, self._length = None, 0.0, 0
        return self._observations(seen)

    def step(self, action: Tensor) -> Step:
        """Apply an action (1, action_size)."""
        taken = self._middle + self._half * action[0].clamp(-1.0, 1.0).numpy()
        reward, terminated, truncated, first = 0.0, False, False, self._length
        while self._length < first + self._hold and not (terminated or truncated):
            seen, earned, terminated, truncated, _ = self._worlds.step(taken)
            reward, self._length = reward + float(earned), self._length + 1
        truncated = truncated and not terminated
        self._earned += reward
        ended = torch.arange(int(terminated or truncated))
        earned, length = torch.full((len(ended),), self._earned), torch.full((len(ended),), self._length)
        observations = self._observations(seen)
        return Step(
            observations=self.reset() if len(ended) else observations,
            commands={}, reward=torch.tensor([reward], dtype=torch.float32),
            terminated=torch.tensor([terminated]), succeeded=torch.tensor([False]), truncated=torch.tensor([truncated]),
            metrics={}, ended=ended, final={name: rows[ended] for name, rows in observations.items()},
            episode_terms={"reward": earned}, episode_length=length, diverged=0, divergence=None,
        )  # fmt: skip

    def _observations(self, seen: np.ndarray) -> Observations:
        return {"actor": torch.from_numpy(np.asarray(seen, np.float32)).unsqueeze(0)}

    def close(self) -> None:
        """Release the environment."""
        self._worlds.close()
