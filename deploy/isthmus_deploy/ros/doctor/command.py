"""`isthmus-deploy doctor`: look at a robot on the live graph, and say what is missing, wrong or slow. Nothing moves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NoReturn

import tyro

from isthmus_deploy.contracts.profile import ProfileError
from isthmus_deploy.flight.folder import default_folder
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.doctor.machine import check_domain
from isthmus_deploy.ros.node.within import Within, check


@dataclass(frozen=True, kw_only=True)
class Config:
    """Check a robot, its profile and a policy against each other before anything moves.

    It reads the live graph: names, types, quality of service, rates, stamps, plausible values, the controllers' joints,
    who else sends commands; and the machine: domain, discovery, middleware, scheduling. It sends no command. Of the
    robot's newest flight it says what is wrong between training and robot. The exit status is 1 where something is
    wrong.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[PROFILE.yaml] POLICY.onnx")]
    """The robot's profile, unless it says itself what it is, and the policy file."""
    namespace: str = ""
    """ROS namespace of the robot, such as /drone1."""
    wait_s: Annotated[float, Within(0.0, 3600.0)] = 10.0
    """How long to wait for the robot, s."""
    watch_s: Annotated[float, Within(0.0, 3600.0)] = 3.0
    """How long to listen to its readings, s."""
    flights: Path = field(default_factory=default_folder)
    """The folder of all flights: the newest one of this robot is judged, while it is flown, too."""
    world: Path | None = None
    """What sound flights have taught; by default POLICY.world.npz beside the policy."""

    def __post_init__(self) -> None:
        check(self)
        if not 1 <= len(self.files) <= 2:
            raise ros2.Refusal("name the policy file, and before it the profile where the robot has one")

    @property
    def policy(self) -> Path:
        """The policy file."""
        return self.files[-1]

    @property
    def profile(self) -> Path | None:
        """The profile, where there is one."""
        return self.files[0] if len(self.files) == 2 else None


def main(arguments: list[str]) -> NoReturn:
    """Entry point of `isthmus-deploy doctor`."""
    ros2.run(lambda: _examine(arguments), name="isthmus-deploy doctor", refusals=(PolicyFileError, ProfileError))


def _examine(arguments: list[str]) -> int:
    config = tyro.cli(Config, prog="isthmus-deploy doctor", args=arguments)
    domain = check_domain(os.environ.get("ROS_DOMAIN_ID", ""))
    if domain.level == "WRONG":  # ROS 2 would not start
        print(domain)
        return 1
    ros2.require()
    from isthmus_deploy.ros.doctor.examination import examine

    wrongs = 0
    for finding in examine(config):
        print(finding, flush=True)
        wrongs += finding.level == "WRONG"
    print(f"{wrongs} wrong" if wrongs else "nothing is wrong")
    return 1 if wrongs else 0
