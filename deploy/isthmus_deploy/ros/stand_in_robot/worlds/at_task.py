"""A stand-in robot at a task: what stands around it there, where that begins, and whether the task is done."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from isthmus_deploy.ros.stand_in_robot.worlds.described import DescribedWorld, fine_timestep
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array
from isthmus_sim.engine import Resets, State
from isthmus_sim.engines.mujoco_engine import MujocoEngine
from isthmus_sim.scene import Scene
from isthmus_sim.task import Goal, Task

_ONLY = torch.zeros(1, dtype=torch.long)


class TaskWorld(DescribedWorld):
    """A robot in the scene of a task that has something to achieve. The robot begins as `DescribedWorld` has it, the
    things around it as an episode of the task does.

    Args:
        task: What is to be done; success is what it says.
        seed: Draws the unit, the noise and where things begin.

    Raises:
        ValueError: the task has nothing to achieve, or a stand-in cannot be made of its scene.
    """

    def __init__(self, task: Task, seed: int) -> None:
        if not task.has_goal:
            raise ValueError(f"the task {task.name} has nothing to achieve: start its robot without a task")
        self._task = task
        self._generator = torch.Generator().manual_seed(seed)
        self._goal: Goal | None = None
        self._steps = 0
        self.succeeded = False
        """Whether the task has been done."""
        self.state: dict[str, Array] = {}
        """The quantities of the task's scene when it was judged last, without images; new arrays each time."""
        # Images are the sensors' part here, and no state of the world.
        state = tuple(quantity for quantity in task.scene.quantities if quantity.kind != "camera")
        super().__init__(replace(task.scene, timestep_s=fine_timestep(task.robot), quantities=state), seed)

    def judge(self) -> dict[str, float]:
        """Look at how things are, once a control period; what the task measures of it, by name."""
        state, ids = self._state(), _ONLY
        self._steps += self._goal is not None
        goal = self._task.goal(torch.full((1,), self._steps), self._goal, self._generator)
        self._goal = goal = self._task.track(goal, state)
        done = self._task.succeeded(state, goal)
        self.succeeded = self.succeeded or bool(done is not None and done[ids].all())
        self.state = {name: value[0].double().numpy() for name, value in state.items()}
        return {name: value.item() for name, value in self._task.metrics(state, goal).items()}

    def close(self) -> None:
        super().close()
        self._engine.close()

    def _told(self) -> dict[str, Callable[[], Array]]:
        """Every reading that the task makes of the true state."""
        return {signal.name: partial(self._seen, signal.name) for signal in self.robot.signals if not signal.is_goal}

    def _seen(self, name: str) -> Array:
        goal = self._goal or self._task.goal(torch.zeros(1, dtype=torch.long), None, self._generator)
        return self._task.sense(self._state(), goal)[name][0].double().numpy()

    def _place_things(self, scene: Scene) -> None:
        """As an episode of the task begins. The engine only translates between quantities and the model."""
        self._engine = MujocoEngine(scene, 1, num_threads=1)
        params = {name: torch.tensor(value, dtype=torch.float32)[None] for name, value in self.values.items()}
        start = self._task.start(_ONLY, torch.zeros(1, dtype=torch.long), params, self._generator)
        self._engine.advance(None, Resets(ids=_ONLY, state=start, params=params))
        self._data.qpos[:] = self._engine.qpos[0]
        self._data.mocap_pos[:] = self._engine.mocap[0]

    def _state(self) -> State:
        engine, data = self._engine, self._data
        live = (engine.qpos, engine.qvel, engine.ctrl, engine.mocap)
        for tensor, value in zip(live, (data.qpos, data.qvel, data.ctrl, data.mocap_pos), strict=True):
            tensor[0] = torch.from_numpy(value)
        engine.load_state_dict(engine.state_dict())  # what follows from positions follows them
        return engine.advance(None)
