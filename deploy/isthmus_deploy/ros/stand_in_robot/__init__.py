"""`isthmus-stand-in`: a simulated robot that speaks ROS 2, in real time, in its own process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from isthmus_deploy.ros import ros2


@dataclass(frozen=True, kw_only=True)
class Config:
    """A robot that stands in for the real one: same topics, other body.

    MuJoCo in real time, with a body, drives, sensor noise and delays that the policy was not told. Publishes
    robot_interface, its readings and (for judging only) ground_truth, and takes its commands, on the topics that
    `python -m isthmus_deploy.ros.topics` lists. Without commands for 0.2 s a quadrotor's motors stop, as a Crazyflie's
    do, and other robots' joints are only damped.
    """

    robot: str | None = None
    """A registered robot, such as crazyflie or quadruped, or a robot file (my_dog.toml); by default the
    task's, or crazyflie."""
    task: str | None = None
    """A task with something to achieve, such as reach_cube: what stands around the robot there stands there too, and
    task_succeeded tells (for judging only) whether it is done."""
    profile: Path | None = None
    """Hardware profile (YAML): it speaks as the robot of that profile does, and does not say what it is."""
    namespace: str = ""
    """ROS namespace, such as /drone1."""
    control_period_s: float | None = None
    """How often it is read and commanded, s, for a policy that was trained for that; by default as its description
    says."""
    seed: int = 0
    """Draws the body, its delays and the noise."""
    upside_down: bool = False
    """Whether it begins on its back: a policy's node must refuse to arm it."""
    fault: tuple[str, ...] = ()
    """Sensor faults, KIND@SECONDS or KIND:TOPIC@SECONDS after it is first told to move: nan@3.0, silence:imu@2,
    freeze:imu@2, late:odom@2 (by six control periods), jump@1."""
    log: Path | None = None
    """Where to write the parameters, the sensor-to-command latency and the timing at the end, as JSON; at a
    task also, as .npz beside it, where everything was and what the task measured, over time."""


def main() -> None:
    """Entry point of `isthmus-stand-in`."""
    config = tyro.cli(Config, prog="isthmus-stand-in", args=ros2.own_arguments())
    ros2.run(lambda: _simulate(config), name="isthmus-stand-in", refusals=(ValueError, OSError))


def _simulate(config: Config) -> int:
    ros2.require()
    from isthmus_sim.rendering.offscreen import select_backend

    select_backend()  # before MuJoCo is imported, which happens next
    from isthmus_deploy.ros.stand_in_robot.process import simulate

    return simulate(config)
