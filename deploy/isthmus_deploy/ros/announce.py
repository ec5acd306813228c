"""`isthmus-announce`: say what a robot is, for a driver that cannot say it itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.robot_interface import RobotInterface
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.policy import policy_file
from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_deploy.ros import ros2

_WAIT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Publish a robot's description on robot_interface until Ctrl-C, and list the topics that its driver must provide.

    A policy node asks every robot what it is before it arms. Whoever starts this vouches that the robot behind the
    driver is the one that is described: units, order of joints, gains and limits included.
    """

    contract: Annotated[Path, tyro.conf.Positional]
    """Policy file written by isthmus-export, or a contract or a robot's interface as JSON."""
    namespace: str = ""
    """ROS namespace of the robot, such as /drone1."""


def main() -> None:
    """Entry point of `isthmus-announce`."""
    config = tyro.cli(Config, prog="isthmus-announce", args=ros2.own_arguments())
    ros2.run(lambda: _announce(config), name="isthmus-announce", refusals=(PolicyFileError, ContractError, OSError))


def read_interface(path: Path) -> RobotInterface:
    """The robot of a policy file, of a contract, or of an interface in JSON.

    Raises:
        PolicyFileError: the policy file may not be used.
        ContractError: the JSON is neither.
        OSError: the file cannot be read.
    """
    if path.suffix != ".json":
        return policy_file.read(path).contract.interface()
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ContractError("", f"{path}: not JSON: {error}") from error
    return Contract.from_json(text).interface() if '"provenance"' in text else RobotInterface.from_json(text)


def _announce(config: Config) -> int:
    ros2.require()
    from std_msgs.msg import String

    from isthmus_deploy.ros import qos
    from isthmus_deploy.ros.bindings.table import bindings
    from isthmus_deploy.ros.topics import listing, rows_of

    robot = read_interface(config.contract)
    print(listing(rows_of(robot, bindings())), flush=True)
    stop, link = ros2.StopRequest(), ros2.Link("announce", config.namespace)
    try:
        publisher = link.node.create_publisher(String, "robot_interface", qos.LATCHED)
        publisher.publish(String(data=robot.to_json()))
        topic = link.node.resolve_topic_name("robot_interface")
        print(f"{robot.robot} is announced on {topic} until Ctrl-C", flush=True)
        while not stop:
            link.wait(_WAIT_S, lambda: stop)
    finally:
        link.close()
    return 0


if __name__ == "__main__":
    main()
