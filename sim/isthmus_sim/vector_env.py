"""A task as a `gymnasium.vector.VectorEnv`, for learners that are not ours.

Importing this module registers every task with gymnasium, so that `gymnasium.make_vec("isthmus/quadrotor-v0", 64)`
works, and so does `gymnasium.make_vec("isthmus_sim.vector_env:isthmus/quadrotor-v0", 64)` without an import. With
`gymnasium.make` there is one world (`single_env`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Dict
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import State
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.task import Group, Task
from isthmus_sim.tasks import TASKS, make_task

_REAL = "fiub"  # kinds of NumPy's types


class TaskVectorEnv(VectorEnv):
    """N worlds of a task, in NumPy. Actions are (num_envs, action_size) in [-1, 1], and clipped to it.

    Autoreset is "same step": where an episode ended, the observation is already the next episode's first, and the
    true last one is in `info["final_obs"]`, masked by `info["_final_obs"]`. Then the sums of the reward's terms over
    the k ended episodes are in `info["episode_terms"]`, (k,) each. `info["succeeded"]` (num_envs,) tells which of the
    terminated episodes reached what there was to reach.

    Args:
        task: A registered name, or a task of your own.
        num_envs: Worlds, one at least.
        config: The task's configuration instead of its default one. Only for a registered name.
        robot: The robot instead of the task's usual one. Only for a registered name.
        engine: The simulator; by default the task's first.
        groups: Observation groups to give, a dict of them; one alone is given as it is. By default all of them.
        progress: How far training is, from 0 to 1: rewards may depend on it. See `set_progress`.
        render_mode: None; for images there is `single_env`.

    Raises:
        ValueError: unknown task, engine or group, with the valid names; a configuration or robot of another type; no
            worlds.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}

    def __init__(
        self,
        task: str | Task,
        num_envs: int,
        *,
        config: Any = None,
        robot: RobotDescription | None = None,
        engine: str | None = None,
        groups: tuple[str, ...] | str | None = None,
        progress: float = 1.0,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None:
            raise ValueError(f"no render_mode {render_mode!r}: only the one world of gymnasium.make is drawn")
        self.task = _made(task, config, robot)
        self.num_envs = _count(num_envs)
        self._engine = engine or self.task.engines[0]
        self._groups = _chosen(groups, self.task)
        self._bare = groups is not None and len(self._groups) == 1
        self._env = self._make(seed=0)
        self.set_progress(progress)
        spaces: dict[str, gymnasium.Space] = {name: _space(self.task.groups[name]) for name in self._groups}
        self.single_observation_space = spaces[self._groups[0]] if self._bare else Dict(spaces)
        self.single_action_space = Box(-1.0, 1.0, (self.task.action_size,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._started = False

    def _make(self, seed: int) -> Env:
        return Env(self.task, make_engine(self.task.scene, self.num_envs, self._engine), seed)

    def set_progress(self, progress: float) -> None:
        """Say how far training is, 0 to 1: a learner that calls this as it goes has the reward's curriculum."""
        if not 0.0 <= progress <= 1.0:
            raise ValueError(f"progress is the share of training that is done, from 0 to 1, got {progress}")
        self._env.progress = progress

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start every world anew; with `seed`, the same worlds as any other start with it, which is 0 at first."""
        super().reset(seed=seed)
        if seed is not None:
            progress = self._env.progress
            self._env.close()
            self._env = self._make(seed)
            self._env.progress = progress
        self._started = True
        return self._observed(self._env.reset()), {}

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control step.

        Raises:
            ValueError: actions of another shape or type, or that are not finite; the message names the worlds.
            gymnasium.error.ResetNeeded: before the first `reset`.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        action = torch.from_numpy(_checked(actions, (self.num_envs, self.task.action_size)))
        step = self._env.step(action.to(self._env.device))
        info: dict[str, Any] = {"succeeded": step.succeeded.cpu().numpy()}
        if len(step.ended):
            info |= self._final(step.ended.cpu().numpy(), self._observed(step.final))
            info["episode_terms"] = _arrays(step.episode_terms)
        return (
            self._observed(step.observations),
            step.reward.cpu().numpy().astype(np.float64),
            step.terminated.cpu().numpy(),
            step.truncated.cpu().numpy(),
            info,
        )

    @property
    def state(self) -> State:
        """What the engine read last, by the names of the scene's quantities, (num_envs, *shape) each."""
        return self._env.state

    def _observed(self, observations: Mapping[str, Tensor]) -> Any:
        """The chosen groups, as the observation space has them."""
        arrays = _arrays({name: observations[name] for name in self._groups})
        return arrays[self._groups[0]] if self._bare else arrays

    def _final(self, ended: np.ndarray, final: Any) -> dict[str, Any]:
        mask = np.zeros(self.num_envs, bool)
        mask[ended] = True
        rows = np.empty(self.num_envs, object)
        for row, world in enumerate(ended):
            rows[world] = final[row] if self._bare else {name: value[row] for name, value in final.items()}
        return {"final_obs": rows, "_final_obs": mask}

    def close_extras(self, **kwargs: Any) -> None:
        self._env.close()


def _made(task: str | Task, config: Any, robot: RobotDescription | None) -> Task:
    if isinstance(task, str):
        return make_task(task, config, robot)
    if not isinstance(task, Task):
        names = ", ".join(TASKS)
        raise ValueError(f"a task is a registered name or a Task, not a {type(task).__name__}; names: {names}")
    if config is not None or robot is not None:
        raise ValueError(f"the task {task.name!r} is made already, with its robot and its configuration: give no other")
    return task


def _count(num_envs: int) -> int:
    if not isinstance(num_envs, int | np.integer) or num_envs < 1:
        raise ValueError(f"num_envs is how many worlds there are, a whole number from 1 on, got {num_envs!r}")
    return int(num_envs)


def _chosen(groups: tuple[str, ...] | str | None, task: Task) -> tuple[str, ...]:
    names = tuple(task.groups) if groups is None else (groups,) if isinstance(groups, str) else tuple(groups)
    unknown = [str(name) for name in names if name not in task.groups]
    if unknown or not names:
        wrong = f"no group {', '.join(unknown)}" if unknown else "groups must name one at least"
        raise ValueError(f"the task {task.name!r}: {wrong}; it has: {', '.join(task.groups)}")
    return names


def _space(group: Group) -> Box:
    if group.dtype == "uint8":
        return Box(0, 255, group.shape, np.uint8)
    return Box(-np.inf, np.inf, group.shape, np.float32)


def _checked(actions: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    given = np.asarray(actions)
    if given.shape != shape:
        raise ValueError(f"actions have the shape {given.shape}; these worlds take {shape}")
    if given.dtype.kind not in _REAL:
        raise ValueError(f"actions are of the type {given.dtype}; these worlds take real numbers, such as float32")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        values = np.ascontiguousarray(given, np.float32)
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise ValueError(f"actions of these worlds are not finite numbers: {', '.join(map(str, wrong))}")
    return values


def _arrays(rows: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.cpu().numpy() for name, value in rows.items()}


def register_tasks() -> None:
    """Register every task with gymnasium, under "isthmus/NAME-v0"."""
    for name in TASKS:
        if f"isthmus/{name}-v0" not in gymnasium.registry:
            gymnasium.register(
                id=f"isthmus/{name}-v0",
                entry_point="isthmus_sim.single_env:TaskEnv",
                vector_entry_point="isthmus_sim.vector_env:TaskVectorEnv",
                kwargs={"task": name},
            )


register_tasks()
