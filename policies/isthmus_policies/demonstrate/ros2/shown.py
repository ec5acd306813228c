"""A robot that speaks ROS 2, and its model in the pose that its joints say: what the page shows."""

# pyright: reportAttributeAccessIssue=false
# (mujoco's compiled module carries no type information.)

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.robot import Observation
from isthmus_policies.demonstrate.ros2.robot import Ros2Robot
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import UnsupportedError
from isthmus_sim.models.reading import compiled

_POSITION = "joint_position"


class ShownRos2Robot(Ros2Robot):
    """The robot alone: where the things around it are, nobody measures.

    Args:
        robot: Its description.
        options: As `Ros2Robot` takes them.

    Raises:
        UnsupportedError: it has no model.
        Refusal: as `Ros2Robot` does.
    """

    def __init__(self, robot: RobotDescription, **options: Any) -> None:
        if robot.model is None:
            raise UnsupportedError(f"{robot.name} has no model that could be shown")
        source = robot.model(True)
        self.model = compiled(mujoco.MjSpec.from_string(source) if isinstance(source, str) else source.copy())
        self.qpos: NDArray[np.float64] = self.model.qpos0.copy()
        self.mocap: NDArray[np.float64] = np.zeros((0, 3))
        super().__init__(**options)

    def observe(self) -> Observation:
        observation = super().observe()
        for signal in self.interface.signals:
            if signal.name == _POSITION:
                places = [self.model.joint(joint).qposadr[0] for joint in signal.order]
                self.qpos[places] = self.signals(observation)[signal.name]
        return observation
