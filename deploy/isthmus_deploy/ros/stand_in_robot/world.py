"""What every stand-in robot is: a body in MuJoCo that takes commands, and sensors that read it. No ROS here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus_deploy.robot_interface import CommandInterface, Joint, RobotInterface, SignalInterface
from isthmus_sim.description import RobotSpec

Array = NDArray[np.float64]


@dataclass(kw_only=True)
class Truth:
    """The body as it is: position (3,) m world, orientation (4,) wxyz world_from_body, linear velocity (3,) m/s and
    angular velocity (3,) rad/s in the body."""

    position: Array
    orientation: Array
    linear_velocity: Array
    angular_velocity: Array


class World(Protocol):
    """A robot and the ground under it, with a body that nobody was told of."""

    spec: RobotSpec
    timestep_s: float
    """Physics step, s."""
    without_command: str
    """What the motors do without commands, in words."""

    @property
    def time_s(self) -> float:
        """Simulated time, s."""
        ...

    def step(self, command: Array | None, n: int = 1) -> None:
        """`n` physics steps with this newest command, in the order and unit of `spec`; None when there is none."""
        ...

    def truth(self) -> Truth:
        """The body as it is."""
        ...

    def sense(self) -> dict[str, Array]:
        """The body as its sensors see it now: readings by the names of `spec`, new arrays."""
        ...

    def hidden(self) -> dict[str, object]:
        """What the policy was not told, ready for JSON."""
        ...


def make_world(robot: str, seed: int) -> World:
    """The world of a robot by its name in `Config`, with a body drawn by `seed`."""
    if robot == "quadruped":
        from isthmus_deploy.ros.stand_in_robot.quadruped import QuadrupedWorld

        return QuadrupedWorld(seed)
    from isthmus_deploy.ros.stand_in_robot.quadrotor import QuadrotorWorld

    return QuadrotorWorld(seed)


def robot_interface(spec: RobotSpec) -> RobotInterface:
    """What a stand-in robot says of itself."""
    signals = tuple(
        SignalInterface(name=s.name, shape=(s.size,), unit=s.unit, frame=s.frame, order=s.order) for s in spec.signals
    )
    commands = tuple(
        CommandInterface(
            name=c.name,
            shape=(c.size,),
            unit=c.unit,
            frame=c.frame,
            order=c.order,
            minimum=c.minimum,
            maximum=c.maximum,
        )
        for c in spec.commands
    )
    return RobotInterface(
        robot=spec.name,
        control_period_s=spec.control_period_s,
        signals=signals,
        commands=commands,
        joints={name: Joint(**vars(joint)) for name, joint in spec.joints.items()},
    )
