"""A task's world as a `Robot`: what teleoperation and recording know of a simulated one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_datasets.recording.robot import Observation, RobotError, RobotFeatures, quantities
from isthmus_policies.demonstrate.features import joined, observation_parts, robot_features, signals_of, split
from isthmus_policies.demonstrate.views import View, mujoco_engine
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env, Observations
from isthmus_sim.task import Task
from isthmus_sim.threads import one_torch_thread

ENVIRONMENT = "environment_state"
"""The simulation's column of what is around the robot."""
_ENDLESS = 2**31
_COMMANDS = "commands."


class EnvRobot:
    """One world of `task`. Its column "state" is all signals of the robot one after the other, as noisy and late as the
    task makes them; the simulation's column "environment_state", where the task has it, what only the simulator knows
    of things around it. Its action is the robot's commands one after the other. What is sent of them is within the same
    limits of range and rate that the robot's safety chain keeps.

    Time is the simulation's: a control period per action, from 0, on through all episodes. A world that has succeeded
    or failed stays as it is until `reset`; the observation says that it has ended.

    Args:
        task: What is done.
        cameras: Makes what sees the world; None for the robot's own camera signals alone.
        engine: Where it is simulated; by default where the task is meant to be.
    """

    def __init__(self, task: Task, *, cameras: Callable[[Env], View] | None = None, engine: str | None = None) -> None:
        worlds = make_engine(task.scene, 1, engine or task.engines[0])
        self._env = Env(task, worlds, seed=0, episode_steps=_ENDLESS, autoreset=False)
        self._robot = task.robot
        self._period_ns = round(task.robot.control_period_s * 1e9)
        self._steps = 0
        self._reward: float | None = None
        self._success: bool | None = None
        self._ended = False
        self._seen: Observations = self._env.reset()
        self._view = cameras(self._env) if cameras else None
        self.features = self._features()

    def _features(self) -> RobotFeatures:
        environment, own = self._env.task.environment, robot_features(self._robot)
        around = {ENVIRONMENT: quantities(environment)} if environment else {}
        seen = self._view.shapes if self._view else {}
        return replace(
            own,
            simulation=around,
            cameras={**own.cameras, **seen},
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
        self._ended = False

    def observe(self) -> Observation:
        """The signals, and what the last action has earned."""
        columns, images = observation_parts(self._robot, _first_rows(self._env.signals))
        around = {name: self._seen["environment"][0].numpy() for name in self.features.simulation}
        seen = self._view.images() if self._view else {}
        return Observation(
            columns=columns,
            images={**images, **seen},
            capture_time_ns=dict.fromkeys(self.features.sensors, self._steps * self._period_ns),
            simulation=around,
            reward=self._reward,
            success=self._success,
            ended=self._ended,
        )

    @property
    def readings(self) -> tuple[str, ...]:
        """Names of what `signals` gives."""
        return tuple(signal.name for signal in self._robot.signals)

    def signals(self, observation: Observation) -> dict[str, NDArray[Any]]:
        """The robot's signals in an observation by name, unbatched."""
        return signals_of(self._robot, observation)

    def act(self, action: NDArray[Any]) -> NDArray[np.float32]:
        """Send commands (k,) in their units and step the world by a control period; what was sent of them.

        Raises:
            RobotError: the simulation has diverged, or the world had ended before.
        """
        if self._ended:
            raise RobotError(f"{self._robot.name}: the task {self._env.task.name!r} has ended: reset it first")
        wanted = split(self._robot.commands, np.asarray(action, np.float32))
        with one_torch_thread():
            step = self._env.step_commands({name: torch.tensor(value[None]) for name, value in wanted.items()})
        self._steps += 1
        self._seen = step.observations
        self._reward, self._success = float(step.reward[0]), bool(step.succeeded[0])
        self._ended = bool(step.terminated[0])
        if step.diverged:
            raise RobotError(f"{self._robot.name}: the simulation has diverged, so its episode cannot go on")
        return joined(self._robot.commands, _first_rows(step.commands))

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
        sent = {name.removeprefix(_COMMANDS): value for name, value in tensors.items() if name.startswith(_COMMANDS)}
        self._env.command_line.load_state_dict(sent)
        self._env.engine.load_state_dict({name: tensors[name] for name in self._env.engine.state_dict()})

    def _tensors(self) -> dict[str, Tensor]:
        sent = self._env.command_line.state_dict()
        return {**self._env.engine.state_dict(), **{f"{_COMMANDS}{name}": value for name, value in sent.items()}}

    @property
    def model(self) -> Any:
        """The `mujoco.MjModel` that is simulated, as this episode has it. Raises UnsupportedError where the engine is
        not MuJoCo on a CPU."""
        return mujoco_engine(self._env).batch.get_model(0)

    @property
    def qpos(self) -> NDArray[np.float64]:
        """(nq,): the joint positions of `model` now. Raises UnsupportedError as `model`."""
        return mujoco_engine(self._env).qpos[0].numpy()

    @property
    def mocap(self) -> NDArray[np.float64]:
        """(nmocap, 3) m: where bodies are that the task puts somewhere. Raises UnsupportedError as `model`."""
        return mujoco_engine(self._env).mocap[0].numpy()

    def close(self) -> None:
        """Release cameras and engine."""
        if self._view:
            self._view.close()
        self._env.close()


def _first_rows(tensors: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: value[0].numpy() for name, value in tensors.items()}
