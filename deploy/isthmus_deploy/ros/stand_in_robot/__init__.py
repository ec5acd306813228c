"""`isthmus-stand-in`: a simulated quadrotor that speaks ROS 2, in real time, in its own process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.stand_in_robot.faults import parse_fault


@dataclass(frozen=True, kw_only=True)
class Config:
    """A quadrotor that stands in for the real one: same topics, other body.

    MuJoCo in real time, with a body, motor lag, sensor noise and estimator delay that the policy was not told.
    Publishes odom, imu, robot_interface and (for judging a flight only) ground_truth; takes rotor_controller/commands.
    Without commands for 0.2 s its motors stop, as a Crazyflie's do.
    """

    namespace: str = ""
    """ROS namespace, such as /drone1."""
    seed: int = 0
    """Draws the body, the estimator's delay and the noise."""
    fault: tuple[str, ...] = ()
    """Sensor faults, KIND@SECONDS or KIND:TOPIC@SECONDS after the rotors first turn: nan@3.0, silence:imu@2."""
    log: Path | None = None
    """Where to write the parameters, the sensor-to-command latency and the timing at the end, as JSON."""


def main() -> None:
    """Entry point of `isthmus-stand-in`."""
    config = tyro.cli(Config, prog="isthmus-stand-in")
    ros2.run(lambda: _simulate(config), name="isthmus-stand-in", refusals=(ValueError,))


def _simulate(config: Config) -> int:
    faults = tuple(parse_fault(text) for text in config.fault)
    ros2.require()
    from isthmus_deploy.ros.stand_in_robot.process import simulate

    return simulate(config, faults)
