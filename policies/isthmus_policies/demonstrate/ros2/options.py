"""`--ros`: the robot that is recorded speaks ROS 2."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from isthmus_datasets.recording.cameras.ros2 import Ros2Camera
from isthmus_deploy.contracts.robot_interface import differences, interface_of
from isthmus_deploy.ros import ros2
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_sim.description import RobotDescription

if TYPE_CHECKING:
    from isthmus_policies.demonstrate.ros2.robot import Ros2Robot
    from isthmus_policies.demonstrate.ros2.shown import ShownRos2Robot

_Robot = TypeVar("_Robot", bound="Ros2Robot")


@dataclass(frozen=True, kw_only=True)
class Ros2Options:
    """A robot on ROS 2 in place of the simulated one."""

    ros: bool = False
    """Record the robot that speaks ROS 2. It goes to stand-by before every episode, and to its safe command at the end
    and after a fault."""
    namespace: str = ""
    """Its ROS namespace, such as /arm1."""
    camera: tuple[str, ...] = ()
    """Further cameras than those that it announces, each NAME=TOPIC, such as wrist=/wrist/image_raw/compressed."""

    def refuse_unused(self) -> None:
        """Raise Refusal for options of a robot on ROS 2 where none is asked for."""
        if not self.ros and (self.namespace or self.camera):
            raise Refusal("--namespace and --camera are of a robot on ROS 2: say --ros too")


def connect(options: Ros2Options, description: RobotDescription) -> Ros2Robot:
    """The robot, found and ready to be driven.

    Raises:
        Refusal: there is no ROS 2 or no robot, it is another one than is described, or it may not be driven.
        CameraError: a camera gives nothing.
    """
    ros2.require()
    from isthmus_policies.demonstrate.ros2.robot import Ros2Robot

    return _checked(Ros2Robot(**_given(options)), description)


def connect_shown(options: Ros2Options, description: RobotDescription) -> ShownRos2Robot:
    """The same, with its model. Raises UnsupportedError too, where it has none."""
    ros2.require()
    from isthmus_policies.demonstrate.ros2.shown import ShownRos2Robot

    return _checked(ShownRos2Robot(description, **_given(options)), description)


def _given(options: Ros2Options) -> dict[str, Any]:
    """What `Ros2Robot` is told."""
    topics = dict(_named(each) for each in options.camera)
    with ExitStack() as opened:
        cameras = {name: opened.enter_context(closing(Ros2Camera(name, topic))) for name, topic in topics.items()}
        opened.pop_all()  # they are the robot's to close
    return {"namespace": options.namespace, "cameras": cameras}


def _checked(robot: _Robot, description: RobotDescription) -> _Robot:
    own, found = interface_of(description), robot.interface
    same = own.robot == found.robot
    lines = differences(own, found) if same else [f"it says that it is {found.robot}"]
    if lines:
        robot.close()
        raise Refusal(f"the robot is not the task's {own.robot}:\n  " + "\n  ".join(lines))
    return robot


def _named(camera: str) -> tuple[str, str]:
    name, _, topic = camera.partition("=")
    if not name or not topic:
        raise Refusal(f"--camera {camera}: it must be NAME=TOPIC, such as wrist=/wrist/image_raw")
    return name, topic
