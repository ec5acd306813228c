"""What every stand-in robot is: a body in MuJoCo that takes commands, and sensors that read it. No ROS here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from isthmus_deploy.ros.truth import Truth
from isthmus_sim.description import RobotDescription
from isthmus_sim.robots import ROBOTS

Array = NDArray[Any]

QUADROTOR = "crazyflie"


class World(Protocol):
    """A robot and what it stands on, with a body that nobody was told of."""

    robot: RobotDescription
    timestep_s: float
    """Physics step, s."""
    without_command: str
    """What the drives do without commands, in words."""

    @property
    def time_s(self) -> float:
        """Simulated time, s."""
        ...

    def turn_over(self) -> None:
        """Put it on its back, and let it come to rest. Before it is commanded.

        Raises:
            ValueError: it is fixed to its place.
        """
        ...

    def step(self, commands: Mapping[str, Array | None], n: int = 1) -> None:
        """`n` physics steps with the newest of each command, in the order and unit of `robot`; None where there is
        none."""
        ...

    def truth(self) -> Truth:
        """The base as it is."""
        ...

    def sense(self) -> dict[str, Array]:
        """The robot as its sensors see it now: readings by the names of `robot`, new arrays."""
        ...

    def hidden(self) -> dict[str, object]:
        """What the policy was not told, ready for JSON."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


def make_world(robot: RobotDescription | None, seed: int, task: str | None = None) -> World:
    """The world of a robot, with a body drawn by `seed`.

    Args:
        robot: None for the task's own, or without a task the quadrotor.
        seed: Draws the body, the noise, and where things begin.
        task: What it is to do, where something stands around it: the name of a registered task; None for nothing.

    Raises:
        RegistryError: there is no such task; the message names those there are.
        ValueError: a stand-in cannot be made of it; the message names what it lacks.
    """
    if task is not None:
        from isthmus_deploy.ros.stand_in_robot.worlds.at_task import TaskWorld
        from isthmus_sim.tasks import make_task

        return TaskWorld(make_task(task, robot=robot), seed)
    robot = robot or ROBOTS[QUADROTOR]
    if robot.name == QUADROTOR and robot == ROBOTS[QUADROTOR]:  # how its body varies is published, and more than bounds
        from isthmus_deploy.ros.stand_in_robot.worlds.quadrotor import QuadrotorWorld

        return QuadrotorWorld(seed)
    from isthmus_deploy.ros.stand_in_robot.worlds.described import DescribedWorld, bare_scene

    return DescribedWorld(bare_scene(robot), seed)


def steps_in(period_s: float, world: World) -> int:
    """How many physics steps a control period has. Raises ValueError where that is no whole number."""
    steps = period_s / world.timestep_s
    if not 0.5 < steps < math.inf or not math.isclose(steps, round(steps), rel_tol=1e-6):
        raise ValueError(
            f"a control period of {period_s:g} s is no whole number of the physics steps of {world.robot.name}, which "
            f"are {world.timestep_s:g} s long"
        )
    return round(steps)
