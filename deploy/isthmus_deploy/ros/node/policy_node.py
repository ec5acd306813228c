"""`isthmus-deploy`: run an exported policy on a ROS 2 robot, inside its limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NoReturn, get_args

import tyro

from isthmus_deploy.contracts.profile import ProfileError
from isthmus_deploy.flight import replay
from isthmus_deploy.flight.folder import default_folder
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.doctor import command as doctor
from isthmus_deploy.ros.node.within import Within, check
from isthmus_deploy.safety.monitor import OnAlarm

_SUBCOMMANDS: dict[str, Callable[[list[str]], NoReturn]] = {"doctor": doctor.main, "replay": replay.main}
"""What they do with the arguments that follow; each ends the process."""
_SERVICE_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
_LEAST_GB = 0.1  # files of an eighth of it, some minutes each


@dataclass(frozen=True, kw_only=True)
class Config:
    """Run an exported policy on a ROS 2 robot.

    The node checks the policy file and the robot against the policy's contract, then serves ~/arm, ~/start, ~/stop,
    ~/emergency_stop, ~/disarm and ~/reset (std_srvs/Trigger). It reports on /diagnostics. Ctrl-C sends the safe command
    and ends it.

    `isthmus-deploy replay BAG` compares what a policy wants with what one wanted in a recorded flight.
    """

    policy: Annotated[Path | None, tyro.conf.Positional] = None
    """Policy file written by isthmus-export."""
    also: tuple[Path, ...] = ()
    """Further policy files for the same robot. ~/select/NAME, by the file's name without its ending, lets one take over
    without a bump, also while the robot is driven."""
    profile: Path | None = None
    """Hardware profile of a robot that calls or counts things otherwise than the contract: a YAML file, or one that
    comes along, such as unitree_go2. It vouches for the robot, which then need not say what it is."""
    namespace: str = ""
    """ROS namespace of the robot, such as /drone1; its topics and this node's services stand in it."""
    ramp_s: Annotated[float, Within(0.0, 10.0)] = 0.3
    """Time in which the policy takes over from the stand-by command, s."""
    timeout_s: Annotated[float | None, Within(1e-3, 10.0)] = None
    """Fault when a reading is older than this, s, where that is stricter than the contract's own limits."""
    hang_s: Annotated[float | None, Within(1e-3, 10.0)] = None
    """How long the node may be held up while it drives the robot until its watchdog sends the safe command, s; by
    default as long as the most impatient reading of the contract may stay out, at least 3 control periods."""
    wait_s: Annotated[float, Within(0.0, 3600.0)] = 15.0
    """How long to wait for the robot and its first readings, s."""
    slack_s: Annotated[float | None, Within(0.0, 1.0)] = None
    """How long after its expected time a reading is waited for before the loop goes on without it, s; by default 2 ms,
    or a quarter of the control period where that is less."""
    max_latency_s: Annotated[float | None, Within(1e-3, 10.0)] = None
    """Fault when all readings of a sensor take longer than this from their stamp to a command, s; by default the
    latency that the policy was trained for, two control periods and 5 ms."""
    trust_stamps: bool = True
    """Whether readings count from their stamps where the robot's clock agrees with this one; without, from when they
    come."""
    hold_to_run: Annotated[int | None, Within(0, 63)] = None
    """A button of a gamepad (its place in sensor_msgs/Joy on `joy`) that a person has to hold while the policy drives:
    the robot is stopped when it is let go, and when the gamepad falls silent. By default nobody has to."""
    on_alarm: OnAlarm = "tell"
    """What is done when the policy's monitor says that it is out of its depth. tell: it is told on /diagnostics, and
    the robot goes on. hold: the robot goes to stand-by, and waits to be started again. stop: it is stopped."""
    managed: bool = False
    """Whether the node waits for a lifecycle manager, which configures and activates it (lifecycle_msgs). By default it
    configures itself and refuses to start where it cannot; then ~/arm activates it."""
    realtime: bool = True
    """Real-time scheduling (SCHED_FIFO) and memory that stays in memory, where this machine permits them; the node says
    so where it does not."""
    cpus: tuple[int, ...] = ()
    """Cores that the node keeps to, such as ones that nothing else may use; by default any."""
    log: Path | None = None
    """Where to write the timing summary at the end, as JSON."""
    record: bool = True
    """Whether the flight recorder writes a bag of the run."""
    record_in: Path = field(default_factory=default_folder)
    """The folder of all flights, which is bounded: the oldest ones are deleted."""
    record_gb: Annotated[float, Within(_LEAST_GB, 1000.0)] = 1.0
    """How large that folder may become, GB."""

    def __post_init__(self) -> None:
        check(self)
        names = [path.stem for path in (self.policy, *self.also) if path is not None]
        if self.also and (len({*names}) < len(names) or not all(map(_SERVICE_NAME.fullmatch, names))):
            raise ValueError(f"policies that are selected need different names of letters, digits and _, not {names}")
        if self.on_alarm not in get_args(OnAlarm):  # a ROS parameter may be any word
            raise ValueError(f"on_alarm is one of {', '.join(get_args(OnAlarm))}, not {self.on_alarm}")

    @property
    def chosen(self) -> Path:
        """The policy file. Raises Refusal where none is named."""
        if self.policy is None:
            raise ros2.Refusal("no policy file is named: isthmus-deploy POLICY, or the ROS parameter policy")
        return self.policy


def main() -> None:
    """Entry point of `isthmus-deploy`."""
    arguments = ros2.own_arguments()
    if arguments and arguments[0] in _SUBCOMMANDS:
        _SUBCOMMANDS[arguments[0]](arguments[1:])
    config = tyro.cli(Config, prog="isthmus-deploy", args=arguments)
    ros2.run(lambda: _drive(config), name="isthmus-deploy", refusals=(PolicyFileError, ProfileError))


def _drive(config: Config) -> int:
    ros2.require()
    from isthmus_deploy.ros.node.policy_process import drive

    return drive(config)


if __name__ == "__main__":
    main()
