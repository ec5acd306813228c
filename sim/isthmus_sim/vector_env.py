"""A task as a `gymnasium.vector.VectorEnv`, for learners that are not ours."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env, Observations
from isthmus_sim.tasks import make_task


class TaskVectorEnv(VectorEnv):
    """N worlds of a task; observations are a dict of the task's groups, NumPy float32.

    Autoreset is "same step": where an episode ended, the observation is already the next episode's first, and the
    true last one is in `info["final_obs"]`, masked by `info["_final_obs"]`. The reward's terms are in
    `info["episode_terms"]`.

    Raises:
        ValueError: unknown task or engine; the message lists the valid names.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}

    def __init__(self, task: str, num_envs: int, engine: str | None = None) -> None:
        self.task = make_task(task)
        self.num_envs = num_envs
        self._engine_name = engine
        self._env = self._make(seed=0)
        self.single_observation_space = gymnasium.spaces.Dict(
            {
                name: gymnasium.spaces.Box(-np.inf, np.inf, group.shape, np.float32)
                for name, group in self.task.groups.items()
            }
        )
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.task.action_size,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._started = False

    def _make(self, seed: int) -> Env:
        return Env(self.task, make_engine(self.task, self.num_envs, self._engine_name), seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Start every world anew; with `seed`, the same worlds as any other start with it."""
        super().reset(seed=seed)
        if seed is not None:
            self._env.close()
            self._env = self._make(seed)
        self._started = True
        return _arrays(self._env.reset()), {}

    def step(self, actions: np.ndarray) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray, dict]:
        """Actions (num_envs, action_size) in [-1, 1]; NumPy float32."""
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        action = torch.from_numpy(np.ascontiguousarray(actions, np.float32))
        step = self._env.step(action.to(self._env.engine.device))
        info: dict[str, Any] = {}
        if len(step.ended):
            info = self._final(step.ended.cpu().numpy(), _arrays(step.final))
            info["episode_terms"] = _arrays(step.episode_terms)
        return (
            _arrays(step.observations),
            step.reward.cpu().numpy().astype(np.float64),
            step.terminated.cpu().numpy(),
            step.truncated.cpu().numpy(),
            info,
        )

    def _final(self, ended: np.ndarray, final: dict[str, np.ndarray]) -> dict[str, Any]:
        mask = np.zeros(self.num_envs, bool)
        mask[ended] = True
        observations = np.empty(self.num_envs, object)
        for row, world in enumerate(ended):
            observations[world] = {name: value[row] for name, value in final.items()}
        return {"final_obs": observations, "_final_obs": mask}

    def close_extras(self, **kwargs: Any) -> None:
        self._env.close()


def _arrays(observations: Observations) -> dict[str, np.ndarray]:
    return {name: value.cpu().numpy() for name, value in observations.items()}
