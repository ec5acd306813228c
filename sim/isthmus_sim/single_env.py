"""One world of a task as a plain `gymnasium.Env`, for learners and checkers that take no vectors."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np

from isthmus_sim.rendering.motion import Motion
from isthmus_sim.vector_env import TaskVectorEnv


class TaskEnv(gymnasium.Env):
    """A `TaskVectorEnv` of one world, whose episodes begin when `reset` is called.

    Args:
        render_mode: "rgb_array", for which MuJoCo draws without a display; None draws nothing.
        **of: See `TaskVectorEnv`.

    Raises:
        ValueError: see `TaskVectorEnv`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, *, render_mode: str | None = None, **of: Any) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode {render_mode!r}; there are: {', '.join(self.metadata['render_modes'])}")
        self.render_mode = render_mode
        self.worlds = TaskVectorEnv(num_envs=1, **of)
        self.observation_space = self.worlds.single_observation_space
        self.action_space = self.worlds.single_action_space
        period_s = self.worlds.task.robot.control_period_s
        self.metadata = self.metadata | {"render_fps": round(1 / period_s)}
        self._renderer: Any = None

    def set_progress(self, progress: float) -> None:
        """See `TaskVectorEnv.set_progress`."""
        self.worlds.set_progress(progress)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; with `seed`, the same one as any other start with it."""
        super().reset(seed=seed)
        observations, info = self.worlds.reset(seed=seed, options=options)
        return _only(observations), info

    def step(self, action: np.ndarray) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """One control step. Raises as `TaskVectorEnv.step`."""
        observations, reward, terminated, truncated, info = self.worlds.step(np.asarray(action)[None])
        seen = info["final_obs"][0] if "final_obs" in info else _only(observations)
        told = {"succeeded": bool(info["succeeded"][0])}
        return seen, float(reward[0]), bool(terminated[0]), bool(truncated[0]), told

    def render(self) -> np.ndarray | None:
        """The world as it is, (height, width, 3) RGB, after an episode's end as the next one begins; None without a
        `render_mode`. Raises NoRendererError where this machine cannot draw, ValueError for a robot without a model."""
        if self.render_mode is None:
            return None
        if self._renderer is None:
            from isthmus_sim.rendering.render import MotionRenderer  # needs OpenGL, which learners do not

            self._renderer = MotionRenderer(self.worlds.task.scene)
        return next(self._renderer.frames(Motion.of_states(np.zeros(1), [self.worlds.state])))

    def close(self) -> None:
        """Release the world and the renderer."""
        if self._renderer is not None:
            self._renderer.__exit__()
            self._renderer = None
        self.worlds.close()


def _only(observations: Any) -> Any:
    if isinstance(observations, np.ndarray):
        return observations[0]
    return {name: value[0] for name, value in observations.items()}
