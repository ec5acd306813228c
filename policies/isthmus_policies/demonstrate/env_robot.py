"""A task's world as a `Robot`: what teleoperation and recording know of a simulated one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_datasets.robot import Observation, RobotFeatures, quantities
from isthmus_sim.description import RobotSpec
from isthmus_sim.engines import make_engine
from isthmus_sim.engines.mujoco_batch import MujocoWorlds
from isthmus_sim.env import Env, Observations
from isthmus_sim.robots.models import OWN
from isthmus_sim.task import Task
from isthmus_sim.threads import one_torch_thread

ENVIRONMENT = "environment_state"
"""The column of what is around the robot; LeRobot's name for it."""
_ENDLESS = 2**31


class View(Protocol):
    """What cameras see of a world."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, int]]:
        """Camera -> (height, width) of its pictures."""
        ...

    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        """Camera -> (height, width, 3) RGB of how things are now."""
        ...

    def close(self) -> None:
        """Release what draws."""
        ...


def robot_features(robot: RobotSpec) -> RobotFeatures:
    """What datasets call a robot's signals, as the column "state", and its command."""
    command = robot.commands[0]
    units = {f"{signal.name}.{element}": signal.unit for signal in robot.signals for element in signal.order}
    return RobotFeatures(
        robot_type=robot.name,
        columns={"state": quantities(units)},
        action=quantities(dict.fromkeys(command.order, command.unit)),
    )


class EnvRobot:
    """One world of `task`. Its column "state" is all signals of the robot one after the other, as noisy and late as the
    task makes them; "environment_state", where the task has it, what only the simulator knows of things around it. Its
    action is the robot's command, clipped to the command's range before it is sent. `cameras` makes what sees it all.

    Time is the simulation's: a control period per action, from 0, on through all episodes. An episode ends when whoever
    records says so, but a world that has failed or succeeded begins anew by itself: whether it succeeded is told with
    the next observation.
    """

    def __init__(
        self,
        task: Task,
        *,
        cameras: Callable[[Env], View] | None = None,
        engine: str | None = None,
        model: str = OWN,
    ) -> None:
        self._env = Env(task, make_engine(task, 1, engine, model), seed=0, episode_steps=_ENDLESS)
        self._command = task.robot.commands[0]
        self._low, self._high = (np.array(v, np.float32) for v in (self._command.minimum, self._command.maximum))
        self._period_ns = round(task.robot.control_period_s * 1e9)
        self._steps = 0
        self._reward: float | None = None
        self._success: bool | None = None
        self._seen: Observations = self._env.reset()
        self._view = cameras(self._env) if cameras else None
        self.features = self._features()

    def _features(self) -> RobotFeatures:
        task = self._env.task
        plain = robot_features(task.robot)
        around = {ENVIRONMENT: quantities(task.environment)} if task.environment else {}
        return replace(
            plain,
            columns={**plain.columns, **around},
            cameras=self._view.shapes if self._view else {},
            reward=True,
            success=True,
            simulator_state=len(self.simulator_state()),
        )

    def reset(self, seed: int) -> None:
        """Begin an episode: the same for the same seed."""
        self._env.generator.manual_seed(seed)
        with one_torch_thread():
            self._seen = self._env.reset()
        self._reward = self._success = None

    def observe(self) -> Observation:
        """The signals, and what the last action has earned."""
        signals = self._env.signals
        columns = {"state": torch.cat([signals[spec.name] for spec in self._env.task.robot.signals], dim=-1)}
        if ENVIRONMENT in self.features.columns:
            columns[ENVIRONMENT] = self._seen["environment"]
        now = self._steps * self._period_ns
        return Observation(
            columns={name: rows[0].numpy() for name, rows in columns.items()},
            pictures=self._view.pictures() if self._view else {},
            capture_time_ns=dict.fromkeys(self.features.sensors, now),
            reward=self._reward,
            success=self._success,
        )

    def act(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Send a command (k,) in its unit and step the world by a control period; what was sent, clipped."""
        sent = np.clip(action, self._low, self._high)
        with one_torch_thread():
            step = self._env.step_command(torch.from_numpy(sent[None]))
        self._steps += 1
        self._seen = step.observations
        self._reward, self._success = float(step.reward[0]), bool(step.succeeded[0])
        return sent

    def simulator_state(self) -> NDArray[np.float64]:
        """(n,): the engine's state and the commands that are on their way; `restore` goes back to it."""
        return torch.cat([value.double().flatten() for value in self._tensors().values()]).numpy()

    def restore(self, state: NDArray[np.float64]) -> None:
        """Go back to a world as `simulator_state` gave it (n,). What sensors have drawn is drawn anew."""
        tensors, begin = self._tensors(), 0
        for name, value in tensors.items():
            part = state[begin : begin + value.numel()]
            tensors[name] = torch.from_numpy(part).to(value.dtype).view_as(value)
            begin += value.numel()
        line = {name.removeprefix("line."): tensors.pop(name) for name in list(tensors) if name.startswith("line.")}
        self._env.command_line.load_state_dict(line)
        self._env.engine.load_state_dict(tensors)

    def _tensors(self) -> dict[str, Tensor]:
        line = self._env.command_line.state_dict().items()
        return {**self._env.engine.state_dict(), **{f"line.{name}": value for name, value in line}}

    @property
    def model(self) -> mujoco.MjModel:  # pyright: ignore[reportAttributeAccessIssue]
        """What the engine simulates, as this episode has it. Raises TypeError where that is not MuJoCo on a CPU."""
        return self._worlds.batch.get_model(0)

    @property
    def qpos(self) -> NDArray[np.float64]:
        """(nq,): the joint positions of `model` now. Raises TypeError as `model`."""
        return self._worlds.qpos[0].numpy()

    @property
    def mocap(self) -> NDArray[np.float64]:
        """(nmocap, 3) m: where bodies are that the task puts somewhere. Raises TypeError as `model`."""
        return self._worlds.batch.bind("mocap_pos")[0]

    @property
    def _worlds(self) -> MujocoWorlds:
        engine = self._env.engine
        if not isinstance(engine, MujocoWorlds):
            raise TypeError(f"{type(engine).__name__} has no model that can be looked at: take engine 'mujoco'")
        return engine

    def close(self) -> None:
        """Release cameras and engine."""
        if self._view:
            self._view.close()
        self._env.close()
